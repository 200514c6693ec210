"""hold_seats.lua: every code of its header, and that a refusal changes nothing."""

import asyncio

import pytest
from redis.asyncio import Redis

from engine.errors import (
    AreaFull,
    AreaNotFound,
    EventNotFound,
    LimitReached,
    RequestReused,
    SalesClosed,
    SeatNotFound,
    SeatTaken,
    TooManySeats,
)
from engine.models import BookingStatus, Sales, TermsChange
from engine.payments import UNPAID_TTL_MS
from tests.support.box_office import START_MS, TTL_MS, BoxOffice
from tests.support.factories import GALA, selection
from tests.support.raw_redis import raw
from tests.support.readings import value


async def test_hold_seats_with_free_seats_holds_them(office: BoxOffice) -> None:
    await office.open()
    booking = await office.hold("ann", "A-1-1", "A-2-3")
    assert booking.status == BookingStatus.PENDING
    assert booking.seats == ("gala:A-1-1", "gala:A-2-3")
    assert booking.amount_minor == 3000
    assert booking.expires_at_ms == START_MS + TTL_MS
    assert await office.map() == "haaaa/aahaa"
    assert await office.kinds() == ["event_loaded", "seats_held"]


async def test_hold_seats_with_areas_takes_the_quantities(office: BoxOffice) -> None:
    await office.open(areas={"pit": 10, "lawn": 5})
    booking = await office.hold("ann", "A-1-1", pit=3, lawn=1)
    state = await office.state()
    assert booking.amount_minor == 1500 + 4 * 900
    assert (state.areas["pit"].held, state.areas["lawn"].held) == (3, 1)
    assert state.event.counts.held == 5


async def test_hold_seats_with_one_taken_holds_none(office: BoxOffice) -> None:
    await office.open()
    await office.hold("ann", "A-1-1")
    refusal = await office.refused(SeatTaken, office.hold("bob", "A-1-2", "A-1-1"))
    assert refusal.found == ("gala:A-1-1",)


async def test_hold_seats_with_a_sold_seat_is_refused(office: BoxOffice) -> None:
    await office.open()
    await office.confirm(await office.hold("ann", "A-1-1"))
    office.now_ms += 10 * TTL_MS
    await office.refused(SeatTaken, office.hold("bob", "A-1-1"))


async def test_hold_seats_with_a_blocked_seat_is_refused(office: BoxOffice) -> None:
    await office.open(blocked="A-1-2")
    await office.refused(SeatTaken, office.hold("bob", "A-1-2"))


async def test_hold_seats_without_the_event_is_refused(office: BoxOffice) -> None:
    await office.refused(EventNotFound, office.hold("ann", "A-1-1"))


async def test_hold_seats_with_unknown_seats_names_them(office: BoxOffice) -> None:
    await office.open()
    refusal = await office.refused(SeatNotFound, office.hold("ann", "A-1-1", "Z-1-1"))
    assert refusal.found == ("gala:Z-1-1",)


async def test_hold_seats_with_an_unknown_area_names_it(office: BoxOffice) -> None:
    await office.open(areas={"pit": 1})
    refusal = await office.refused(AreaNotFound, office.hold("ann", "A-1-1", moon=1))
    assert refusal.found == ("moon",)


async def test_hold_seats_with_a_full_area_holds_nothing(office: BoxOffice) -> None:
    await office.open(areas={"pit": 3})
    await office.hold("ann", pit=2)
    refusal = await office.refused(AreaFull, office.hold("bob", "A-1-1", pit=2))
    assert refusal.found == ("pit",)
    await office.hold("bob", pit=1)


@pytest.mark.parametrize("sales", [Sales.PAUSED, Sales.CLOSED])
async def test_hold_seats_while_not_on_sale_is_refused(office: BoxOffice, sales: Sales) -> None:
    await office.open(sales=sales)
    refusal = await office.refused(SalesClosed, office.hold("ann", "A-1-1"))
    assert refusal.found == (sales,)


