"""A restore that is killed, run twice or suspended, or that reads too early to see a sale."""

import asyncio
from typing import Any

import pytest

from engine import Engine
from engine.errors import Restoring, SeatTaken
from engine.models import BookingStatus, Counts, JournalEntry
from persistence.database import Pool
from persistence.journal.tables import QUERIES
from persistence.restorer import Restorer, RestoreRuns
from tests.persistence.sale import Sale
from tests.support.factories import GALA
from tests.support.waiting import until

START = Counts(available=56, held=0, sold=4, blocked=0)
"""The bookings of the restored sale: its one hold has ended."""


@pytest.mark.parametrize("step", ["stage", "restore_event", "_write", "_differences", "reopen"])
async def test_restore_that_is_killed_at_any_step_is_run_again(
    sale: Sale, restorer: Restorer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A kill is an exception that nothing catches; the cleanup of the process is skipped too."""
    await sale.redis.flushall()
    owner: Any = restorer if step.startswith("_") else sale.engine.restores
    name = "reopen_event" if step == "reopen" else step

    async def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    async def nothing(*_: object) -> None:
        return

    with monkeypatch.context() as patched:
        if name == "_write":
            real, calls = restorer._write, list[int]()

            async def second(entries: Any) -> list[JournalEntry]:
                calls.append(1)
                if len(calls) > 1:
                    raise KeyboardInterrupt
                return await real(entries)

            patched.setattr(owner, name, second)
        else:
            patched.setattr(owner, name, killed)
        patched.setattr(sale.engine.restores, "forget", nothing)
        with pytest.raises(KeyboardInterrupt):
            await restorer.restore(GALA)
    with pytest.raises(Restoring):
        await sale.hold("A-2-2")
    assert await restorer.find_behind() == [GALA]
    assert (await restorer.restore(GALA)).standing == ()
    assert (await sale.state()).event.counts == START
    await sale.agreed()


async def test_two_restores_at_once_are_one(sale: Sale, engine: Engine, pool: Pool) -> None:
    await sale.redis.flushall()
    both = [Restorer(engine, pool).restore(GALA) for _ in range(2)]
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["RestoreRuns", "Restored"]
    assert RestoreRuns.code == "restore_runs"
    await sale.agreed()


async def _no_lease(pool: Pool) -> bool:
    found = await pool.fetch("SELECT FROM pg_locks WHERE locktype = 'advisory'")
    return not found


async def test_restore_that_overslept_is_refused(
    sale: Sale, engine: Engine, pool: Pool, restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lost its lease with its connection; another has restored, and the event is on sale."""
    asleep, wake = asyncio.Event(), asyncio.Event()
    stage = engine.restores.stage

    async def sleep_there(*arguments: Any) -> None:
        await stage(*arguments)
        if not asleep.is_set():
            asleep.set()
            await wake.wait()

    monkeypatch.setattr(engine.restores, "stage", sleep_there)
    sleeper = asyncio.create_task(restorer.outcome(GALA))
    await asleep.wait()
    await pool.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    await until(lambda: _no_lease(pool))
    assert (await Restorer(engine, pool).restore(GALA)).standing == ()
    sold = await engine.bookings.confirm_booking((await sale.hold("A-2-2")).id, None)
    wake.set()
    assert "took over" in (await sleeper).why
    assert await engine.bookings.read_booking(sold.id, None) == sold
    await sale.agreed()


async def test_an_entry_from_before_the_restore_is_set_aside_and_settled_by_the_next(
    sale: Sale, restorer: Restorer
) -> None:
    """A writer was suspended with the only copy of a confirmation in hand."""
    asleep = await sale.engine.bookings.confirm_booking((await sale.hold("A-2-3")).id, None)
    entries = await sale.engine.journal.read([GALA], "sleeper", count=100, block_ms=0)
    await sale.redis.flushall()
    await restorer.restore(GALA)
    taken = await sale.hold("A-2-3")
    await sale.engine.bookings.confirm_booking(taken.id, None)
    await sale.write()
    refused = await restorer._write(entries)
    assert [entry.kind for entry in refused] == ["booking_confirmed"]
    await sale.engine.journal.dead_letter(refused[0], "came after a restore")
    assert await sale.found() == [("dead_letter", refused[0].entry_id)]
    restored = await restorer.restore(GALA)
    assert (restored.refunds_due, restored.standing) == (1, ())
    await sale.agreed()
    assert (asleep.id, 1500) in await sale.owed()
    with pytest.raises(SeatTaken):
        await sale.hold("A-2-3")
    kept = await sale.engine.bookings.read_booking(asleep.id, None)
    assert (kept.status, kept.refund_minor) == (BookingStatus.EXPIRED, 1500)


@pytest.mark.parametrize("stays_sold", [True, False])
async def test_a_sale_that_postgres_hears_of_while_the_event_is_rebuilt_is_kept(
    sale: Sale, restorer: Restorer, monkeypatch: pytest.MonkeyPatch, stays_sold: bool
) -> None:
    """Written by a repair, between the restore's read of Postgres and its own entries there.

    The control lets a newer epoch end a sale: paid for, and only its payment tells of it.
    """
    if not stays_sold:
        query = QUERIES["put_bookings"]
        planted = query.replace("OR bookings.status = 'cancelled' AND ", "OR ")
        monkeypatch.setitem(QUERIES, "put_bookings", planted)
    held = await sale.hold("A-2-3")
    await sale.write()
    sold = await sale.engine.bookings.confirm_booking(held.id, None)
    await sale.redis.flushall()
    stage, staged = restorer._stage, list[object]()

    async def late(*arguments: Any) -> None:
        staged.append(arguments)
        if len(staged) == 1:
            await sale.put_row(sold)
        await stage(*arguments)

    monkeypatch.setattr(restorer, "_stage", late)
    assert (await restorer.restore(GALA)).standing == ()
    # The first attempt read too early, and the comparison found that.
    assert len(staged) == (2 if stays_sold else 1)
    kept = await sale.engine.bookings.read_booking(sold.id, None)
    assert (kept == sold) is stays_sold
    await sale.write()
    assert await sale.found() == ([] if stays_sold else [("money_differs", sold.id[5:])])
