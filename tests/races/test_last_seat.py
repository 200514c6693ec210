"""T21: many customers, few seats. First the control: the same fight without a script oversells."""

import asyncio
import itertools
from collections import Counter

import pytest
from redis.asyncio import Redis

from engine import Engine, invariants
from engine.errors import AreaFull, LimitReached, Refused, SeatTaken
from engine.event_state import read_state
from engine.models import Booking, Selection
from tests.support.factories import GALA, layout, selection, terms
from tests.support.trials import Trial

CUSTOMERS = 60
SEATS = [f"A-1-{number}" for number in range(1, 6)]


async def test_control_read_then_write_sells_the_last_seat_twice(redis: Redis) -> None:
    winners: list[int] = []
    all_have_read = asyncio.Barrier(CUSTOMERS)

    async def naive(customer: int) -> None:
        owner = await redis.get("seat")
        await all_have_read.wait()  # what the same millisecond does to them
        if owner is None:
            await redis.set("seat", customer)
            winners.append(customer)

    await asyncio.gather(*(naive(customer) for customer in range(CUSTOMERS)))
    assert len(winners) == CUSTOMERS


async def _hold_all(engine: Engine, selections: list[Selection]) -> list[Booking]:
    """Hold them all at once; those that got their seats."""
    calls = (engine.bookings.hold_seats(wanted) for wanted in selections)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(answer, Booking | Refused) for answer in answers)
    return [answer for answer in answers if isinstance(answer, Booking)]


async def _sound(engine: Engine) -> Counter[str]:
    """Check every promise; how many seats have each letter."""
    state = await read_state(engine, GALA)
    assert invariants.check(state) == []
    return Counter(seat.letter for seat in state.seats.values())


@pytest.mark.trial("T21")
async def test_last_seat_goes_to_exactly_one(engine: Engine, trial: Trial) -> None:
    rounds = trial.rounds(20, 1_000)
    await engine.events.load_event(GALA, layout(rows=1, seats=1), terms())
    for _ in range(rounds):
        buyers = trial.random.choice((2, 5, 20, CUSTOMERS, 500 if trial.long else CUSTOMERS))
        selections = [selection(f"c{n}", "A-1-1") for n in range(buyers)]
        (winner,) = await _hold_all(engine, selections)
        assert await _sound(engine) == {"h": 1}
        await engine.bookings.release_booking(winner.id, None)
    trial.tell(rounds, "2 to 500 buyers for the last seat", "winners other than 1: 0")


@pytest.mark.trial("T21")
async def test_overlapping_orders_never_share_a_seat_and_leave_none_stranded(
    engine: Engine, trial: Trial
) -> None:
    rounds = trial.rounds(20, 1_000)
    await engine.events.load_event(GALA, layout(rows=1), terms())
    random = trial.random
    for _ in range(rounds):
        selections = [
            selection(f"c{n}", *random.sample(SEATS, random.randint(1, 4)))
            for n in range(CUSTOMERS)
        ]
        held = await _hold_all(engine, selections)
        seats = [seat for booking in held for seat in booking.seats]
        assert len(seats) == len(set(seats))
        letters = await _sound(engine)
        assert letters["h"] == len(seats)
        free = {f"gala:{seat}" for seat in SEATS} - set(seats)
        assert not any(set(wanted.seats) <= free for wanted in selections)
        await asyncio.gather(*(engine.bookings.release_booking(b.id, None) for b in held))
    trial.tell(
        rounds, f"{CUSTOMERS} overlapping baskets of 1 to 4 of 5 seats",
        "a seat in two baskets 0; stranded seats 0: no basket refused that was wholly free",
    )  # fmt: skip


async def test_exactly_the_capacity_of_an_area_can_be_held(engine: Engine) -> None:
    await engine.events.load_event(GALA, layout(rows=0, areas={"pit": 50}), terms())
    selections = [selection(f"c{n}", pit=1 + n % 3) for n in range(80)]
    held = await _hold_all(engine, [*selections, *(selection(f"d{n}", pit=1) for n in range(50))])
    assert sum(booking.place_count for booking in held) == 50
    await _sound(engine)


async def test_one_customer_from_many_sessions_keeps_to_the_limit(engine: Engine) -> None:
    await engine.events.load_event(GALA, layout(seats=20), terms(customer_max=4))
    seats = [f"A-{row}-{seat}" for row, seat in itertools.product((1, 2), range(1, 21))]
    held = await _hold_all(engine, [selection("ann", seat) for seat in seats])
    assert len(held) == 4


async def test_confirm_release_and_expire_at_once_have_one_outcome(engine: Engine) -> None:
    await engine.events.load_event(GALA, layout(rows=1, seats=1), terms())
    outcomes: Counter[str] = Counter()
    for _ in range(100):
        held = await engine.bookings.hold_seats(selection("ann", "A-1-1"))
        bookings = engine.bookings
        await asyncio.gather(
            bookings.confirm_booking(held.id, None),
            bookings.release_booking(held.id, None),
            bookings.expire_bookings(GALA, [held.id[5:]], path="listener"),
            return_exceptions=True,
        )
        ended = await bookings.read_booking(held.id, None)
        outcomes[ended.status] += 1
        await _sound(engine)
        if ended.status == "confirmed":
            await bookings.cancel_booking(held.id, None)
    assert set(outcomes) <= {"confirmed", "released"}


async def test_refusals_name_why(engine: Engine) -> None:
    await engine.events.load_event(GALA, layout(rows=1, areas={"pit": 1}), terms(customer_max=2))
    selections = [selection("ann", "A-1-1"), selection("bob", "A-1-1"), selection("bob", pit=2)]
    selections += [selection("ann", "A-1-2", "A-1-3")]
    calls = (engine.bookings.hold_seats(wanted) for wanted in selections)
    kinds = [type(answer) for answer in await asyncio.gather(*calls, return_exceptions=True)]
    assert kinds == [Booking, SeatTaken, AreaFull, LimitReached]