async def test_hold_seats_outside_the_sales_window_is_refused(office: BoxOffice) -> None:
    await office.open(opens_at_ms=START_MS + 10, closes_at_ms=START_MS + 20)
    early = await office.refused(SalesClosed, office.hold("ann", "A-1-1"))
    office.now_ms = START_MS + 20
    late = await office.refused(SalesClosed, office.hold("ann", "A-1-1"))
    assert (early.found, late.found) == (("not_yet",), ("ended",))
    office.now_ms = START_MS + 10
    await office.hold("ann", "A-1-1")


async def test_hold_seats_over_the_maximum_is_refused(office: BoxOffice) -> None:
    await office.open(seats_max=3, areas={"pit": 9})
    refusal = await office.refused(TooManySeats, office.hold("ann", "A-1-1", "A-1-2", pit=2))
    assert refusal.found == ("3",)


async def test_hold_seats_over_the_purchase_limit_counts_held_and_sold(office: BoxOffice) -> None:
    await office.open(customer_max=3)
    await office.confirm(await office.hold("ann", "A-1-1"))
    await office.hold("ann", "A-1-2")
    refusal = await office.refused(LimitReached, office.hold("ann", "A-1-3", "A-1-4"))
    assert refusal.found == ("3", "2")
    await office.hold("ann", "A-1-3")
    await office.hold("an", "A-2-1", "A-2-2", "A-2-3")  # another customer, a prefix of the first


async def test_hold_seats_after_long_time_keeps_the_limit_on_what_is_sold(
    office: BoxOffice,
) -> None:
    await office.open(customer_max=1)
    await office.confirm(await office.hold("ann", "A-1-1"))
    office.now_ms += 400 * 86_400_000
    await office.refused(LimitReached, office.hold("ann", "A-1-2"))


async def test_hold_seats_with_an_overdue_hold_gives_the_seat_to_the_next(
    office: BoxOffice,
) -> None:
    await office.open()
    first = await office.hold("ann", "A-1-1", "A-1-2")
    office.now_ms += TTL_MS - 1
    await office.refused(SeatTaken, office.hold("bob", "A-1-1"))
    office.now_ms += 1
    await office.hold("bob", "A-1-1")
    assert (await office.kept(first)).status == BookingStatus.EXPIRED
    assert await office.map() == "haaaa/aaaaa"
    assert await office.kinds() == ["event_loaded", "seats_held", "booking_expired", "seats_held"]


async def test_hold_seats_over_an_expired_hold_returns_how_late_it_was(office: BoxOffice) -> None:
    def told() -> list[float]:
        names = [f"engine_release_delay_seconds_{of}" for of in ("count", "sum")]
        return [value(name, path="hold") or 0.0 for name in names]

    await office.open()
    await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS + 250
    (count, late_s), _ = told(), await office.hold("bob", "A-1-1")
    assert told() == [count + 1, pytest.approx(late_s + 0.25)]


async def test_hold_seats_refused_for_another_seat_leaves_the_overdue_hold(
    office: BoxOffice,
) -> None:
    await office.open()
    await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS
    await office.hold("cyd", "A-1-2")
    await office.refused(SeatTaken, office.hold("bob", "A-1-1", "A-1-2"))


async def test_hold_seats_with_overdue_places_of_an_area_gives_them_on(office: BoxOffice) -> None:
    await office.open(areas={"pit": 4})
    await office.hold("ann", pit=3)
    await office.confirm(await office.hold("cyd", pit=1))
    office.now_ms += TTL_MS
    await office.refused(AreaFull, office.hold("bob", pit=4))
    await office.hold("bob", pit=2)
    assert (await office.state()).areas["pit"].held == 2


async def test_hold_seats_of_many_full_areas_reads_the_overdue_holds_once(
    office: BoxOffice, redis: Redis
) -> None:
    areas = {f"pit-{number}": 4 for number in range(10)}
    await office.open(areas=areas, seats_max=50)
    for number in range(4):
        await office.hold(f"c{number}", **dict.fromkeys(areas, 1))  # type: ignore[arg-type]
    office.now_ms += TTL_MS

    async def reads() -> tuple[int, ...]:
        done: dict[str, dict[str, int]] = await redis.info("commandstats")
        return tuple(done[f"cmdstat_{name}"]["calls"] for name in ("zrange", "hmget"))

    before = await reads()
    await office.refused(AreaFull, office.hold("eve", **dict.fromkeys(areas, 5)))  # type: ignore[arg-type]
    refused = await reads()
    await office.hold("eve", **dict.fromkeys(areas, 1))  # type: ignore[arg-type]
    assert refused[0] - before[0] == 1
    assert refused[1] - before[1] <= 3
    assert (await office.state()).areas["pit-9"].held == 1


