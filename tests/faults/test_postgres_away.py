"""T05, T06: Postgres is away, or hangs, in a sale; no call waits for it, and it catches up."""

import asyncio
import time
from pathlib import Path

import asyncpg
import msgspec
import pytest

from engine import Engine, Settings
from persistence.database import Pool, connect
from persistence.journal.writer import Writer
from tests.persistence.running import drained, running, sold_seats
from tests.support.crowd import Crowd, EngineDesk, HttpDesk, aftermath, seats_of
from tests.support.factories import GALA, layout, terms
from tests.support.postgres_proxy import through_a_proxy
from tests.support.serving import serving
from tests.support.trials import Trial

ROW = 50
KEEP_MS = 3_600_000


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """A writer that claims and fills its batches at once."""
    return msgspec.structs.replace(
        settings, writer_claim_idle_ms=50, writer_batch_wait_ms=1, journal_keep_ms=KEEP_MS
    )


async def _sound(engine: Engine, pool: Pool, crowd: Crowd) -> None:
    """Nothing lost, double or stranded, on both sides, without intervention."""
    assert await aftermath(engine, crowd, pool) == []
    owners = await sold_seats(pool)
    assert owners == {f"gala:{seat}": booking for booking, seat in crowd.sold.items()}
    assert await engine.journal.dead_letters(GALA) == []


def _worst_of(crowd: Crowd, began_s: float, ended_s: float) -> float:
    took = sorted(a.took_s for a in crowd.asked if began_s <= a.began_s < ended_s)
    return took[int(0.99 * len(took))] * 1000


@pytest.mark.trial("T05")
async def test_postgres_away_under_load_slows_no_call_and_catches_up(
    engine: Engine, quick: Settings, pool: Pool, trial: Trial, tmp_path: Path
) -> None:
    away_s = trial.seconds(1.0, 60.0)
    rows = trial.rounds(20, 400)
    await engine.events.load_event(GALA, layout(rows, ROW), terms())
    async with (
        through_a_proxy(quick.database_url, tmp_path / "pg") as (proxy, url),
        await connect(url) as behind,
        serving(msgspec.structs.replace(quick, database_url=url), tmp_path) as port,
        running(Writer(engine, behind, quick)),
    ):
        desk = HttpDesk(port)
        crowd = Crowd(desk, seats_of(rows, ROW), trial.random)
        crowd.begin(8)
        began_s = time.monotonic()
        await asyncio.sleep(min(5.0, away_s))
        cut_s = time.monotonic()
        await proxy.cut()
        await asyncio.sleep(away_s)
        back_s = time.monotonic()
        backlog = (await engine.journal.backlog(GALA)).entries
        assert backlog > 0
        await proxy.restore()
        await crowd.end()
        await drained(engine)
        drain_s = time.monotonic() - back_s
        await desk.http.aclose()
        with_ms, without_ms = _worst_of(crowd, began_s, cut_s), _worst_of(crowd, cut_s, back_s)
    assert set(crowd.codes) <= {"201", "200", "204", "seat_taken"}, crowd.codes
    await _sound(engine, pool, crowd)
    trial.tell(
        1, f"Postgres unreachable for {away_s:g} s under load",
        f"{len(crowd.sold):,} sold, lost 0, failed calls 0; API p99 {without_ms:.0f} ms without, "
        f"{with_ms:.0f} ms with Postgres (ratio {without_ms / with_ms:.2f}); {backlog:,} entries "
        f"waited and were written {drain_s:.1f} s after it was back, back-off included",
    )  # fmt: skip


async def _terminate_others(admin: asyncpg.Connection) -> int:
    rows = await admin.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return len(rows)


@pytest.mark.trial("T06")
async def test_postgres_stalled_then_its_connections_ended_writes_each_once(
    engine: Engine, quick: Settings, trial: Trial, database_url: str
) -> None:
    stalled_s = trial.seconds(1.0, 30.0)
    rows = trial.rounds(10, 300)
    await engine.events.load_event(GALA, layout(rows, ROW), terms())
    admin = await asyncpg.connect(database_url)
    pool = await connect(database_url)
    crowd = Crowd(EngineDesk(engine), seats_of(rows, ROW), trial.random)
    async with running(Writer(engine, pool, quick)):
        await drained(engine)
        locking = admin.transaction()
        await locking.start()
        await admin.execute("LOCK TABLE bookings IN ACCESS EXCLUSIVE MODE")
        began_s = time.monotonic()
        crowd.begin(4)
        await asyncio.sleep(stalled_s)
        backlog = await engine.journal.backlog(GALA)
        assert backlog.oldest_ms
        age_s = (backlog.now_ms - backlog.oldest_ms) / 1000
        ended = await _terminate_others(admin)
        await locking.rollback()
        back_s = time.monotonic()
        await crowd.end()
        await drained(engine)
        drain_s = time.monotonic() - back_s
    assert back_s - began_s >= stalled_s
    assert ended > 0
    written = await pool.fetchval("SELECT count(*) FROM journal")
    assert written == await engine.client.xlen("{gala}:journal")
    await _sound(engine, pool, crowd)
    await pool.close()
    await admin.close()
    trial.tell(
        1, f"`bookings` locked for {stalled_s:g} s, then {ended} connections of Postgres ended",
        f"{written:,} entries written once each, duplicates 0; oldest entry {age_s:.1f} s old "
        f"when the lock was gone, all written {drain_s:.1f} s later",
    )  # fmt: skip
