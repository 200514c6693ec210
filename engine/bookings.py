"""Bookings: each method makes one call of the script of the same name.

The scripts take local ids: a seat id without its event, the ULID of a booking. This module converts
from full ids to local ids and back.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal, Self

from engine import keys
from engine.booking_json import booking_of, json_of
from engine.errors import BookingNotFound, Unavailable
from engine.ids import BookingId, CustomerId, EventId, local_ids, new_ulid, split_booking
from engine.limits import LimitCheck
from engine.metrics import metrics
from engine.metrics.per_tick import observe_all
from engine.models import (
    AreaQuantity,
    BestSelection,
    Booking,
    BookingStatus,
    Expired,
    Page,
    PaymentReport,
    Selection,
)
from engine.scripts import Outcome, Scripts, checked
from engine.shared_calls import (
    BEST,
    CONFIRM,
    HOLD,
    BestRequest,
    ConfirmRequest,
    HoldRequest,
    SharedCalls,
    SharedRequest,
    best_arguments,
)
from engine.transport.batcher import Batcher
from engine.transport.wire import Argument

EXPIRE_MAX = 256
"""Bookings that one `expire_bookings` call releases at most."""
UNCHECKED = PaymentReport()
PaymentUpdate = Literal["processing", "failed", "refunded", "disputed"]


class Bookings:
    """Changes and reads bookings. `customer` None skips the ownership check: the payment provider
    and admins act on any customer's booking.

    Only tests set `now_ms`; otherwise Redis' own clock counts.
    """

    def __init__(
        self,
        scripts: Scripts,
        batcher: Batcher,
        shared_calls: SharedCalls,
        limit_check: LimitCheck | None = None,
    ) -> None:
        self._scripts = scripts
        self._batcher = batcher
        self._shared_calls = shared_calls
        self._limit_check = limit_check
        self.now_ms: int | str = ""

    def under(self, limit_check: LimitCheck) -> Self:
        """The same bookings under these rate limits. Their calls also raise RateLimited."""
        limited = type(self)(self._scripts, self._batcher, self._shared_calls, limit_check)
        limited.now_ms = self.now_ms
        return limited

    async def hold_seats(self, selection: Selection, *, request_id: str | None = None) -> Booking:
        """Hold every place of the selection, or none. The same request id has the same outcome.

        Raises: EventNotFound, SalesClosed, TooManySeats, SeatNotFound, AreaNotFound, SeatTaken,
        AreaFull, LimitReached, RequestReused.
        """
        event = selection.event_id
        seats = local_ids(event, selection.seats)
        request = HoldRequest(
            ulid=new_ulid(),
            customer=selection.customer_id,
            request_id=request_id,
            digest=_digest(seats, selection.areas) if request_id else "",
            seats=seats,
            areas=selection.areas,
            limit_check=self._limit_check,
        )
        code, found = await self._outcome(HOLD, event, request)
        if code in ("seat_taken", "seat_not_found"):  # the script knows seats without their event
            found = [b"%b:%b" % (event.encode(), seat) for seat in found]
        return _answer(event, checked(code, found))

    async def hold_best(self, wanted: BestSelection, *, request_id: str | None = None) -> Booking:
        """Hold the best free places, or none. The same request id has the same outcome.

        Raises: EventNotFound, SalesClosed, TooManySeats, CategoryNotFound, SectionNotFound,
        NoSeatsTogether, LimitReached, RequestReused; of `beside`: BookingNotFound, BookingExpired,
        AlreadyConfirmed, BookingReleased, BookingCancelled.
        """
        event = wanted.event_id
        digest = _digest_of("best", *best_arguments(wanted)) if request_id else ""
        request = BestRequest(new_ulid(), request_id, digest, wanted, self._limit_check)
        code, found = await self._outcome(BEST, event, request)
        return _answer(event, checked(code, found))

    async def extend_booking(self, booking: BookingId, customer: CustomerId | None) -> Booking:
        """Move the deadline to one hold TTL from now, at most to the event's `hold_max_ms`.

        Raises: BookingNotFound, BookingExpired, ExtendLimit, AlreadyConfirmed, BookingReleased,
        BookingCancelled.
        """
        return await self._run("extend_booking", booking, customer)

    async def release_booking(self, booking: BookingId, customer: CustomerId | None) -> Booking:
        """Release a pending booking; repeatable.

        Raises: BookingNotFound, BookingExpired, AlreadyConfirmed, BookingCancelled.
        """
        return await self._run("release_booking", booking, customer)

    async def confirm_booking(
        self,
        booking: BookingId,
        customer: CustomerId | None,
        payment: PaymentReport = UNCHECKED,
    ) -> Booking:
        """Confirm a booking by this payment; repeatable. An expired one gets its free places back.

        A payment that does not buy the places is recorded all the same, and owed.

        Raises: BookingNotFound, BookingCancelled, AmountDiffers, RefundDue, PaidTwice,
        PaymentRefunded, TooManyPayments; NotOwner of a box office, PaymentByProvider of `free`.
        """
        event, ulid = split_booking(booking)
        request = ConfirmRequest(ulid, customer, _told(payment), self._limit_check)
        return _answer(event, checked(*await self._outcome(CONFIRM, event, request)))

    async def update_payment(
        self, booking: BookingId, what: PaymentUpdate, payment: PaymentReport
    ) -> Booking:
        """Record what the provider says of a payment other than that it succeeded; repeatable.

        Raises: EventNotFound, BookingNotFound, TooManyPayments.
        """
        event, ulid = split_booking(booking)
        found = await self._scripts.run(
            "update_payment",
            [*keys.of_event(event), keys.hold(event, ulid)],
            [self.now_ms, ulid, what, *_told(payment)[:3]],
        )
        return _answer(event, found)

    async def cancel_booking(self, booking: BookingId, customer: CustomerId | None) -> Booking:
        """Cancel a confirmed booking and record what is owed of its payments; repeatable.

        `customer` may be the organiser of the event too.

        Raises: BookingNotFound, NotConfirmed, BookingExpired, BookingReleased, CancelClosed.
        """
        return await self._run("cancel_booking", booking, customer)

    async def reinstate_booking(self, booking: Booking) -> Booking:
        """Put a confirmed booking that Postgres has and Redis lacks back into Redis.

        Raises: EventNotFound, BookingKnown, SeatTaken, SeatNotFound, AreaFull, AreaNotFound.
        """
        event, ulid = split_booking(booking.id)
        found = await self._scripts.run(
            "reinstate_booking", keys.of_event(event), [self.now_ms, ulid, json_of(booking)]
        )
        return _answer(event, found)

    async def expire_bookings(
        self, event: EventId, ulids: Sequence[str] = (), *, path: str
    ) -> Expired:
        """Expire overdue bookings: those of `ulids`, or the earliest deadlines. At most EXPIRE_MAX.

        Raises: EventNotFound.
        """
        found = await self._scripts.run(
            "expire_bookings", keys.of_event(event), [self.now_ms, EXPIRE_MAX, *ulids]
        )
        now_ms, next_ms, _, forgotten, *late = found
        late_ms = tuple(int(ms) for ms in late)
        _count_expired(path, late_ms)
        return Expired(int(now_ms), int(next_ms) if next_ms else None, late_ms, int(forgotten))

    async def read_booking(self, booking: BookingId, customer: CustomerId | None) -> Booking:
        """One booking, while Redis has it. Raises: BookingNotFound, also for another customer's."""
        event, ulid = split_booking(booking)
        json = await self._batcher.call(("HGET", keys.of_event(event).bookings, ulid))
        if isinstance(json, bytes):
            found = booking_of(event, ulid, json)
            if customer in (None, found.customer_id):
                return found
        elif json is not None:
            raise Unavailable(f"Redis cannot read the booking: {json!r}")
        raise BookingNotFound(booking)

    async def list_bookings(
        self, event: EventId, customer: CustomerId, limit: int, cursor: str | None = None
    ) -> Page:
        """The customer's pending and confirmed bookings, newest first."""
        named = keys.of_event(event)
        newest = f"({customer} {cursor}" if cursor else f"({customer}!"
        page = (newest, f"[{customer} ", "BYLEX", "REV", "LIMIT", 0, limit + 1)
        listed = await self._batcher.ask("ZRANGE", named.customers, *page)
        ulids = [member[-26:].decode() for member in listed]
        shown = ulids[:limit]
        records = await self._batcher.ask("HMGET", named.bookings, *shown) if shown else []
        bookings = tuple(
            booking_of(event, ulid, json)
            for ulid, json in zip(shown, records, strict=True)
            if json  # it may have ended in between
        )
        return Page(bookings, shown[-1] if len(ulids) > limit else None)

    async def _outcome(self, script: str, event: EventId, request: SharedRequest) -> Outcome:
        """The reply to a request whose call others may share."""
        code, found = await self._shared_calls.outcome(script, event, request, self.now_ms)
        if self._limit_check:
            return await self._scripts.read_limits(self._limit_check, code, found)
        return code, found

    async def _run(
        self, script: str, booking: BookingId, customer: CustomerId | None, *more: Argument
    ) -> Booking:
        event, ulid = split_booking(booking)
        found = await self._scripts.run(
            script,
            [*keys.of_event(event), keys.hold(event, ulid)],
            [self.now_ms, ulid, customer or "", *more],
            self._limit_check,
        )
        return _answer(event, found)


