"""The engine beside other ways to sell a seat once, behind one HTTP layer on the same servers.

In turns on 50,000 free seats each, everything on the disk before it is answered (`appendfsync
always`, `synchronous_commit on`). Each baseline also runs a fight for 50 seats, and its records are
checked: the figure of one that sold a seat twice would be worthless. The baselines have their own
Postgres: the engine's runs at low priority (nice 10), as no hold of the engine waits for it.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct
from msgspec.structs import replace

from bench.baselines import METHODS
from bench.baselines.method import Method, sold_twice, unsold
from bench.report.section import BenchOptions, BenchSection, Chart, Figures, in_turns
from bench.rig.houses import hold_bodies, stadium_seats
from bench.rig.sale import Sale, conditions_of, open_sale
from bench.rig.stand import bare_endpoint
from embedded.postgres import Postgres
from engine.ids import EventId
from persistence import database

EVENT = EventId("bench")
FIGHT_SEATS = 50
SAYS = {
    "engine": "this engine",
    "for_update": "SELECT … FOR UPDATE, statements in a transaction",
    "for_update_function": "SELECT … FOR UPDATE, one PL/pgSQL function",
    "seat_locks": "Redis SET NX per seat + Postgres transaction",
    "watch": "Redis WATCH / MULTI",
}


class _Postgres(Postgres):
    """With normal priority, as holds wait for it."""

    niceness = 0


class _Baseline(Struct, frozen=True):
    """One that is served, and a way to look into what it recorded."""

    name: str
    url: str
    method: Method


async def measure(options: BenchOptions) -> BenchSection:
    """One API process each."""
    figures = Figures()
    async with open_sale() as sale, _baselines(sale) as (baselines, durability):
        conditions = await conditions_of(sale) | durability
        for number in range(options.rounds):
            for baseline in in_turns([None, *baselines], number):
                if baseline is None:
                    await _fire_engine(sale, figures, options)
                else:
                    await _fire_baseline(sale, figures, options, baseline)
                    await _fight(sale, baseline)
        figures.wrong += sale.wrong
    bars = [f"rival/{name}" for name in SAYS]
    return BenchSection(
        id="baselines",
        title="Other ways to sell a seat once",
        what="Holds of one free seat each by 64 connections, one API process; answers are synced.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[Chart(name="baselines", title="Holds over HTTP", unit="a second", bars=bars)],
        notes=[
            "Each runs behind the bare endpoint, which does less than the engine's API, and writes "
            "no journal. What a hold checks and writes there:",
            "\n".join(f"- {SAYS[baseline.name]}: {baseline.method.does}" for baseline in baselines),
            "The function is the best form of FOR UPDATE, and as correct; most applications send "
            "the statements. The target is the ratio to the statements; the ratio to the function "
            "is shown beside it.",
        ],
    )


@asynccontextmanager
async def _baselines(sale: Sale) -> AsyncIterator[tuple[list[_Baseline], dict[str, str]]]:
    """All of them, and how durable their Postgres is."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="bench-"))
        postgres = _Postgres(Path(folder) / "postgres")
        postgres.start()
        stack.callback(postgres.stop)
        settings = replace(sale.stand.settings, database_url=postgres.url)
        servers = {"REDIS_URL": settings.redis_url, "DATABASE_URL": settings.database_url}
        baselines = []
        for name, connect in METHODS.items():
            method = await stack.enter_async_context(await connect(settings, 1))
            await method.open_house([])
            served = bare_endpoint(
                settings.jwt_secret, {"BASELINE": name, **servers}, app="bench.baselines.app:app"
            )
            baselines.append(_Baseline(name, stack.enter_context(served), method))
        async with await database.connect(settings.database_url) as pool:
            asked = ("server_version", "fsync", "synchronous_commit")
            told = [f"{name} {await pool.fetchval(f'SHOW {name}')}" for name in asked]
        yield baselines, {"postgres": ", ".join(told)}


async def _fire_engine(sale: Sale, figures: Figures, options: BenchOptions) -> None:
    event = await sale.open_stadium()
    bodies = hold_bodies(event, stadium_seats())
    result = await sale.run_all_good(sale.load(sale.stand.url, bodies, options.seconds))
    state = await sale.judge(event)
    sale.expect(event, "holds", len(state.bookings), result.answer_count)
    figures.add("rival/engine", SAYS["engine"], "/s", result.per_second)
    figures.add("rival/engine/p99", f"{SAYS['engine']}, p99", "ms", result.p99_ms)


async def _fire_baseline(
    sale: Sale, figures: Figures, options: BenchOptions, baseline: _Baseline
) -> None:
    await baseline.method.open_house([f"{EVENT}:{seat}" for seat in stadium_seats()])
    bodies = hold_bodies(EVENT, stadium_seats())
    result = await sale.run_all_good(sale.load(baseline.url, bodies, options.seconds))
    await _check(sale, baseline, result.answer_count)
    series, says = f"rival/{baseline.name}", SAYS[baseline.name]
    figures.add(series, says, "/s", result.per_second)
    figures.add(f"{series}/p99", f"{says}, p99", "ms", result.p99_ms)


async def _fight(sale: Sale, baseline: _Baseline) -> None:
    wanted = stadium_seats()[:FIGHT_SEATS]
    seats = [f"{EVENT}:{seat}" for seat in wanted]
    await baseline.method.open_house(seats)
    load = sale.load(baseline.url, hold_bodies(EVENT, wanted), 1)
    result = await sale.run(replace(load, counted=True))
    bookings = await _check(sale, baseline, result.statuses.get(201, 0))
    if left := unsold(bookings, seats):
        sale.wrong.append(f"{baseline.name}: {len(left)} requested seats were not sold")


async def _check(sale: Sale, baseline: _Baseline, answered: int) -> list[tuple[str, list[str]]]:
    bookings = await baseline.method.bookings()
    sale.wrong += [
        f"{baseline.name}: {seat} sold {n} times" for seat, n in sold_twice(bookings).items()
    ]
    if len(bookings) < answered:
        sale.wrong.append(
            f"{baseline.name}: {answered:,} holds answered, {len(bookings):,} recorded"
        )
    return bookings
