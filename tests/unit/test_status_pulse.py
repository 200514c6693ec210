"""A pulse against a real Valkey: what it counts, what it costs, and when it cannot be felt."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from cli.status import pulse
from cli.status.pulse import PulseReader
from engine import Engine, Settings
from engine.errors import EventNotFound, OutcomeUnknown, Unavailable
from engine.ids import EventId
from tests.support.box_office import TTL_MS, BoxOffice
from tests.support.factories import GALA, layout, terms
from tests.support.proxy import Proxy


async def test_poll_counts_what_happened_since_the_first(office: BoxOffice, redis: Redis) -> None:
    await office.open()
    paid = await office.hold("ann", "A-1-1", "A-1-2")
    reader = PulseReader(office.engine, GALA)
    first = await reader.read()  # the first poll goes back some seconds
    assert first.totals == {"event_loaded": 1, "seats_held": 1}
    assert first.now_ms - first.since_ms == pulse.FIRST_POLL_MS
    assert (first.pending_count, first.backlog_entries, first.late_ms) == (1, 2, ())

    await office.confirm(paid)
    await office.hold("bob", "A-2-1")
    await office.hold("cyd", "A-2-2")
    office.now_ms += TTL_MS + 70
    await office.expire()
    await redis.xadd("{gala}:dead", {"reason": "planted"})
    second = await reader.read()
    assert second.totals == first.totals | {
        "seats_held": 3,
        "booking_confirmed": 1,
        "booking_expired": 2,
    }
    assert second.late_ms == (70, 70)
    assert (second.since_ms, second.estimated) == (first.since_ms, False)
    assert (second.pending_count, second.backlog_entries, second.dead_letter_count) == (0, 7, 1)
    assert second.event.counts.sold == 2
    assert (await reader.read()).totals == second.totals


async def test_first_poll_leaves_out_what_is_old(
    office: BoxOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.open()
    monkeypatch.setattr(pulse, "FIRST_POLL_MS", -60_000)
    assert (await PulseReader(office.engine, GALA).read()).totals == {}


@pytest.mark.parametrize("with_writer", [True, False])
async def test_poll_that_cannot_read_all_still_knows_how_much_it_was(
    office: BoxOffice, monkeypatch: pytest.MonkeyPatch, with_writer: bool
) -> None:
    await office.open(seats=20)
    reader = PulseReader(office.engine, GALA)
    await reader.read()
    if with_writer:
        await office.engine.journal.create_group(GALA)
        await office.engine.journal.read([GALA], "writer", count=1, block_ms=1)
    monkeypatch.setattr(pulse, "TAIL_ENTRIES_MAX", 4)
    for seat in range(1, 6):  # ten entries, half of them holds
        await office.confirm(await office.hold("ann", f"A-1-{seat}"))
    seen = await reader.read()
    assert seen.estimated
    assert seen.totals == {"event_loaded": 1, "seats_held": 5, "booking_confirmed": 5}


async def test_poll_that_cannot_read_all_nor_count_goes_by_the_time(
    office: BoxOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.open()
    monkeypatch.setattr(pulse, "TAIL_ENTRIES_MAX", 2)
    for seat in range(1, 4):
        await office.hold("ann", f"A-1-{seat}")
    seen = await PulseReader(office.engine, GALA).read()
    assert seen.estimated
    assert seen.totals["seats_held"] >= 2


async def test_poll_costs_the_same_however_many_seats_there_are(
    engine: Engine, redis: Redis
) -> None:
    small, large = EventId("small"), EventId("large")
    await engine.events.load_event(small, layout(rows=1), terms())
    await engine.events.load_event(large, layout(rows=50, seats=40), terms())
    costs = []
    for event in (small, large):
        reader = PulseReader(engine, event)
        await reader.read()
        before: Any = await redis.info("commandstats")
        await reader.read()
        after: Any = await redis.info("commandstats")
        costs.append(
            {
                name[8:]: row["calls"] - before.get(name, {"calls": 0})["calls"]
                for name, row in after.items()
                if row["calls"] != before.get(name, {"calls": 0})["calls"]
            }
        )
    small_cost, large_cost = ({k: n for k, n in cost.items() if k != "info"} for cost in costs)
    assert small_cost == large_cost
    assert sum(large_cost.values()) <= 12
    assert not {"hgetall", "hscan", "keys", "scan"} & set(large_cost)


async def test_poll_at_no_event_or_through_a_cut_line_says_so(
    settings: Settings, tmp_path: Path
) -> None:
    async with Proxy(settings.redis_url, tmp_path) as proxy:
        behind = msgspec.structs.replace(settings, redis_url=proxy.url)
        async with await Engine.connect(behind) as engine:
            with pytest.raises(EventNotFound):
                await PulseReader(engine, GALA).read()
            await engine.events.load_event(GALA, layout(), terms())
            reader = PulseReader(engine, GALA)
            await reader.read()
            await proxy.cut()
            with pytest.raises((Unavailable, OutcomeUnknown)):
                await reader.read()
            await proxy.restore()
            assert (await reader.read()).totals == {"event_loaded": 1}
