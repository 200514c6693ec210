"""A writer that is stopped inside its transaction while the event is restored."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from engine import Booking, Engine
from engine.errors import SeatTaken
from engine.models import JournalEntry
from persistence.database import Pool
from persistence.journal import rejections
from persistence.journal.rejections import Rejection
from persistence.journal.tables import Store
from persistence.journal.writer import Writer
from persistence.restorer import Restored, Restorer
from persistence.stores.payments import QUERIES as PAYMENTS
from tests.persistence.sale import Sale
from tests.support.factories import GALA, selection
from tests.support.waiting import until

SEAT = "A-2-3"


class Slow:
    """A store that is suspended right after its first read of the epochs."""

    def __init__(self, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asleep, self.wake = asyncio.Event(), asyncio.Event()
        self._store = Store(pool)
        self._monkeypatch = monkeypatch

    async def _stop(self, *arguments: Any) -> Any:
        found = await rejections.current_entries(*arguments)
        if not self.asleep.is_set():
            self.asleep.set()
            await self.wake.wait()
        return found

    async def write(self, entries: list[JournalEntry]) -> "asyncio.Task[list[Rejection]]":
        """Start to write, and suspend."""
        self._monkeypatch.setattr("persistence.journal.tables.current_entries", self._stop)
        writing = asyncio.create_task(self._store.write(entries))
        await self.asleep.wait()
        return writing


@pytest.fixture
def slow(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    slow = Slow(pool, monkeypatch)
    yield slow
    slow.wake.set()  # otherwise the pool waits for its connection


async def _paid(sale: Sale, *, hold_known: bool) -> tuple[Booking, list[JournalEntry]]:
    """A sale, and the entries that a writer reads of it."""
    held = await sale.hold(SEAT)
    if hold_known:
        await sale.write()
    paid = await sale.engine.bookings.confirm_booking(held.id, None)
    return paid, await sale.engine.journal.read([GALA], "slow", count=100, block_ms=0)


async def _waits_for_a_lock(pool: Pool) -> bool:
    query = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
    return bool(await pool.fetchval(query))


async def _sell_on(engine: Engine) -> None:
    """Sell the seat to another customer if it is available."""
    try:
        other = await engine.bookings.hold_seats(selection("bob", SEAT))
    except SeatTaken:
        return
    await engine.bookings.confirm_booking(other.id, None)


async def _restore_meanwhile(
    sale: Sale, restorer: Restorer, slow: Slow, pool: Pool, *, waits: bool
) -> Restored:
    """Wake the writer once the restore waits for it, or, in the control, has not waited."""
    await sale.redis.flushall()
    restoring = asyncio.create_task(restorer.restore(GALA))
    if waits:
        await until(lambda: _waits_for_a_lock(pool))
    else:
        await restoring
        await _sell_on(sale.engine)
    slow.wake.set()
    return await restoring


@pytest.mark.parametrize("sold_on", [True, False])
@pytest.mark.parametrize("hold_known", [True, False])
async def test_restore_waits_for_a_writer_in_its_transaction_and_keeps_what_it_sold(
    sale: Sale, restorer: Restorer, slow: Slow, pool: Pool, hold_known: bool, sold_on: bool
) -> None:
    paid, entries = await _paid(sale, hold_known=hold_known)
    writing = await slow.write(entries)
    restored = await _restore_meanwhile(sale, restorer, slow, pool, waits=True)
    assert (restored.standing, await writing) == ((), [])
    if sold_on:
        await _sell_on(sale.engine)
    assert await sale.engine.bookings.read_booking(paid.id, None) == paid
    await sale.agreed()


@pytest.mark.parametrize("hold_known", [True, False])
async def test_restore_that_does_not_wait_for_writers_sells_a_seat_twice(
    sale: Sale,
    restorer: Restorer,
    slow: Slow,
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
    hold_known: bool,
) -> None:
    """The control: the unseen sale is committed after the restore decided without it."""
    monkeypatch.setitem(rejections._QUERIES, "share_epochs", "SELECT $1::text[]")
    paid, entries = await _paid(sale, hold_known=hold_known)
    writing = await slow.write(entries)
    await _restore_meanwhile(sale, restorer, slow, pool, waits=False)
    assert await writing == [], "and no letter tells of it"
    state = await sale.state()
    assert state.seats[SEAT].booking != paid.id.split(":")[1]
    assert (paid.id, 1500) not in await sale.owed()


async def test_restore_says_that_a_writer_hangs_and_is_right_when_it_is_run_again(
    sale: Sale, restorer: Restorer, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.restorer.WRITERS_S", 0.1)
    paid, entries = await _paid(sale, hold_known=True)
    writing = await slow.write(entries)
    await sale.redis.flushall()
    assert "transaction on gala in Postgres for 0.1 s" in (await restorer.outcome(GALA)).why
    assert await restorer.find_behind() == [GALA]
    slow.wake.set()
    assert await writing == []
    assert (await restorer.restore(GALA)).standing == ()
    assert await sale.engine.bookings.read_booking(paid.id, None) == paid
    await sale.agreed()


async def _killed_when_the_epoch_begins(
    sale: Sale, restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sale.engine.restores, "stage", killed)
        with pytest.raises(KeyboardInterrupt):
            await restorer.restore(GALA)
    assert await sale.pool.fetchval("SELECT epoch FROM events") == 2


async def test_restore_that_is_killed_once_the_epoch_began_settles_what_came_since(
    sale: Sale, restorer: Restorer, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting of the old epoch is written too, and does not undo the block."""
    paid, entries = await _paid(sale, hold_known=True)
    await sale.engine.events.block_seats(GALA, [f"{GALA}:A-2-5"], blocked=True)  # type: ignore[list-item]
    entries += await sale.engine.journal.read([GALA], "slow", count=100, block_ms=0)
    await sale.redis.flushall()
    await _killed_when_the_epoch_begins(sale, restorer, monkeypatch)
    await writer._write(entries)
    assert [letter.entry.booking for letter in await sale.engine.journal.dead_letters(GALA)] == [
        paid
    ]
    assert await sale.pool.fetchval("SELECT epoch FROM events") == 2
    assert await restorer.find_behind() == [GALA]
    restored = await restorer.restore(GALA)
    assert (restored.late_confirmed, restored.standing, restored.epoch) == (1, (), 3)
    assert (await sale.state()).event.counts.blocked == 1
    await sale.agreed()


