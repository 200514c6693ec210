"""T02: the power fails. The append-only file ends anywhere after what was promised.

With `appendfsync always` an answered call is on the disk: the file is at least as long as when it
was answered. What stands behind that may be there, be missing, or end in the middle of a command.
The control cuts below the promise, and the checker sees what is lost.
"""

import asyncio
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import pytest

from engine import Engine, Settings, invariants
from engine.errors import Refused
from engine.event_state import EventState
from engine.models import Booking
from persistence.database import Pool
from persistence.journal.writer import Writer
from persistence.reconcile.reconciler import reconcile
from persistence.restorer import Restorer
from tests.persistence.running import drained, running, sold_seats
from tests.support.crowd import Crowd, EngineDesk, seats_of, state_of
from tests.support.factories import GALA, layout, selection, terms
from tests.support.own_valkey import OwnValkey
from tests.support.trials import Trial


class Step(NamedTuple):
    """What Redis had after an answered call, and how long the file was at that moment."""

    state: EventState
    file_bytes: int


async def _one(engine: Engine, random: Random, held: list[Booking], customer: str) -> None:
    """One call of a customer: hold one to three seats and some standing room, or end a booking."""
    bookings = engine.bookings
    if len(held) < 3 or random.random() < 0.5:
        seats = random.sample(seats_of(4, 10), random.randint(1, 3))
        wanted = selection(customer, *seats, pit=random.randint(1, 2))
        held.append(await bookings.hold_seats(wanted, request_id=customer))
        return
    booking = held.pop(random.randrange(len(held)))
    if booking.status == "confirmed":
        await bookings.cancel_booking(booking.id, None)
    elif random.random() < 0.7:
        held.append(await bookings.confirm_booking(booking.id, None))
    else:
        await bookings.release_booking(booking.id, None)


async def _sell(own: OwnValkey, engine: Engine, random: Random, steps: int) -> list[Step]:
    """Calls one after the other; the state after each."""
    await engine.events.load_event(GALA, layout(4, 10, areas={"pit": 200}), terms())
    found: list[Step] = [Step(await state_of(engine), own.journal_file.stat().st_size)]
    held: list[Booking] = []
    for number in range(steps):
        try:
            await _one(engine, random, held, f"c{number}")
        except Refused:
            continue
        found.append(Step(await state_of(engine), own.journal_file.stat().st_size))
    return found


async def _after_cut(own: OwnValkey, to: Path, at: int, settings: Settings) -> EventState:
    """The state that a Valkey loads from a file of this length."""
    copy = own.copy_cut(to, at)
    await asyncio.to_thread(copy.start)
    try:
        found = msgspec.structs.replace(settings, redis_url=copy.url)
        async with await Engine.connect(found) as engine:
            state = await state_of(engine)
    finally:
        copy.kill()
        copy.stop()
    return state


def _same(one: EventState, other: EventState) -> bool:
    return msgspec.structs.replace(one, now_ms=0) == msgspec.structs.replace(other, now_ms=0)


@pytest.mark.trial("T02")
async def test_power_loss_at_any_byte_leaves_calls_whole(
    own: OwnValkey, own_settings: Settings, own_engine: Engine, trial: Trial, tmp_path: Path
) -> None:
    cuts = trial.rounds(8, 200)
    steps = await _sell(own, own_engine, trial.random, 60)
    await asyncio.to_thread(own.kill)
    inside = 0
    for number in range(cuts):
        last = trial.random.randrange(len(steps) - 1)
        at = trial.random.randint(steps[last].file_bytes, steps[last + 1].file_bytes - 1)
        inside += at != steps[last].file_bytes
        state = await _after_cut(own, tmp_path / f"cut{number}", at, own_settings)
        broken = [v for v in invariants.check(state) if v.kind != "overdue_hold"]
        assert broken == [], at
        assert _same(state, steps[last].state), f"{at}: something of the call is left, or lost"
    trial.tell(
        cuts, "AOF cut at a random byte behind what was promised",
        f"{inside} cuts within a call: partial effects 0; answered and lost 0 (fsync)",
    )  # fmt: skip


async def test_control_a_cut_below_what_was_promised_is_seen(
    own: OwnValkey, own_settings: Settings, own_engine: Engine, trial_random: Random, tmp_path: Path
) -> None:
    steps = await _sell(own, own_engine, trial_random, 10)
    await asyncio.to_thread(own.kill)
    state = await _after_cut(own, tmp_path / "cut", steps[-1].file_bytes - 1, own_settings)
    assert not _same(state, steps[-1].state)
    assert _same(state, steps[-2].state)


@pytest.fixture
def trial_random() -> Random:
    return Random(2)


@pytest.mark.trial("T02")
async def test_power_loss_with_everysec_loses_a_second_that_restore_gives_back(
    own: OwnValkey, plain: Settings, pool: Pool, database_url: str, trial: Trial, tmp_path: Path
) -> None:
    """The file is cut to what it was a second ago: the most that everysec leaves unsynced."""
    own.more(appendfsync="everysec")
    own.start()
    settings = msgspec.structs.replace(
        plain, redis_url=own.url, database_url=database_url, durability="async"
    )
    async with await Engine.connect(settings) as engine:
        await engine.events.load_event(GALA, layout(40, 40), terms())
        crowd = Crowd(EngineDesk(engine), seats_of(40, 40), trial.random)
        crowd.pause_s = 0.001
        async with running(Writer(engine, pool, settings)):
            crowd.begin(4)
            await asyncio.sleep(0.3)
            kept_bytes = own.journal_file.stat().st_size
            await asyncio.sleep(trial.seconds(0.3, 1.0))
            await crowd.end()
            await drained(engine)
        await asyncio.to_thread(own.kill)
    copy = own.copy_cut(tmp_path / "cut", kept_bytes)
    await asyncio.to_thread(copy.start)
    try:
        behind = msgspec.structs.replace(settings, redis_url=copy.url)
        async with await Engine.connect(behind) as engine:
            lost = crowd.broken(await state_of(engine))
            assert lost
            assert not [line for line in lost if not line.startswith("lost")]
            assert await Restorer(engine, pool).find_behind() == [GALA]
            outcome = await Restorer(engine, pool).outcome(GALA)
            assert outcome.why == ""
            state = await state_of(engine)
            assert crowd.broken(state) == []
            assert len(await sold_seats(pool)) == len(crowd.sold)
            assert (await reconcile(engine, pool, [GALA], lag_ms=0)).clean
    finally:
        copy.kill()
        copy.stop()
    trial.tell(
        1, f"AOF cut to what it was {trial.seconds(0.3, 1.0):g} s before (everysec, power loss)",
        f"{len(lost):,} of {len(crowd.sold):,} answered sales gone from Redis; all of them in "
        f"Postgres, so restored: lost 0, double 0, in {outcome.seconds:.2f} s",
    )  # fmt: skip
