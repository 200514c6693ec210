"""What the machine chooses from: few seats, few customers, so that everything meets."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st
from msgspec.structs import replace

from engine.ids import AreaId, BookingId, CustomerId
from engine.models import (
    PAYMENT_MS_MAX,
    AreaQuantity,
    Booking,
    BookingStatus,
    LatePayment,
    Layout,
    LayoutArea,
    LayoutRow,
    LayoutSeat,
    LayoutSection,
    PaymentReport,
    PaymentSource,
    Sales,
    Selection,
    Terms,
    TermsChange,
)
from engine.payments import payments_of
from engine.plans.layout import with_version
from tests.support import factories
from tests.support.box_office import START_MS
from tests.support.factories import GALA, selection

CUSTOMERS = ("ann", "bob", "ann!")
AREAS = ("pit", "floor", "nowhere")
OWNERS = st.sampled_from(("", "", "org", "rival"))
TTL_MS = 60_000
ENDED_TTL_MS = 400_000

Damage = Callable[[Any, int], Awaitable[object]]


def _grown() -> list[Layout]:
    """A small house with a free standing area, then with a row and an area more, then another."""
    first = factories.layout(rows=2, seats=3, areas={"pit": 3}, blocked="A-2-3")
    seat, standing = first.categories
    house = [with_version(replace(first, categories=(seat, replace(standing, price_minor=0))))]
    for number in (3, 4):
        base = house[-1]
        row = LayoutRow(
            id=str(number),
            index=(number - 1) * 4,
            seats=tuple(
                LayoutSeat(
                    id=f"A-{number}-{n}", number=str(n), category="seat", blocked=number == n
                )
                for n in range(1, 4)
            ),
        )
        section = base.sections[0]
        rows = LayoutSection(id=section.id, name=section.name, rows=(*section.rows, row))
        floor = LayoutArea(id="floor", name="floor", category="seat", capacity=2)
        areas = (*base.areas, floor) if number == 3 else base.areas
        house.append(with_version(replace(base, sections=(rows,), areas=areas)))
    return house


LAYOUTS = _grown()
SEATS = ("A-1-1", "A-1-2", "A-1-3", "A-2-1", "A-2-2", "A-2-3", "A-3-3", "Z-9-9")


class Basket(NamedTuple):
    """A customer and the places that they want."""

    customer: str
    seats: tuple[str, ...]
    areas: tuple[tuple[str, int], ...]

    def selection(self) -> Selection:
        """As the engine takes it; something in it at least."""
        seats = self.seats if self.seats or self.areas else ("A-1-1",)
        return selection(self.customer, *seats, areas=dict(self.areas))


def baskets() -> st.SearchStrategy[Basket]:
    """Mostly a seat or two; sometimes places of an area, sometimes what does not exist."""
    seats = st.lists(st.sampled_from(SEATS), max_size=3, unique=True).map(tuple)
    one = st.tuples(st.sampled_from(AREAS), st.integers(1, 3))
    areas = st.lists(one, max_size=2, unique_by=lambda area: area[0]).map(tuple)
    return st.builds(Basket, st.sampled_from(CUSTOMERS), seats, areas)


def seats_wanted() -> st.SearchStrategy[Basket]:
    """A seat or two, all of which exist."""
    seats = st.lists(st.sampled_from(SEATS[:5]), min_size=1, max_size=2, unique=True).map(tuple)
    return st.builds(Basket, st.sampled_from(CUSTOMERS), seats, st.just(()))


def places_wanted() -> st.SearchStrategy[Basket]:
    """A place or two in an area, perhaps with a seat."""
    seats = st.lists(st.sampled_from(SEATS[:3]), max_size=1).map(tuple)
    areas = st.integers(1, 2).map(lambda quantity: (("pit", quantity),))
    return st.builds(Basket, st.sampled_from(CUSTOMERS), seats, areas)


def seat_lists() -> st.SearchStrategy[list[str]]:
    """Seats to block, some of them twice."""
    return st.lists(st.sampled_from(SEATS), min_size=1, max_size=4)


def terms() -> st.SearchStrategy[Terms]:
    """With and without purchase limits; extensions that reach their cap at once or later."""
    return st.builds(
        lambda seats_max, customer_max, hold_max_ms: factories.terms(
            owner_id="org",
            hold_ttl_ms=TTL_MS,
            ended_ttl_ms=ENDED_TTL_MS,
            seats_max=seats_max,
            customer_max=customer_max,
            hold_max_ms=hold_max_ms,
        ),
        st.sampled_from((5, 3)),
        st.sampled_from((0, 0, 4)),
        st.sampled_from((0, TTL_MS + 30_000)),
    )


def terms_changes() -> st.SearchStrategy[TermsChange]:
    """Open more often than not, or the machine would do little else."""
    times = st.sampled_from((None, 0, START_MS, START_MS + 60_000, START_MS + 600_000))
    sales = st.sampled_from((None, Sales.OPEN, Sales.OPEN, Sales.PAUSED, Sales.CLOSED))
    opened = st.just(TermsChange(sales=Sales.OPEN, opens_at_ms=0, closes_at_ms=0))
    return opened | st.builds(
        TermsChange,
        sales=sales,
        opens_at_ms=times,
        closes_at_ms=times,
        starts_at_ms=times,
        time_zone=st.sampled_from((None, "", "Europe/Berlin")),
        cancel_until_ms=times,
        late_payment=st.sampled_from((None, *LatePayment)),
        payment_max_ms=st.sampled_from((None, 0, TTL_MS - 1, TTL_MS, PAYMENT_MS_MAX)),
    )


def payment_ids() -> st.SearchStrategy[str]:
    """So few that one comes again; "" where the provider names none."""
    return st.sampled_from(("", "pi_1", "pi_2", "pi_3"))


def payments() -> st.SearchStrategy[PaymentReport]:
    """The provider's word; the amount is how much more than the price it is."""
    return st.builds(
        PaymentReport,
        source=st.just(PaymentSource.PROVIDER),
        id=payment_ids(),
        amount_minor=st.sampled_from((None, None, 0, 1, -500)),
        currency=st.sampled_from(("", "EUR", "USD")),
    )


