"""A box office for script tests: real scripts on a real server, with a clock of the test's own."""

from collections.abc import Awaitable
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis

from engine import Engine, invariants
from engine.bookings import PaymentUpdate
from engine.errors import Refused
from engine.event_state import EventState, read_state
from engine.ids import BookingId, CustomerId
from engine.models import Booking, PaymentReport, PaymentSource
from tests.support.factories import GALA, layout, selection, terms

R = TypeVar("R", bound=Refused)

START_MS = 1_800_000_000_000
TTL_MS = 60_000


def provider_payment(
    payment: str = "", amount_minor: int | None = None, currency: str = ""
) -> PaymentReport:
    """The provider's word on one payment; what is left out is the booking's."""
    return PaymentReport(
        source=PaymentSource.PROVIDER, id=payment, amount_minor=amount_minor, currency=currency
    )


class BoxOffice:
    """One event, `gala`, and shorthand for what customers do there."""

    def __init__(self, engine: Engine, redis: Redis) -> None:
        self.engine = engine
        self.bookings = engine.bookings
        self._redis: Any = redis
        self.now_ms = START_MS

    @property
    def now_ms(self) -> int:
        return int(self.bookings.now_ms)

    @now_ms.setter
    def now_ms(self, value: int) -> None:
        self.bookings.now_ms = value

    async def open(self, **over: Any) -> None:
        """Load the event: two rows of five seats and, if asked, standing areas.

        Its customers may cancel until the event starts, unless it is said otherwise.
        """
        names = ("areas", "blocked", "rows", "seats", "price_minor")
        plan = {name: over.pop(name) for name in names if name in over}
        await self.engine.events.load_event(GALA, layout(**plan), terms(**over))

    async def hold(self, customer: str, *seats: str, request: str = "", **areas: int) -> Booking:
        """Hold seats and places of areas."""
        wanted = selection(customer, *seats, areas=areas)
        return await self.bookings.hold_seats(wanted, request_id=request or None)

    async def confirm(self, booking: Booking, customer: str | None = None) -> Booking:
        """Confirm as its customer, or as another one."""
        who = CustomerId(customer or booking.customer_id)
        return await self.bookings.confirm_booking(booking.id, who)

    async def pay(
        self, booking: Booking, payment: str, amount_minor: int | None = None, currency: str = ""
    ) -> Booking:
        """Confirm by the provider's word on one payment."""
        report = provider_payment(payment, amount_minor, currency)
        return await self.bookings.confirm_booking(booking.id, None, report)

    async def told(
        self, booking: Booking, what: PaymentUpdate, payment: str, amount_minor: int | None = None
    ) -> Booking:
        """What else the provider says of a payment."""
        report = provider_payment(payment, amount_minor)
        return await self.bookings.update_payment(booking.id, what, report)

    async def expire(self, *ulids: str) -> tuple[int, ...]:
        """Run the expire script; how late each released booking was, in ms."""
        return (await self.bookings.expire_bookings(GALA, ulids, path="sweep")).late_ms

    async def kept(self, booking: Booking | BookingId) -> Booking:
        """The booking as Redis has it now."""
        booking_id = booking.id if isinstance(booking, Booking) else booking
        return await self.bookings.read_booking(booking_id, None)

    async def state(self) -> EventState:
        """The raw state, after checking that it breaks no promise."""
        found = await read_state(self.engine, GALA)
        timed = [v for v in invariants.check(found) if v.kind != "overdue_hold"]
        assert timed == []
        return found

    async def map(self) -> str:
        """The byte map, of a state that is as promised."""
        return (await self.state()).map

    async def everything(self) -> dict[bytes, bytes]:
        """Every key as Redis would dump it; but TTL keys, which end by the real clock."""
        names = [name for name in await self._redis.keys("*") if b":hold:" not in name]
        return {name: await self._redis.dump(name) for name in sorted(names)}

    async def kinds(self) -> list[str]:
        """The kinds of all journal entries."""
        entries = await self._redis.xrange("{gala}:journal")
        return [fields[b"kind"].decode() for _, fields in entries]

    async def refused(self, kind: type[R], call: Awaitable[object]) -> R:
        """Assert that a call is refused with this kind and changed nothing at all."""
        before = await self.everything()
        with pytest.raises(kind) as caught:
            await call
        assert await self.everything() == before
        return caught.value
