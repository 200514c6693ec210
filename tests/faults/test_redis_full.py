"""T25: Redis has no memory or no disk left; its file is rewritten, and it dies in that."""

import asyncio
import time

import pytest

from engine import Engine
from engine.event_state import EventState
from tests.support.crowd import Crowd, EngineDesk, aftermath, seats_of, state_of
from tests.support.factories import GALA, layout, terms
from tests.support.own_valkey import OwnValkey
from tests.support.raw_redis import raw
from tests.support.trials import Trial
from tests.support.waiting import until

CLEAN = {"ok", "seat_taken", "unavailable", "outcome_unknown"}
AT_ONCE = 16
ROW = 50


async def _crowd(engine: Engine, trial: Trial, rows: int) -> Crowd:
    await engine.events.load_event(GALA, layout(rows, ROW), terms())
    crowd = Crowd(EngineDesk(engine), seats_of(rows, ROW), trial.random)
    crowd.endless = True
    return crowd


async def _turned_away(crowd: Crowd, count: int) -> None:
    """Wait until so many more were."""
    seen = len(crowd.asked)

    async def enough() -> bool:
        return sum(a.answer.outcome == "away" for a in crowd.asked[seen:]) >= count

    await until(enough)


def _nothing_evicted(state: EventState, rows: int) -> None:
    assert len(state.seats) == rows * ROW


@pytest.mark.trial("T25")
async def test_memory_full_refuses_and_evicts_nothing(
    own: OwnValkey, own_engine: Engine, trial: Trial
) -> None:
    rounds, rows = trial.rounds(2, 20), trial.rounds(20, 100)
    crowd = await _crowd(own_engine, trial, rows)
    client = raw(own_engine)
    keys_before = await client.dbsize()
    crowd.begin(AT_ONCE)
    for _ in range(rounds):
        await asyncio.sleep(0.1)
        used = (await client.info("memory"))["used_memory"]
        await client.config_set("maxmemory", used - 100_000)
        await _turned_away(crowd, 50)
        await client.config_set("maxmemory", 0)
    await crowd.end()
    state = await state_of(own_engine)
    assert set(crowd.codes) <= CLEAN - {"outcome_unknown"}, crowd.codes
    assert await aftermath(own_engine, crowd) == []
    _nothing_evicted(state, rows)
    assert (await client.info("stats"))["evicted_keys"] == 0
    assert await client.dbsize() >= keys_before
    trial.tell(
        rounds, "maxmemory reached in a sale",
        f"{crowd.codes['unavailable']:,} calls refused before anything was written, "
        f"{len(crowd.sold):,} sold; partial effects 0, evicted keys 0",
    )  # fmt: skip


@pytest.mark.trial("T25")
@pytest.mark.parametrize("sync", ["always", "everysec"])
async def test_disk_full_leaves_no_half_of_a_call(
    own: OwnValkey, own_engine: Engine, trial: Trial, sync: str
) -> None:
    """`always`: Valkey ends itself rather than break its word. `everysec`: it refuses writes."""
    rounds, rows = trial.rounds(1, 10), trial.rounds(20, 1000)
    await own_engine.client.config_set("appendfsync", sync)
    own.more(appendfsync=sync)
    crowd = await _crowd(own_engine, trial, rows)
    crowd.begin(AT_ONCE)
    ended = 0
    for _ in range(rounds):
        await asyncio.sleep(0.1)
        own.limit_file_bytes(own.journal_file.stat().st_size + trial.random.randint(100, 5000))
        await _turned_away(crowd, 30)
        if sync == "always":
            await asyncio.to_thread(own.wait_until_gone)
            await asyncio.to_thread(own.start)
            ended += 1
        else:
            own.limit_file_bytes(None)
            await asyncio.sleep(1.2)  # it tries again every second
    await crowd.end()
    state = await state_of(own_engine)
    assert set(crowd.codes) <= CLEAN, crowd.codes
    assert await aftermath(own_engine, crowd) == []
    _nothing_evicted(state, rows)
    trial.tell(
        rounds, f"disk full in a sale (appendfsync {sync})",
        f"{'Valkey ended itself and was started again' if ended else 'writes refused (MISCONF)'}; "
        f"{crowd.codes['unavailable']:,} calls refused, {crowd.codes['outcome_unknown']} of "
        f"unknown outcome repeated, {len(crowd.sold):,} sold; partial effects 0, lost 0",
    )  # fmt: skip


@pytest.mark.trial("T25")
async def test_file_rewritten_in_a_sale_and_killed_in_it_loses_nothing(
    own: OwnValkey, own_engine: Engine, trial: Trial
) -> None:
    rounds, rows = trial.rounds(2, 20), trial.rounds(40, 200)
    crowd = await _crowd(own_engine, trial, rows)
    crowd.begin(AT_ONCE)
    rewriting = 0
    for _ in range(rounds):
        await asyncio.sleep(0.05)
        await raw(own_engine).bgrewriteaof()
        await asyncio.sleep(trial.random.uniform(0, 0.03))
        rewriting += (await own_engine.client.info("persistence"))["aof_rewrite_in_progress"]
        await asyncio.to_thread(own.kill)
        await asyncio.to_thread(own.start)
    worst_from_s = time.monotonic()
    await raw(own_engine).bgrewriteaof()
    await crowd.end()
    assert set(crowd.codes) <= CLEAN, crowd.codes
    assert await aftermath(own_engine, crowd) == []
    trial.tell(
        rounds, "AOF rewrite in a sale, and SIGKILL after it began",
        f"{rewriting} killed while rewriting; {len(crowd.sold):,} sold: lost 0, double 0; p99 of "
        f"calls beside a rewrite {crowd.took_ms(0.99, worst_from_s):.0f} ms",
    )  # fmt: skip
