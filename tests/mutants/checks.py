"""Small checks that a planted bug is held against: each raises when it sees one.

The model sees most. What it cannot see has a check of its own: states that no sequence of calls
leads to (a seat that another booking has by damage), events that are being restored, rate limits,
whose clock decides, and the writer's acknowledgement.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from engine import Settings
from engine.errors import BookingNotFound, RateLimited, Restoring, SeatTaken, Unavailable
from engine.ids import BookingId, CustomerId
from engine.limits import Limit, LimitCheck
from engine.models import Booking, Sales
from engine.restore.staging import Stub
from persistence.database import Pool
from persistence.journal.rejections import Rejected, Rejection
from persistence.journal.writer import TRIES_MAX, Writer
from tests.model.best_houses import SINGLE_SEATS, SOLD, WISHES, compare, houses
from tests.model.machine import BoxOfficeMachine, Stage
from tests.mutants.tour import tour
from tests.support.factories import GALA, layout, selection, terms
from tests.support.raw_redis import raw


def model(stage: Stage, examples: int = 25) -> None:
    """The same steps each time, so that a bug is caught each time or never."""
    run_state_machine_as_test(
        cast("type[BoxOfficeMachine]", partial(BoxOfficeMachine, stage)),
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
            report_multiple_bugs=False,
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        ),
    )


def best(stage: Stage) -> None:
    """The best seats of the same houses each time, against the model that looks at every row."""

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(houses(), SOLD, st.lists(WISHES, min_size=1, max_size=5), SINGLE_SEATS)
    def asked(house: Any, sold: Any, wishes: Any, single_seats: Any) -> None:
        stage.run(compare(stage.engine, house, sold, wishes, single_seats))

    stage.engine.bookings.now_ms = ""
    asked()


async def _open(stage: Stage) -> Any:
    await raw(stage.engine).flushall()
    stage.engine.bookings.now_ms = ""
    await stage.engine.events.load_event(GALA, layout(), terms())
    return stage.engine.bookings


async def _damaged(stage: Stage) -> None:
    """A seat that was reassigned without the scripts stays so, whatever its first customer does."""
    for end in ("release_booking", "confirm_booking", "extend_booking"):
        bookings = await _open(stage)
        first = await bookings.hold_seats(selection("ann", "A-1-1"))
        value = f"0,0,h,{'7' * 26},9900000000000"
        await raw(stage.engine).hset("{gala}:seats", "A-1-1", value)
        bookings.now_ms = first.held_at_ms + 1  # within the same ms there is nothing to extend
        await getattr(bookings, end)(first.id, None)
        assert await raw(stage.engine).hget("{gala}:seats", "A-1-1") == value.encode(), end


async def _restoring(stage: Stage) -> None:
    """Nothing moves in an event that is being restored; reopened, every call sees it."""
    bookings = await _open(stage)
    restores, restore = stage.engine.restores, "0" * 26
    await restores.fence_event(GALA, "lost", Stub({}, b""), restore=restore, epoch="*")
    with pytest.raises(Restoring):
        await bookings.hold_seats(selection("ann", "A-1-1"))
    seen = await stage.engine.availability.read_map(GALA)
    await restores.reopen_event(GALA, restore, Sales.OPEN)
    assert (await stage.engine.availability.read_map(GALA)).position > seen.position
    await bookings.hold_seats(selection("ann", "A-1-1"))


async def _limits(stage: Stage) -> None:
    """As many calls at once as the limit says, and not one more."""
    await _open(stage)
    limit = Limit("calls", "ann", 60_000, 3)
    for _ in range(3):
        await stage.engine.take_limits(LimitCheck((limit,)))
    with pytest.raises(RateLimited):
        await stage.engine.take_limits(LimitCheck((limit,)))
    holds = [
        stage.engine.bookings.under(LimitCheck((Limit("holds", "ann", 60_000, 3),))).hold_seats(
            selection("ann", seat)
        )
        for seat in ("A-1-1", "A-1-1", "A-1-2", "A-1-3", "A-1-4")
    ]
    replies = await asyncio.gather(*holds, return_exceptions=True)  # one call of the script
    assert [type(reply) for reply in replies] == [
        Booking, SeatTaken, Booking, RateLimited, RateLimited,
    ]  # fmt: skip


async def _redis_clock(stage: Stage) -> None:
    """Redis' clock decides when a hold ends, however wrong this process' clock is."""
    bookings = await _open(stage)
    an_hour_on = time.time() + 3600
    with mock.patch("time.time", return_value=an_hour_on):
        before, _ = await stage.engine.client.time()
        held = await bookings.hold_seats(selection("ann", "A-1-1"))
        after, _ = await stage.engine.client.time()
    assert before * 1000 <= held.held_at_ms < (after + 1) * 1000


async def _stranger(stage: Stage) -> None:
    """A booking is read by its own customer alone."""
    bookings = await _open(stage)
    held = await bookings.hold_seats(selection("ann", "A-1-1"))
    with pytest.raises(BookingNotFound):
        await bookings.read_booking(BookingId(held.id), CustomerId("bob"))


async def _acknowledged(stage: Stage) -> None:
    """What Postgres has not committed is not acknowledged."""
    await _open(stage)
    engine = stage.engine
    await engine.journal.create_group(GALA)
    await stage.engine.bookings.hold_seats(selection("ann", "A-1-1"))
    writer = Writer(engine, cast("Pool", None), Settings(jwt_secret="s" * 48))
    entries = await engine.journal.read([GALA], "w", count=10, block_ms=0)
    fails = mock.AsyncMock(side_effect=OSError("Postgres is away"))
    with mock.patch.object(writer._store, "write", fails), contextlib.suppress(OSError):
        await writer._write(entries)
    assert (await engine.journal.backlog(GALA)).entries == len(entries)


async def _resale(stage: Stage) -> None:
    """A refused sale waits for what is older and in another writer's hand, and for nothing else."""
    bookings, journal = await _open(stage), stage.engine.journal
    await journal.create_group(GALA)
    older = await journal.read([GALA], "slow", count=10, block_ms=0)
    await bookings.hold_seats(selection("ann", "A-1-1"))
    resale = await journal.read([GALA], "w", count=10, block_ms=0)
    writer = Writer(stage.engine, cast("Pool", None), Settings(jwt_secret="s" * 48))
    refusal = Rejection(resale[0], Rejected("", seat_sold_twice=True))
    with mock.patch.object(writer._store, "write", mock.AsyncMock(return_value=[refusal])):
        for _ in range(TRIES_MAX):
            await writer._write(resale)
        assert await journal.dead_letters(GALA) == []
        await journal.acknowledge(GALA, [entry.entry_id for entry in older])
        for _ in range(TRIES_MAX):
            await writer._write(resale)
    assert [letter.entry for letter in await journal.dead_letters(GALA)] == resale


def _run(check: Callable[[Stage], Awaitable[None]]) -> Callable[[Stage], None]:
    def run(stage: Stage) -> None:
        async def wait() -> None:
            await check(stage)

        stage.run(wait())

    return run


CHECKS: dict[str, Callable[[Stage], None]] = {
    "damaged": _run(_damaged),
    "restoring": _run(_restoring),
    "limits": _run(_limits),
    "clock": _run(_redis_clock),
    "stranger": _run(_stranger),
    "acknowledged": _run(_acknowledged),
    "resale": _run(_resale),
    "tour": tour,
    "best": best,
    "model": model,
}
"""By name; the quick ones first."""


def catches(name: str, stage: Stage) -> bool:
    """Whether the check sees anything wrong now. Redis away, or a time-out, is not a catch."""
    try:
        CHECKS[name](stage)
    except (KeyboardInterrupt, SystemExit, asyncio.CancelledError, Unavailable):
        raise
    except BaseException as caught:
        if "Timeout (>" in str(caught):
            raise
        return True
    return False
