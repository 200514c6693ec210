"""Redis is killed, the end of its file is lost, and it comes back by itself, behind Postgres.

The sale goes on in the moment before that is noticed; afterwards no seat has two owners, what was
answered and written is there, and what could not be kept is one refund obligation.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from embedded import servers
from engine import Engine, EngineError, Settings, invariants
from engine.event_state import read_state
from engine.models import Booking, SalesState
from persistence import database
from persistence.journal.writer import Writer
from persistence.reconcile.reconciler import reconcile
from persistence.restorer import Restorer
from tests.persistence.running import drained, running, sold_seats
from tests.support.factories import GALA, layout, selection, terms
from tests.support.servers import is_running
from tests.support.waiting import until


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[servers.Servers]:
    """A Valkey of this test alone."""
    started = await asyncio.to_thread(servers.start, tmp_path / "own", postgres=False)
    yield started
    await asyncio.to_thread(started.stop)


async def _cut(own: servers.Servers, size: int) -> None:
    """Kill Redis, cut its file to `size` bytes, and start it again."""
    pid = own.urls.pids["valkey"]
    os.kill(pid, signal.SIGKILL)

    async def gone() -> bool:
        return not is_running(pid)

    await until(gone)
    os.truncate(_file(own), size)
    assert await asyncio.to_thread(own.revive) == ["Valkey"]


def _file(own: servers.Servers) -> Path:
    (found,) = (own.data / "valkey" / "appendonlydir").glob("*.incr.aof")
    return found


async def _sell(engine: Engine, customer: str, seat: str) -> Booking:
    held = await engine.bookings.hold_seats(selection(customer, seat))
    return await engine.bookings.confirm_booking(held.id, None)


async def _sell_as_soon_as_it_answers(engine: Engine, customer: str, seat: str) -> Booking:
    sold: list[Booking] = []

    async def answered() -> bool:
        try:
            sold.append(await _sell(engine, customer, seat))
        except EngineError:
            return False  # its connection was the old server's
        return True

    await until(answered)
    return sold[0]


@pytest.mark.parametrize("torn_bytes", [0, 17])
async def test_redis_comes_back_with_less_than_it_had(
    own: servers.Servers, settings: Settings, database_url: str, torn_bytes: int
) -> None:
    found = msgspec.structs.replace(settings, redis_url=own.redis_url)
    async with await Engine.connect(found) as engine, await database.connect(database_url) as pool:
        await engine.events.load_event(GALA, layout(), terms())
        first = await _sell(engine, "ann", "A-1-1")
        size = _file(own).stat().st_size + torn_bytes
        lost = await _sell(engine, "bob", "A-1-2")
        async with running(Writer(engine, pool, found)):
            await drained(engine)
        await _cut(own, size)
        # No writer looks yet: the lost seat is sold once more, and another one.
        again = await _sell_as_soon_as_it_answers(engine, "cleo", "A-1-2")
        kept = await _sell(engine, "dora", "A-1-3")

        async with running(Writer(engine, pool, found)):

            async def closed() -> bool:
                return (await engine.events.read_event(GALA)).sales == SalesState.RESTORING

            await until(closed)
            restored = await Restorer(engine, pool).restore(GALA)
            assert (restored.standing, restored.sold, restored.refunds_due) == ((), 3, 1)
            await drained(engine)
        owners = {f"gala:A-1-{n}": one.id for n, one in enumerate((first, lost, kept), 1)}
        assert await sold_seats(pool) == owners
        assert invariants.check(await read_state(engine, GALA)) == []
        assert (await reconcile(engine, pool, [GALA], lag_ms=0)).clean
        owed = await pool.fetch("SELECT booking_id FROM refund_obligations")
        assert [row["booking_id"] for row in owed] == [again.id]
