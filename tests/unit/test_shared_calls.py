"""Holds and payments of one tick: one call an event and script, an outcome for each caller."""

import asyncio
from collections.abc import Awaitable

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from engine import Engine, Settings
from engine.errors import (
    AmountDiffers,
    AreaFull,
    BookingNotFound,
    EventNotFound,
    Overloaded,
    PaidTwice,
    RateLimited,
    RequestReused,
    Restoring,
    ScriptDefect,
    SeatNotFound,
    SeatTaken,
    TooManySeats,
)
from engine.ids import CustomerId, EventId
from engine.limits import Limit, LimitCheck
from engine.models import Booking, BookingStatus, PaymentReport, PaymentSource
from engine.restore.staging import Stub
from engine.shared_calls import PLACES_MAX, REQUESTS_MAX
from tests.support.factories import GALA, layout, selection, terms

SEATS = [f"A-{row}-{number}" for row in (1, 2) for number in range(1, 51)]


@pytest.fixture
async def hall(engine: Engine) -> Engine:
    """An engine with a hall of a hundred seats on sale."""
    await engine.events.load_event(GALA, layout(2, 50), terms(seats_max=50))
    return engine


async def _calls(redis: Redis, *names: str) -> int:
    stats = await redis.info("commandstats")
    found = (stats.get(f"cmdstat_{name}", {"calls": 0}) for name in names or ("eval", "evalsha"))
    return sum(counts["calls"] for counts in found)


async def _warm(engine: Engine, event: EventId = GALA) -> None:
    """Redis knows the script."""
    with pytest.raises(SeatNotFound):
        await engine.bookings.hold_seats(selection("ann", "Z-9-9", event=event))


async def _outcomes(*holds: Awaitable[Booking]) -> list[type]:
    replies = await asyncio.gather(*holds, return_exceptions=True)
    return [type(reply) for reply in replies]


async def test_holds_of_one_tick_are_one_call_with_an_outcome_each(
    hall: Engine, redis: Redis
) -> None:
    await _warm(hall)
    before = await _calls(redis)
    hold = hall.bookings.hold_seats
    outcomes = await _outcomes(
        hold(selection("ann", "A-1-1")),
        hold(selection("bob", "A-1-1")),
        hold(selection("bob", "A-1-2", "Z-9-9")),
        hold(selection("cid", *SEATS[:51])),
        hold(selection("cid", "A-1-2")),
    )
    assert outcomes == [Booking, SeatTaken, SeatNotFound, TooManySeats, Booking]
    assert await _calls(redis) == before + 1


async def test_a_call_has_a_bounded_number_of_requests(hall: Engine, redis: Redis) -> None:
    await _warm(hall)
    before = await _calls(redis)
    wanted = [selection("ann", seat) for seat in SEATS[: 2 * REQUESTS_MAX + 1]]
    assert set(await _outcomes(*map(hall.bookings.hold_seats, wanted))) == {Booking}
    assert await _calls(redis) == before + 3