def remembered(booking_id: BookingId, basket: Basket, now_ms: int) -> Booking:
    """A sale as Postgres might have it."""
    wanted = basket.selection()
    sold = Booking(
        id=booking_id,
        event_id=GALA,
        customer_id=CustomerId(basket.customer),
        status=BookingStatus.CONFIRMED,
        seats=wanted.seats,
        areas=tuple(AreaQuantity(AreaId(a.area_id), a.quantity) for a in wanted.areas),
        amount_minor=1500,
        currency="EUR",
        held_at_ms=now_ms - 5000,
        expires_at_ms=now_ms + 5000,
        confirmed_at_ms=now_ms - 1000,
    )
    return replace(sold, payments=payments_of(sold))


async def _nothing(client: Any, pick: int) -> None:
    pass


async def _spoil_map(client: Any, pick: int) -> None:
    await client.setrange("{gala}:map", pick % 7, "/s"[pick % 2])


async def _lose_map(client: Any, pick: int) -> None:
    await client.delete("{gala}:map")


async def _longer_map(client: Any, pick: int) -> None:
    await client.append("{gala}:map", "/a"[pick % 2])


async def _spoil_counts(client: Any, pick: int) -> None:
    await client.hincrby("{gala}:event", ("available", "held", "sold", "blocked")[pick % 4], 1)


async def _spoil_areas(client: Any, pick: int) -> None:
    await client.hset("{gala}:areas", "pit", f"3,1,{pick % 2},{pick % 3}")


async def _spoil_lists(client: Any, pick: int) -> None:
    await client.delete("{gala}:deadlines", "{gala}:customers")


async def _spoil_deadlines(client: Any, pick: int) -> None:
    for ulid in await client.zrange("{gala}:deadlines", 0, -1):
        await client.zincrby("{gala}:deadlines", 1, ulid)


async def _spoil_seats(client: Any, pick: int) -> None:
    """A held seat, by another deadline than its booking's."""
    for seat, value in (await client.hgetall("{gala}:seats")).items():
        rest, _, deadline = value.decode().rpartition(",")
        if ",h," in rest:
            await client.hset("{gala}:seats", seat, f"{rest},{int(deadline) + pick % 3 - 1}")


async def _spoil_list(client: Any, pick: int) -> None:
    await client.zadd("{gala}:deadlines", {f"{pick:026d}": 1})
    await client.zadd("{gala}:customers", {f"ann {pick:026d}": 0})


async def _orphan(client: Any, pick: int) -> None:
    seat = f"A-2-{1 + pick % 2}"
    index, category, letter, *_ = (await client.hget("{gala}:seats", seat)).decode().split(",")
    if letter == "a":
        await client.hset("{gala}:seats", seat, f"{index},{category},h,{'0' * 26},{START_MS}")


DAMAGES: tuple[Damage, ...] = (
    *(_nothing, _spoil_map, _lose_map, _spoil_counts, _spoil_areas, _spoil_lists, _spoil_list),
    *(_spoil_deadlines, _spoil_seats, _longer_map, _orphan),
)
"""What may be wrong with what follows from seats and bookings."""


def damages() -> st.SearchStrategy[Damage]:
    """One of them."""
    return st.sampled_from(DAMAGES)