def _answer(event: EventId, found: list[bytes]) -> Booking:
    ulid, json, repeated, *late = found
    booking = booking_of(event, ulid.decode(), json)
    if booking.status == BookingStatus.CONFIRMED and repeated == b"new":
        metrics.tickets_sold.inc(booking.place_count)
    _count_expired("hold", [int(ms) for ms in late])
    return booking


def _told(payment: PaymentReport) -> list[Argument]:
    """A payment as `confirm_booking` reads it; `update_payment` reads the first three."""
    amount = "" if payment.amount_minor is None else payment.amount_minor
    return [payment.id, amount, payment.currency, payment.source, payment.note]


def _count_expired(path: str, late_ms: Sequence[int]) -> None:
    if late_ms:
        metrics.bookings_expired.inc(len(late_ms))
        observe_all(metrics.release_delay.labels(path), [ms / 1000 for ms in late_ms])


def _digest(seats: list[str], areas: Sequence[AreaQuantity]) -> str:
    """A digest of the selection in any sequence. Ids contain neither space nor `=`."""
    wanted = sorted(seats)
    if areas:
        wanted += sorted([f"{area.area_id}={area.quantity}" for area in areas])
    return blake2b(" ".join(wanted).encode(), digest_size=16).hexdigest()


def _digest_of(*values: Argument) -> str:
    return blake2b("|".join(map(str, values)).encode(), digest_size=16).hexdigest()