async def test_a_call_has_a_bounded_number_of_places(hall: Engine, redis: Redis) -> None:
    await _warm(hall)
    before = await _calls(redis)
    wanted = [selection("ann", *SEATS[:50]) for _ in range(2 * -(-PLACES_MAX // 50))]
    outcomes = await _outcomes(*map(hall.bookings.hold_seats, wanted))
    assert outcomes == [Booking, *[SeatTaken] * (len(wanted) - 1)]
    assert await _calls(redis) == before + 2


async def test_each_event_has_a_call_of_its_own(hall: Engine, redis: Redis) -> None:
    other = EventId("other")
    await hall.events.load_event(other, layout(1, 5), terms())
    await _warm(hall)
    before = await _calls(redis)
    hold = hall.bookings.hold_seats
    outcomes = await _outcomes(
        hold(selection("ann", "A-1-1")),
        hold(selection("ann", "A-1-1", event=other)),
        hold(selection("bob", "A-1-1", event=EventId("nowhere"))),
        hold(selection("bob", "A-1-1", event=other)),
    )
    assert outcomes == [Booking, Booking, EventNotFound, SeatTaken]
    assert await _calls(redis) == before + 3


async def test_a_caller_that_is_cancelled_before_its_request_is_sent_holds_nothing(
    hall: Engine,
) -> None:
    gone = asyncio.create_task(hall.bookings.hold_seats(selection("ann", "A-1-1")))
    stays = asyncio.create_task(hall.bookings.hold_seats(selection("bob", "A-1-2")))
    hall_closes = asyncio.get_running_loop().call_soon(gone.cancel)
    assert isinstance(await stays, Booking)
    assert not hall_closes.cancelled()
    assert gone.cancelled()
    assert (await hall.availability.read_map(GALA)).map.startswith("ah")


async def test_nothing_is_sent_for_callers_that_are_all_cancelled(
    hall: Engine, redis: Redis
) -> None:
    await _warm(hall)
    before = await _calls(redis)
    gone = [
        asyncio.create_task(hall.bookings.hold_seats(selection("ann", seat))) for seat in SEATS[:3]
    ]
    for task in gone:
        asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.wait(gone)
    assert await _calls(redis) == before
    assert isinstance(await hall.bookings.hold_seats(selection("bob", "A-1-1")), Booking)


async def test_a_caller_that_is_cancelled_at_any_moment_disturbs_no_other(hall: Engine) -> None:
    for number in range(30):
        seats = SEATS[3 * number : 3 * number + 3]
        tasks = [
            asyncio.create_task(hall.bookings.hold_seats(selection("ann", seat))) for seat in seats
        ]
        for _ in range(number % 6):
            await asyncio.sleep(0)
        tasks[1].cancel()
        first, _, third = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, Booking)
        assert isinstance(third, Booking)
        assert [first.seats, third.seats] == [(f"gala:{seats[0]}",), (f"gala:{seats[2]}",)]


async def test_requests_of_one_call_are_limited_one_by_one(hall: Engine) -> None:
    def held(seat: str) -> Awaitable[Booking]:
        check = LimitCheck((Limit("holds", "ann", 60_000, 2),))
        return hall.bookings.under(check).hold_seats(selection("ann", seat))

    unlimited = hall.bookings.hold_seats(selection("bob", "A-1-3"))
    outcomes = await _outcomes(held("A-1-1"), held("A-1-1"), held("A-1-2"), unlimited)
    assert outcomes == [Booking, SeatTaken, RateLimited, Booking]


async def test_no_request_of_a_fenced_event_is_tried(hall: Engine, redis: Redis) -> None:
    await hall.restores.fence_event(GALA, "lost", Stub({}, b""), restore="0" * 26, epoch="*")
    wanted = [selection("ann", seat) for seat in SEATS[:3]]
    assert set(await _outcomes(*map(hall.bookings.hold_seats, wanted))) == {Restoring}
    limited = hall.bookings.under(LimitCheck((Limit("holds", "ann", 60_000, 1),)))
    assert await _outcomes(limited.hold_seats(wanted[0])) == [Restoring]
    assert await redis.exists(*LimitCheck((Limit("holds", "ann", 60_000, 1),)).keys("{gala}"))


async def test_damage_that_one_request_meets_is_its_own(engine: Engine, redis: Redis) -> None:
    await engine.events.load_event(GALA, layout(2, 5, areas={"pit": 5}), terms())
    await redis.hset("{gala}:seats", "A-1-2", "1,9,a")  # a category without a price
    hold = engine.bookings.hold_seats
    outcomes = await _outcomes(
        hold(selection("ann", "A-1-1", areas={"pit": 2})),
        hold(selection("bob", "A-1-2")),
        hold(selection("cid", "A-1-3")),
    )
    assert outcomes == [Booking, ScriptDefect, Booking]
    counts = (await engine.events.read_event(GALA)).counts
    assert (counts.held, await redis.zcard("{gala}:customers")) == (4, 2)


async def test_more_holds_than_may_wait_are_rejected_untried(
    hall: Engine, settings: Settings
) -> None:
    async with await Engine.connect(replace(settings, calls_waiting_max=20)) as small:
        wanted = [selection("ann", seat) for seat in SEATS[:30]]
        outcomes = await _outcomes(*map(small.bookings.hold_seats, wanted))
    assert outcomes == [*[Booking] * 20, *[Overloaded] * 10]
    assert (await hall.availability.read_map(GALA)).counts.held == 20


@pytest.mark.parametrize("seats", [SEATS[:1], SEATS[:3], SEATS[:40]])
async def test_a_request_id_stands_for_one_selection_in_any_sequence(
    hall: Engine, seats: list[str]
) -> None:
    hold = hall.bookings.hold_seats
    first = await hold(selection("ann", *seats), request_id="r")
    again = await hold(selection("ann", *reversed(seats)), request_id="r")
    assert again == first
    for other in (SEATS[50:52], [*seats, SEATS[60]], [*seats[1:], SEATS[61]]):
        with pytest.raises(RequestReused):
            await hold(selection("ann", *other), request_id="r")


async def test_overdue_holds_of_areas_are_read_once_for_all_requests(
    engine: Engine, redis: Redis
) -> None:
    await engine.events.load_event(GALA, layout(areas={"floor": 1}), terms())
    hold = engine.bookings.hold_seats
    await hold(selection("ann", areas={"floor": 1}))
    before = await _calls(redis, "zrange")
    outcomes = await _outcomes(*(hold(selection(f"b{n}", areas={"floor": 1})) for n in range(3)))
    assert outcomes == [AreaFull] * 3
    assert await _calls(redis, "zrange") - before == 1


async def test_place_of_an_overdue_hold_goes_to_one_request_of_a_call(engine: Engine) -> None:
    await engine.events.load_event(GALA, layout(areas={"floor": 1}), terms())
    hold, began_ms = engine.bookings.hold_seats, 1_800_000_000_000
    engine.bookings.now_ms = began_ms
    await hold(selection("ann", areas={"floor": 1}))
    engine.bookings.now_ms = began_ms + 60_000
    outcomes = await _outcomes(*(hold(selection(f"b{n}", areas={"floor": 1})) for n in range(3)))
    assert outcomes == [Booking, AreaFull, AreaFull]
    assert (await engine.events.read_event(GALA)).counts.held == 1


async def test_a_seat_of_a_damaged_value_is_neither_held_nor_paid(
    hall: Engine, redis: Redis
) -> None:
    held = await hall.bookings.hold_seats(selection("ann", "A-1-1"))
    await redis.hset("{gala}:seats", "A-1-1", "damaged")
    with pytest.raises(ScriptDefect, match="A-1-1"):
        await hall.bookings.hold_seats(selection("bob", "A-1-1"))
    with pytest.raises(ScriptDefect, match="A-1-1"):
        await hall.bookings.confirm_booking(held.id, held.customer_id)
    assert await hall.bookings.read_booking(held.id, held.customer_id) == held


async def test_payments_of_one_tick_are_one_call_with_an_outcome_each(
    hall: Engine, redis: Redis
) -> None:
    await _warm(hall)
    held = [await hall.bookings.hold_seats(selection("ann", seat)) for seat in SEATS[:3]]
    pay = hall.bookings.confirm_booking
    await pay(held[0].id, held[0].customer_id)
    before = await _calls(redis)
    by_provider = PaymentReport(source=PaymentSource.PROVIDER, id="pi_1")
    outcomes = await _outcomes(
        pay(held[0].id, held[0].customer_id),
        pay(held[1].id, CustomerId("bob")),
        pay(held[1].id, None, by_provider),
        pay(held[1].id, None, replace(by_provider, id="pi_2")),
        pay(held[2].id, None, replace(by_provider, amount_minor=1)),
        pay(held[2].id, held[2].customer_id),
    )
    assert outcomes == [Booking, BookingNotFound, Booking, PaidTwice, AmountDiffers, Booking]
    assert await _calls(redis) == before + 1
    assert (await hall.events.read_event(GALA)).counts.sold == 3
    assert not await redis.keys("{gala}:hold:*")


async def test_payments_of_one_call_are_limited_one_by_one(hall: Engine) -> None:
    held = [await hall.bookings.hold_seats(selection("ann", seat)) for seat in SEATS[:4]]

    def paid(number: int, limit: int = 2) -> Awaitable[Booking]:
        check = LimitCheck((Limit("payments", "ann", 60_000, limit),))
        booking = held[number]
        return hall.bookings.under(check).confirm_booking(booking.id, booking.customer_id)

    unlimited = hall.bookings.confirm_booking(held[3].id, held[3].customer_id)
    outcomes = await _outcomes(paid(0), paid(1), paid(2), unlimited)
    assert outcomes == [Booking, Booking, RateLimited, Booking]


async def test_holds_and_payments_of_one_tick_have_a_call_each(hall: Engine, redis: Redis) -> None:
    await _warm(hall)
    held = await hall.bookings.hold_seats(selection("ann", "A-1-1"))
    await hall.bookings.confirm_booking(held.id, held.customer_id)
    before = await _calls(redis)
    outcomes = await _outcomes(
        hall.bookings.hold_seats(selection("bob", "A-1-2")),
        hall.bookings.confirm_booking(held.id, held.customer_id),
        hall.bookings.hold_seats(selection("bob", "A-1-3")),
    )
    assert outcomes == [Booking] * 3
    assert await _calls(redis) == before + 2


async def test_damage_that_one_payment_meets_is_its_own(hall: Engine, redis: Redis) -> None:
    held = [await hall.bookings.hold_seats(selection("ann", seat)) for seat in SEATS[:3]]
    second = held[1]
    await redis.hset("{gala}:seats", "A-1-2", "damaged")
    pay = hall.bookings.confirm_booking
    outcomes = await _outcomes(*(pay(booking.id, booking.customer_id) for booking in held))
    assert outcomes == [Booking, ScriptDefect, Booking]
    event = await hall.events.read_event(GALA)
    assert (event.counts.held, event.counts.sold) == (1, 2)
    assert (await pay(held[2].id, held[2].customer_id)).status == BookingStatus.CONFIRMED
    assert await redis.keys("{gala}:hold:*") == [f"{{gala}}:hold:{second.id[5:]}".encode()]