async def test_hold_seats_with_own_overdue_hold_does_not_count_it(office: BoxOffice) -> None:
    await office.open(customer_max=2)
    await office.hold("ann", "A-1-1", "A-1-2")
    office.now_ms += TTL_MS
    await office.hold("ann", "A-2-1", "A-2-2")
    assert await office.map() == "aaaaa/hhaaa"


async def test_hold_seats_repeated_has_the_same_outcome_and_one_effect(office: BoxOffice) -> None:
    await office.open()
    first = await office.hold("ann", "A-1-1", "A-1-2", request="r1")
    before = await office.everything()
    assert await office.hold("ann", "A-1-2", "A-1-1", request="r1") == first
    assert await office.everything() == before
    await office.hold("bob", "A-2-1", request="r1")  # another customer's r1


async def test_hold_seats_repeated_after_sales_closed_still_answers(office: BoxOffice) -> None:
    await office.open()
    first = await office.hold("ann", "A-1-1", request="r1")
    await office.engine.events.set_terms(GALA, TermsChange(sales=Sales.CLOSED))
    assert (await office.hold("ann", "A-1-1", request="r1")).id == first.id


async def test_hold_seats_with_a_used_request_id_and_another_order_is_refused(
    office: BoxOffice,
) -> None:
    await office.open(areas={"pit": 5})
    await office.hold("ann", "A-1-1", pit=1, request="r1")
    await office.refused(RequestReused, office.hold("ann", "A-1-2", pit=1, request="r1"))
    await office.refused(RequestReused, office.hold("ann", "A-1-1", pit=2, request="r1"))


async def test_hold_seats_fifty_times_at_once_with_one_request_id_has_one_effect(
    office: BoxOffice,
) -> None:
    await office.open()
    wanted = selection("ann", "A-1-1")
    answers = await asyncio.gather(
        *(office.bookings.hold_seats(wanted, request_id="r1") for _ in range(50))
    )
    assert len(set(answers)) == 1
    assert (await office.state()).event.counts.held == 1


async def test_hold_seats_leaves_keys_with_ttls(office: BoxOffice) -> None:
    await office.open(hold_ttl_ms=30_000, ended_ttl_ms=90_000)
    booking = await office.hold("ann", "A-1-1", request="r1")
    redis = raw(office.engine)
    (request,) = await redis.keys("{gala}:request:*")
    assert 80_000 < await redis.pttl(request) <= 90_000
    assert 20_000 < await redis.pttl(f"{{gala}}:hold:{booking.id[5:]}") <= 30_000


async def test_hold_seats_knows_a_request_no_longer_than_an_unpaid_booking(
    office: BoxOffice,
) -> None:
    await office.open()
    await office.hold("ann", "A-1-1", request="r1")
    (request,) = await raw(office.engine).keys("{gala}:request:*")
    assert 0 < await raw(office.engine).pttl(request) <= UNPAID_TTL_MS


async def test_hold_seats_of_a_request_whose_booking_was_lost_is_a_new_booking(
    office: BoxOffice,
) -> None:
    await office.open()
    lost = await office.hold("ann", "A-1-1", request="r1")
    redis = raw(office.engine)
    (name,) = await redis.keys("{gala}:request:*")
    remembered = await redis.get(name)
    await redis.flushall()
    await office.open()
    await redis.set(name, remembered)
    again = await office.hold("ann", "A-1-1", request="r1")
    assert again.id != lost.id
    assert (await office.state()).seats["A-1-1"].booking == again.id[5:]
    assert await redis.exists(f"{{gala}}:hold:{again.id[5:]}"), "its own key ends it"
