"""The journal's own figures after hours without a reader."""

import pytest
from redis.asyncio import Redis

from engine import Engine, Event
from tests.support.factories import GALA, selection


@pytest.fixture(autouse=True)
async def long_journal(engine: Engine, gala: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five holds behind the load, and pages of two."""
    monkeypatch.setattr("engine.journal._PAGE_ENTRIES", 2)
    await engine.journal.create_group(GALA)
    for number in range(1, 6):
        await engine.bookings.hold_seats(selection("ann", f"A-1-{number}"))


async def test_open_entries_of_a_long_journal_are_read_in_pages(engine: Engine) -> None:
    kinds = [entry.kind for entry in await engine.journal.open_entries(GALA)]
    assert kinds == ["event_loaded", *["seats_held"] * 5]
    first, *_ = await engine.journal.read([GALA], "w", count=3, block_ms=0)
    await engine.journal.acknowledge(GALA, [first.entry_id])
    assert len(await engine.journal.open_entries(GALA)) == 5


async def test_backlog_that_redis_cannot_count_is_counted_in_pages(
    engine: Engine, redis: Redis
) -> None:
    await engine.journal.read([GALA], "w", count=1, block_ms=0)
    *_, last = await engine.journal.open_entries(GALA)
    await redis.xdel("{gala}:journal", last.entry_id)  # after this it does not know the lag
    [group] = await redis.xinfo_groups("{gala}:journal")
    assert group["lag"] is None
    assert (await engine.journal.backlog(GALA)).entries == 5
