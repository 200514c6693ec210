"""The engine beside other ways to sell a seat once, all behind one HTTP layer on the same servers.

In turns on 50,000 free seats each, everything on the disk before it is answered (`appendfsync
always`, `synchronous_commit on`). Each rival also fights for 50 seats, and what it recorded is
checked: a rival that sold a seat twice would be no measure. Their Postgres is one of their own:
that of the engine leaves the processor to others (nice 10), as no hold of the engine waits for it.
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
    """At nobody's heels."""

    niceness = 0


class _Rival(Struct, frozen=True):
    """One that is served, and a way to look into what it recorded."""

    name: str
    url: str
    method: Method


async def measure(options: BenchOptions) -> BenchSection:
    """One API process each."""
    figures = Figures()
    async with open_sale() as sale, _rivals(sale) as (rivals, durability):
        conditions = await conditions_of(sale) | durability
        for number in range(options.rounds):
            for rival in in_turns([None, *rivals], number):
                if rival is None:
                    await _fire_engine(sale, figures, options)
                else:
                    await _fire_rival(sale, figures, options, rival)
                    await _fight(sale, rival)
        figures.wrong += sale.wrong
    bars = [f"rival/{name}" for name in SAYS]
    return BenchSection(
        id="baselines",
        title="Other ways to sell a seat once",
        what="Holds of one free seat each by 64 connections, one API process, all synced.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[Chart(name="baselines", title="Holds over HTTP", unit="a second", bars=bars)],
        notes=[
            "Each takes 64 connections' holds behind the bare endpoint, which does less than the "
            "engine's API, and writes no journal. What a hold checks and leaves there:",
            "\n".join(f"- {SAYS[rival.name]}: {rival.method.does}" for rival in rivals),
            "The function is FOR UPDATE at its best, and as correct; the statements are what most "
            "applications send. What must be reached is told of the statements, and the ratio to "
            "the function stands beside it.",
        ],
    )


@asynccontextmanager
async def _rivals(sale: Sale) -> AsyncIterator[tuple[list[_Rival], dict[str, str]]]:
    """All of them, and how durable their Postgres is."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="bench-"))
        postgres = _Postgres(Path(folder) / "postgres")
        postgres.start()
        stack.callback(postgres.stop)
        settings = replace(sale.stand.settings, database_url=postgres.url)
        servers = {"REDIS_URL": settings.redis_url, "DATABASE_URL": settings.database_url}
        rivals = []
        for name, connect in METHODS.items():
            method = await stack.enter_async_context(await connect(settings, 1))
            await method.open_house([])
            served = bare_endpoint(
                settings.jwt_secret, {"BASELINE": name, **servers}, app="bench.baselines.app:app"
            )
            rivals.append(_Rival(name, stack.enter_context(served), method))
        async with await database.connect(settings.database_url) as pool:
            asked = ("server_version", "fsync", "synchronous_commit")
            told = [f"{name} {await pool.fetchval(f'SHOW {name}')}" for name in asked]
        yield rivals, {"postgres": ", ".join(told)}


async def _fire_engine(sale: Sale, figures: Figures, options: BenchOptions) -> None:
    event = await sale.open_stadium()
    bodies = hold_bodies(event, stadium_seats())
    result = await sale.run_all_good(sale.load(sale.stand.url, bodies, options.seconds))
    state = await sale.judge(event)
    sale.expect(event, "holds", len(state.bookings), result.answer_count)
    figures.add("rival/engine", SAYS["engine"], "/s", result.per_second)
    figures.add("rival/engine/p99", f"{SAYS['engine']}, p99", "ms", result.p99_ms)


async def _fire_rival(sale: Sale, figures: Figures, options: BenchOptions, rival: _Rival) -> None:
    await rival.method.open_house([f"{EVENT}:{seat}" for seat in stadium_seats()])
    bodies = hold_bodies(EVENT, stadium_seats())
    result = await sale.run_all_good(sale.load(rival.url, bodies, options.seconds))
    await _check(sale, rival, result.answer_count)
    series, says = f"rival/{rival.name}", SAYS[rival.name]
    figures.add(series, says, "/s", result.per_second)
    figures.add(f"{series}/p99", f"{says}, p99", "ms", result.p99_ms)


async def _fight(sale: Sale, rival: _Rival) -> None:
    wanted = stadium_seats()[:FIGHT_SEATS]
    seats = [f"{EVENT}:{seat}" for seat in wanted]
    await rival.method.open_house(seats)
    load = sale.load(rival.url, hold_bodies(EVENT, wanted), 1)
    result = await sale.run(replace(load, counted=True))
    bookings = await _check(sale, rival, result.statuses.get(201, 0))
    if left := unsold(bookings, seats):
        sale.wrong.append(f"{rival.name}: nobody got {len(left)} of the seats all asked for")


async def _check(sale: Sale, rival: _Rival, answered: int) -> list[tuple[str, list[str]]]:
    bookings = await rival.method.bookings()
    sale.wrong += [
        f"{rival.name}: {seat} sold {n} times" for seat, n in sold_twice(bookings).items()
    ]
    if len(bookings) < answered:
        sale.wrong.append(f"{rival.name}: {answered:,} holds answered, {len(bookings):,} recorded")
    return bookings
