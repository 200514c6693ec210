"""The reconciler as a part: what its rounds report and survive, and that lag is no difference."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from engine import Engine, Settings
from engine.ids import EventId
from persistence.database import Pool
from persistence.journal.writer import Writer
from persistence.reconcile import comparison, reconciler
from persistence.reconcile.rounds import Rounds
from tests.persistence.entries import booking
from tests.persistence.running import drained, running
from tests.persistence.sale import Sale
from tests.support.factories import GALA, layout, selection, terms
from tests.support.proxy import Proxy
from tests.support.readings import reads, value
from tests.support.waiting import until

EVERY_S = 0.05


@asynccontextmanager
async def rounds(engine: Engine, pool: Pool) -> AsyncIterator[None]:
    """Run rounds beside the test, and stop them as SIGTERM would."""
    stop = asyncio.Event()
    task = asyncio.create_task(Rounds(engine, pool, EVERY_S).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


def _standing(name: str, kind: str) -> float | None:
    return value(name, event="gala", kind=kind)


async def test_round_of_a_clean_sale_shows_zeros_and_when_it_was(sale: Sale) -> None:
    clean = value("reconcile_runs_total", outcome="clean") or 0
    with capture_logs() as lines:
        assert await Rounds(sale.engine, sale.pool, 60).run_once() == "clean"
    assert value("reconcile_runs_total", outcome="clean") == clean + 1
    assert _standing("reconcile_differences", "missing_in_postgres") == 0
    assert _standing("reconcile_differences", "sold_twice") == 0
    assert _standing("reconcile_violations", "sold_twice") == 0
    assert (value("reconcile_last_run_timestamp_seconds") or 0) > 1_700_000_000
    [line] = [line for line in lines if line["log_level"] == "info"]
    assert (line["event"], line["outcome"], line["events"]) == ("round_ended", "clean", 1)


async def test_round_shows_a_difference_until_it_is_repaired(
    sale: Sale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.reconcile.rounds.LAG_MS", 0)
    monkeypatch.setattr(reconciler, "_CHECK_AGAIN_S", 0)
    found = value("reconcile_runs_total", outcome="differences") or 0
    each = Rounds(sale.engine, sale.pool, 60)
    await sale.pool.execute("DELETE FROM booking_seats")
    await sale.pool.execute("DELETE FROM bookings WHERE booking_id = $1", sale.released.id)
    assert await each.run_once() == "differences"
    assert (_standing("reconcile_differences", "missing_in_postgres") or 0) >= 1
    assert _standing("reconcile_violations", "sold_twice") == 0
    assert value("reconcile_runs_total", outcome="differences") == found + 1
    await sale.reconcile(repair=True)
    assert await each.run_once() == "clean"
    assert _standing("reconcile_differences", "missing_in_postgres") == 0


async def test_round_shows_a_seat_that_redis_sold_twice(
    sale: Sale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "_CHECK_AGAIN_S", 0)
    await sale.put_record(booking(9, "confirmed", 2))
    assert await Rounds(sale.engine, sale.pool, 60).run_once() == "differences"
    assert _standing("reconcile_violations", "sold_twice") == 1
    assert _standing("reconcile_violations", "orphan_hold") == 0


@pytest.mark.parametrize("ending", ["confirm_booking", "release_booking"])
async def test_round_takes_what_the_writer_did_not_come_to_for_no_difference(
    sale: Sale, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """The control: the same entry, acknowledged without being written, so no writer has it."""
    lag_ms = 100
    monkeypatch.setattr("persistence.reconcile.rounds.LAG_MS", lag_ms)
    monkeypatch.setattr(reconciler, "_CHECK_AGAIN_S", 0)
    journal, each = sale.engine.journal, Rounds(sale.engine, sale.pool, 60)
    held = await sale.hold("A-2-1")
    await getattr(sale.engine.bookings, ending)(held.id, None)

    async def is_old() -> bool:
        backlog = await journal.backlog(GALA)
        return backlog.now_ms > (backlog.oldest_ms or 0) + 2 * lag_ms

    await until(is_old)
    assert await each.run_once() == "clean"
    await sale.lose()
    assert await each.run_once() == "differences"


async def test_rounds_go_on_when_postgres_comes_back(
    engine: Engine, sale: Sale, cuttable_pool: Pool, postgres_proxy: Proxy
) -> None:
    async with rounds(engine, cuttable_pool):
        clean = value("reconcile_runs_total", outcome="clean") or 0
        await until(lambda: _counted("clean", clean))
        await postgres_proxy.cut()
        failed = value("reconcile_runs_total", outcome="failed") or 0
        await until(lambda: _counted("failed", failed + 1))
        await postgres_proxy.restore()
        clean = value("reconcile_runs_total", outcome="clean") or 0
        await until(lambda: _counted("clean", clean))
        assert (await engine.parts_running(["reconciler"]))["reconciler"]


async def test_rounds_beside_a_running_sale_find_nothing(
    engine: Engine, pool: Pool, sale: Sale, quick: Settings
) -> None:
    found = value("reconcile_runs_total", outcome="differences") or 0
    async with running(Writer(engine, pool, quick)), rounds(engine, pool):
        for number in range(1, 6):
            held = await engine.bookings.hold_seats(selection("bob", f"A-2-{number}"))
            await engine.bookings.confirm_booking(held.id, None)
        await drained(engine)
        clean = value("reconcile_runs_total", outcome="clean") or 0
        await until(lambda: _counted("clean", clean + 1))
    assert (value("reconcile_runs_total", outcome="differences") or 0) == found


async def test_round_takes_off_the_series_of_an_event_that_is_gone(
    sale: Sale, redis: Redis
) -> None:
    await sale.engine.events.load_event(EventId("later"), layout(), terms())
    each = Rounds(sale.engine, sale.pool, 60)
    await each.run_once()
    assert value("reconcile_violations", event="later", kind="map_differs") == 0
    await redis.srem("events", "later")
    await each.run_once()
    await reads(None, "reconcile_violations", event="later", kind="map_differs")
    await reads(0, "reconcile_violations", event="gala", kind="map_differs")


async def test_round_compares_the_events_behind_one_whose_record_is_damaged(
    sale: Sale, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.reconcile.rounds.LAG_MS", 0)
    monkeypatch.setattr(reconciler, "_CHECK_AGAIN_S", 0)
    await sale.engine.events.load_event(EventId("a-damaged"), layout(), terms())
    await redis.hset("{a-damaged}:bookings", "01JZZZZZZZZZZZZZZZZZZZZZZZ", "not JSON")
    await sale.pool.execute("DELETE FROM booking_seats")
    assert await Rounds(sale.engine, sale.pool, 60).run_once() == "differences"
    assert value("reconcile_violations", event="a-damaged", kind="malformed") == 1
    kinds = [_standing("reconcile_differences", kind) or 0 for kind in comparison.KINDS]
    assert sum(kinds) >= 1


async def _counted(outcome: str, least: float) -> bool:
    return (value("reconcile_runs_total", outcome=outcome) or 0) > least
