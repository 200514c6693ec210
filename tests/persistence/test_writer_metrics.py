"""The writer's metrics: idle, at work, and while Postgres is away."""

from typing import Any

import pytest
from redis.asyncio import Redis

from engine import Engine, Settings
from engine.booking_json import json_of
from engine.ids import EventId
from engine.metrics import metrics
from persistence.database import Pool
from persistence.journal import writer as writing
from persistence.journal.writer import Writer
from persistence.reconcile.reconciler import reconcile
from tests.persistence.entries import booking
from tests.persistence.running import drained, running
from tests.persistence.sale import ulid
from tests.support.factories import GALA, selection
from tests.support.proxy import Proxy
from tests.support.readings import exceeds, reads, value

pytestmark = pytest.mark.usefixtures("gala")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure often, and clear the metrics of earlier tests' writers."""
    monkeypatch.setattr(writing, "_HOUSEKEEPING_S", 0.02)
    for gauge in (metrics.journal_lag, metrics.journal_backlog, metrics.dead_letters):
        gauge.clear()


async def test_lag_and_backlog_grow_while_postgres_is_away_and_end_at_nothing(
    engine: Engine, cuttable_pool: Pool, postgres_proxy: Proxy, quick: Settings
) -> None:
    async with running(Writer(engine, cuttable_pool, quick)):
        await drained(engine)
        await reads(1, "writer_up")
        await reads(0, "writer_lag_seconds", event="gala")
        await reads(0, "writer_backlog_entries", event="gala")
        await postgres_proxy.cut()
        written = value("writer_entries_total")
        await engine.bookings.hold_seats(selection("ann", "A-1-1"))
        await engine.bookings.hold_seats(selection("ann", "A-1-2"))
        await reads(2, "writer_backlog_entries", event="gala")
        await reads(0, "writer_up")
        for seconds in (0.1, 0.3, 0.6):  # no batch commits, and it grows
            await exceeds(seconds, "writer_lag_seconds", event="gala")
        assert value("writer_entries_total") == written
        await postgres_proxy.restore()
        await reads(0, "writer_lag_seconds", event="gala")
        await reads(0, "writer_backlog_entries", event="gala")
        await reads(1, "writer_up")
    assert value("writer_up") == 0


async def test_batches_are_counted_by_their_entries(engine: Engine, writer: Writer) -> None:
    names = ("writer_batch_entries_sum", "writer_entries_total", "writer_batch_entries_count")
    before = [value(name) or 0 for name in names]
    durations = value("writer_batch_duration_seconds_count") or 0
    for seat in ("A-1-1", "A-1-2", "A-1-3"):
        await engine.bookings.hold_seats(selection("ann", seat))
    async with running(writer):
        await drained(engine)
        await reads(before[1] + 4, "writer_entries_total")
    assert value("writer_batch_entries_sum") == before[0] + 4, "the load, and three holds"
    assert (value("writer_batch_entries_count") or 0) > before[2]
    assert (value("writer_batch_duration_seconds_count") or 0) > durations


async def test_seat_sold_twice_is_counted_and_stays_a_dead_letter(
    engine: Engine, pool: Pool, writer: Writer, redis: Redis
) -> None:
    counted = value("writer_entries_set_aside_total", reason="seat_sold_twice")
    refused = value("writer_entries_set_aside_total", reason="refused")
    assert counted is not None, "there before the first, or an alert cannot see it come"
    held = await engine.bookings.hold_seats(selection("ann", "A-1-1"))
    await engine.bookings.confirm_booking(held.id, None)
    second = booking(9, "confirmed", 1)
    fields: dict[Any, Any] = {"kind": "planted", "at_ms": "1", "epoch": "1"}
    fields |= {"booking_id": ulid(second), "booking": json_of(second)}
    await redis.xadd("{gala}:journal", fields)
    async with running(writer):
        await reads(1, "writer_dead_letters", event="gala")
        assert value("writer_entries_set_aside_total", reason="seat_sold_twice") == counted + 1
        assert value("writer_entries_set_aside_total", reason="refused") == refused
        # The first sale is undone: the dead letter can be written, and is one no longer.
        await engine.bookings.cancel_booking(held.id, None)
        await drained(engine)
        await reconcile(engine, pool, [GALA], repair=True, lag_ms=0)
        await reads(0, "writer_dead_letters", event="gala")


async def test_series_of_an_event_that_is_gone_are_taken_off(
    engine: Engine, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none() -> list[EventId]:
        return []

    names = ("writer_lag_seconds", "writer_backlog_entries", "writer_dead_letters")
    async with running(writer):
        for name in names:
            await reads(0, name, event="gala")
        monkeypatch.setattr(engine.events, "list_events", none)
        for name in names:
            await reads(None, name, event="gala")
