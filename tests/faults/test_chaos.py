"""T30: every process is killed or stopped at random, then it is quiet: safe during, live after.

Valkey, the API, a writer and an expirer are processes of their own; Postgres is behind a proxy.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import msgspec
import pytest

from engine import Engine, Settings
from persistence.database import Pool
from persistence.reconcile.reconciler import reconcile
from tests.persistence.running import sold_seats
from tests.support.crowd import Crowd, aftermath, state_of
from tests.support.factories import GALA, terms
from tests.support.own_valkey import OwnValkey
from tests.support.parts import Parts, ongoing_sale
from tests.support.trials import Trial
from tests.support.waiting import until

TERMS = terms(hold_ttl_ms=2_000, ended_ttl_ms=60_000)


async def _redis_dies(parts: Parts) -> None:
    await asyncio.to_thread(parts.own.kill)
    await asyncio.to_thread(parts.own.start)


async def _postgres_goes(parts: Parts) -> None:
    await parts.proxy.cut()
    await asyncio.sleep(0.5)
    await parts.proxy.restore()


async def _redis_stops(parts: Parts) -> None:
    with parts.own.paused():
        await asyncio.sleep(0.5)


async def _postgres_hangs(parts: Parts) -> None:
    parts.proxy.stall()
    await asyncio.sleep(0.5)
    parts.proxy.flow()


FAULTS: dict[str, Callable[[Parts], Awaitable[None]]] = {
    "Redis killed": _redis_dies,
    "Redis stopped": _redis_stops,
    "Postgres unreachable": _postgres_goes,
    "Postgres half-open": _postgres_hangs,
    "API killed": lambda parts: parts.kill("serve"),
    "writer killed": lambda parts: parts.kill("write"),
    "writer stopped": lambda parts: parts.pause("write", 1.0),
    "expirer killed": lambda parts: parts.kill("expire"),
    "expirer stopped": lambda parts: parts.pause("expire", 1.0),
}


async def _break_everything(
    parts: Parts, engine: Engine, crowd: Crowd, random: Random, chaos_s: float
) -> Counter[str]:
    """One fault after the other, and a look after each: safe all the time. How many of each."""
    done: Counter[str] = Counter()
    end_s = time.monotonic() + chaos_s
    while time.monotonic() < end_s:
        await asyncio.sleep(random.uniform(0.05, 0.5))
        fault = random.choice(list(FAULTS))
        await FAULTS[fault](parts)
        await parts.revive()
        done[fault] += 1
        sold, state = dict(crowd.sold), await state_of(engine)
        sold = {booking: seat for booking, seat in sold.items() if booking in crowd.sold}
        broken = crowd.broken(state, sold)
        assert [line for line in broken if "overdue" not in line] == [], (fault, done)
    return done


async def _live(engine: Engine, pool: Pool) -> None:
    """Without intervention: every hold ends, the journal is drained, both sides agree."""

    async def at_rest() -> bool:
        held = (await state_of(engine)).event.counts.held
        return held == 0 and (await engine.journal.backlog(GALA)).entries == 0

    await until(at_rest)
    assert await engine.journal.dead_letters(GALA) == []
    assert (await reconcile(engine, pool, [GALA], lag_ms=0)).clean


@pytest.mark.trial("T30")
async def test_random_faults_then_quiet(
    own: OwnValkey, own_settings: Settings, pool: Pool, database_url: str, trial: Trial,
    tmp_path: Path,
) -> None:  # fmt: skip
    chaos_s = float(os.environ.get("FAULTS_CHAOS_S") or trial.seconds(4.0, 120.0))
    over = {"database_url": database_url, "journal_keep_ms": 7_200_000}  # all of it is replayed
    settings = msgspec.structs.replace(own_settings, **over)
    async with ongoing_sale(own, settings, trial, tmp_path, TERMS) as (engine, parts, crowd):
        done = await _break_everything(parts, engine, crowd, trial.random, chaos_s)
        quiet_s = time.monotonic()
        await crowd.end()
        await parts.revive()
        await _live(engine, pool)
        live_s = time.monotonic() - quiet_s
        resident = parts.resident_bytes()
        # The expirer would go on forgetting what ended long ago.
        await parts.stop()
        assert await aftermath(engine, crowd, pool) == []
        owners = await sold_seats(pool)
        assert owners == {f"gala:{seat}": booking for booking, seat in crowd.sold.items()}
    faults = ", ".join(f"{name} {count}" for name, count in sorted(done.items()))
    memory = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in resident.items())
    trial.tell(
        done.total(), f"random fault in {chaos_s:g} s, then quiet",
        f"{len(crowd.asked):,} calls, {len(crowd.sold):,} places sold at the end: violations 0, "
        f"lost 0, double 0; at rest and reconciled {live_s:.1f} s after the last fault; memory at "
        f"the end {memory}; {faults}",
    )  # fmt: skip
