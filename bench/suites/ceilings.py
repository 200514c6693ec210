"""What the servers can do alone: redis-benchmark of the hold script, and rows into Postgres."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from bench.report.conditions import read_conditions
from bench.report.section import BenchOptions, BenchSection, Chart, Figures
from bench.rig.ceiling import Ceiling, CeilingLoad
from bench.rig.sale import set_policy
from embedded import servers
from engine import Engine
from engine.settings.settings import Settings
from persistence import database
from persistence.database import Pool

SHAPES = ((1, 1), (50, 1), (50, 16))
SEATS = (1, 4, 8)
CALLS_MAX, LONE_CALLS_MAX = 30_000, 4_000
ROWS, BATCH_ROWS = 50_000, 500
POLICIES = ("always", "everysec", "off")

_TABLE = (
    "CREATE TABLE bench_rows (booking_id text PRIMARY KEY, event_id text NOT NULL, "
    "customer_id text NOT NULL, seat text NOT NULL, held_at_ms bigint NOT NULL)"
)
_INSERT = (
    "INSERT INTO bench_rows SELECT * FROM "
    "unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) ON CONFLICT DO NOTHING"
)


async def measure(options: BenchOptions) -> BenchSection:
    """Every shape at every AOF policy with one seat; 4 and 8 seats with AOF always."""
    figures = Figures()
    async with _servers() as (settings, engine, pool):
        conditions = await read_conditions(engine) | {"appendfsync": "as named"}
        ceiling = Ceiling(engine, settings.redis_url, options.size(1_000_000, 100_000))
        await ceiling.open()
        await pool.execute(_TABLE)
        for _ in range(options.rounds):
            for policy in POLICIES:
                await set_policy(engine, policy)
                await _fire_all(ceiling, figures, policy, options)
            await _insert_all(pool, figures, options)
        figures.wrong += ceiling.wrong
    charted = [f"ceiling/{policy}/50x16/1" for policy in POLICIES]
    charted += [f"ceiling/always/50x16/{seats}" for seats in SEATS[1:]]
    return BenchSection(
        id="ceilings",
        title="Ceilings: Redis and Postgres alone",
        what="redis-benchmark of the assembled hold script, on a unix socket; rows by asyncpg.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[
            Chart(name="ceilings", title="Holds by redis-benchmark", unit="a second", bars=charted)
        ],
        notes=["A pipeline of 16 shares one fsync among its calls, as the batcher does."],
    )


@asynccontextmanager
async def _servers() -> AsyncIterator[tuple[Settings, Engine, Pool]]:
    with TemporaryDirectory(prefix="bench-") as folder, servers.start(folder) as running:
        settings = Settings(redis_url=running.redis_url, database_url=running.database_url)
        async with (
            await Engine.connect(replace(settings, durability="async")) as engine,
            await database.connect(settings.database_url) as pool,
        ):
            yield settings, engine, pool


async def _fire_all(ceiling: Ceiling, figures: Figures, policy: str, options: BenchOptions) -> None:
    for (connections, pipeline), seats in product(SHAPES, SEATS if policy == "always" else (1,)):
        fire = CeilingLoad(connections, pipeline, seats)
        calls_max = LONE_CALLS_MAX if connections == 1 else CALLS_MAX
        per_s = await ceiling.measure(fire, options.size(calls_max, calls_max // 10))
        series = f"ceiling/{policy}/{connections}x{pipeline}/{seats}"
        figures.add(series, f"holds, AOF {policy}, {fire.says}", "/s", per_s)


async def _insert_all(pool: Pool, figures: Figures, options: BenchOptions) -> None:
    """Bookings' rows, each committed and synced: in batches as the writer does, by COPY, alone."""
    count = options.size(ROWS, ROWS // 10)
    rows = [(f"bench:{n:026}", "bench", "bench", f"A-1-{n:012}", n) for n in range(count)]
    batches = [rows[start : start + BATCH_ROWS] for start in range(0, count, BATCH_ROWS)]
    async with pool.acquire() as connection:
        await connection.execute("TRUNCATE bench_rows")
        began_s = time.perf_counter()
        for batch in batches:
            await connection.execute(_INSERT, *map(list, zip(*batch, strict=True)))
        _add_rows(figures, "unnest", count, began_s)
        await connection.execute("TRUNCATE bench_rows")
        began_s = time.perf_counter()
        for batch in batches:
            await connection.copy_records_to_table("bench_rows", records=batch)
        _add_rows(figures, "copy", count, began_s)
        if await connection.fetchval("SELECT count(*) FROM bench_rows") != count:
            figures.wrong.append("Postgres has other rows than were written")
        await connection.execute("TRUNCATE bench_rows")
        began_s = time.perf_counter()
        for row in rows[: count // 50]:
            await connection.execute("INSERT INTO bench_rows VALUES ($1, $2, $3, $4, $5)", *row)
        _add_rows(figures, "single", count // 50, began_s)


def _add_rows(figures: Figures, how: str, count: int, began_s: float) -> None:
    says = {
        "unnest": f"rows into Postgres, INSERT … unnest, {BATCH_ROWS} a transaction",
        "copy": f"rows into Postgres, COPY, {BATCH_ROWS} a transaction",
        "single": "rows into Postgres, one a transaction, one connection",
    }
    figures.add(f"rows/{how}", says[how], "/s", count / (time.perf_counter() - began_s))