async def test_a_notice_of_a_hold_waits_for_a_restore_that_was_killed(
    sale: Sale, restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its epoch has begun, and nothing is decided yet: the hold can still be paid."""
    await sale.redis.flushall()
    await _killed_when_the_epoch_begins(sale, restorer, monkeypatch)
    assert await sale.pool.fetchval(PAYMENTS["is_live"], sale.pending.id)
    await restorer.restore(GALA)
    assert not await sale.pool.fetchval(PAYMENTS["is_live"], sale.pending.id)


async def test_a_sale_that_is_set_aside_while_the_event_is_restored_is_part_of_it(
    sale: Sale, restorer: Restorer, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer resumed between the restore's read of Postgres and its own entries there."""
    paid, entries = await _paid(sale, hold_known=True)
    await sale.redis.flushall()
    stage, staged = restorer._stage, list[object]()

    async def late(*arguments: Any) -> None:
        staged.append(arguments)
        if len(staged) == 1:
            await writer._write(entries)
        await stage(*arguments)

    monkeypatch.setattr(restorer, "_stage", late)
    restored = await restorer.restore(GALA)
    assert (len(staged), restored.standing, restored.late_confirmed) == (2, (), 1)
    assert (await sale.engine.bookings.read_booking(paid.id, None)).late
    assert await sale.engine.journal.dead_letters(GALA) == []
    await sale.agreed()
