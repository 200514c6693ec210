"""The write-behind worker: its throughput, its lag in a war, and how it catches up.

The real `engine write` in a process of its own. A booking that is sold has two journal entries,
held and confirmed; both are drained, and it counts once. One that is only held has one.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from bench.report.conditions import read_conditions
from bench.report.section import BenchOptions, BenchSection, Chart, Figures, in_turns
from bench.rig.houses import house, selection
from bench.rig.polling import until, until_written
from bench.rig.sale import DRAIN_S_MAX
from bench.rig.stand import Stand, engine_up, part_running
from bench.war import war
from bench.war.scenarios import SCENARIOS
from bench.war.verdict import judge, settle
from embedded import servers
from embedded.servers import Servers
from engine import Engine
from engine.event_state import read_state
from engine.ids import EventId
from engine.invariants import check
from engine.models import Terms
from engine.settings.settings import Settings
from persistence import database, migrations
from persistence.database import Pool
from persistence.reconcile.reconciler import reconcile

AT_ONCE = 500
BUYERS = 250
SALES_PER_S = 200
KINDS = ("held", "sold")
CAUGHT_UP_MS = 1000
LOOK_S = 0.02


class _Backlog(Struct, frozen=True):
    """So many bookings of one kind that the writer has not read."""

    event: str
    kind: str
    count: int

    @property
    def each(self) -> int:
        """Journal entries of a booking."""
        return 2 if self.kind == "sold" else 1


class _Base(Struct):
    """Servers with no API, expirer or writer, and ways to them."""

    running: Servers
    engine: Engine
    pool: Pool
    wrong: list[str]

    async def judge(self, event: EventId) -> None:
        """Verify and reconcile."""
        found = [*check(await read_state(self.engine, event))]
        report = await reconcile(self.engine, self.pool, [event])
        self.wrong += [f"{event}: {item.kind} {item.subject}" for item in found[:5]]
        self.wrong += [
            f"{event}: {item.kind} {item.subject}" for item in list(report.differences)[:5]
        ]


async def measure(options: BenchOptions) -> BenchSection:
    """Drain, then a war, then a time without Postgres."""
    figures = Figures()
    async with _servers() as base:
        conditions = await read_conditions(base.engine)
        for number in range(options.rounds):
            for kind in in_turns(KINDS, number):
                backlog = _Backlog(f"drain-{kind}-{number}", kind, options.size(30_000, 5_000))
                await _drain(base, figures, backlog)
        await _lose_postgres(base, figures, options.size(60, 5))
        figures.wrong += base.wrong
    with TemporaryDirectory(prefix="bench-") as folder, engine_up(Path(folder)) as stand:
        for _ in range(options.rounds):
            await _run_war(stand, figures, options.seconds * 3 + 1)
    return BenchSection(
        id="writer",
        title="Write-behind",
        what=f"`engine write` alone on a backlog; {BUYERS} locust buyers in the war.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[
            Chart(
                name="writer",
                title="Drained by the writer",
                unit="a second",
                bars=["writer/held", "writer/sold"],
            )
        ],
    )


@asynccontextmanager
async def _servers() -> AsyncIterator[_Base]:
    with TemporaryDirectory(prefix="bench-") as folder, servers.start(folder) as running:
        await migrations.migrate(running.database_url)
        settings = Settings(redis_url=running.redis_url, database_url=running.database_url)
        async with (
            await Engine.connect(settings) as engine,
            await database.connect(settings.database_url) as pool,
        ):
            yield _Base(running, engine, pool, [])


async def _drain(base: _Base, figures: Figures, backlog: _Backlog) -> None:
    """Hold, or sell, with no writer there, then start one and watch the backlog go."""
    event, count, engine = EventId(backlog.event), backlog.count, base.engine
    await engine.events.load_event(event, house(count), Terms(name="Bench"))
    for start in range(0, count, AT_ONCE):
        wanted = (selection(event, n) for n in range(start, min(start + AT_ONCE, count)))
        held = await asyncio.gather(*map(engine.bookings.hold_seats, wanted))
        if backlog.each == 2:
            await asyncio.gather(*(engine.bookings.confirm_booking(b.id, None) for b in held))
    with part_running(base.running.data, "write"):
        entries, seconds = await _watch(engine, event, backlog.each * count + 1)
    await base.judge(event)
    says = {"held": "bookings held, an entry each", "sold": "bookings sold, two entries each"}
    per_s = entries / backlog.each / seconds
    figures.add(f"writer/{backlog.kind}", f"drained: {says[backlog.kind]}", "/s", per_s)


async def _watch(engine: Engine, event: EventId, total: int) -> tuple[int, float]:
    """Entries that went, and in which time: from the first that were seen to go."""
    left, ends_s = total, time.monotonic() + DRAIN_S_MAX
    while left == total and time.monotonic() < ends_s:
        await asyncio.sleep(LOOK_S)
        left = (await engine.journal.backlog(event)).entries
    began_s, first = time.perf_counter(), left
    while left and time.monotonic() < ends_s:
        await asyncio.sleep(LOOK_S)
        left = (await engine.journal.backlog(event)).entries
    return first - left, time.perf_counter() - began_s


async def _lose_postgres(base: _Base, figures: Figures, away_s: int) -> None:
    """Sell at a steady rate while Postgres goes and comes back, until the writer has caught up."""
    event, engine = EventId("outage"), base.engine
    seats = SALES_PER_S * (away_s + 120)
    await engine.events.load_event(event, house(seats), Terms(name="Bench"))
    stop = asyncio.Event()

    async def caught_up() -> bool:
        return await _lag_ms(engine, event) <= CAUGHT_UP_MS

    with part_running(base.running.data, "write"):
        await until_written(engine, event, DRAIN_S_MAX)
        selling = asyncio.create_task(_sell(engine, event, stop))
        os.kill(base.running.urls.pids["postgres"], signal.SIGINT)
        await asyncio.sleep(away_s)
        behind = (await engine.journal.backlog(event)).entries
        await asyncio.to_thread(base.running.revive)
        began_s = time.perf_counter()
        if not await until(caught_up, DRAIN_S_MAX):
            base.wrong.append(f"{event}: not caught up in {DRAIN_S_MAX:.0f} s")
        caught_up_s = time.perf_counter() - began_s
        stop.set()
        sold = await selling
        await until_written(engine, event, DRAIN_S_MAX)
    await base.judge(event)
    if (await engine.events.read_event(event)).counts.sold != sold:
        base.wrong.append(f"{event}: Redis has other sales than were answered")
    says = f"Postgres away for {away_s} s, {SALES_PER_S} sales a second"
    figures.add("writer/behind", f"{says}: entries behind", "count", behind)
    figures.add("writer/caught_up", f"{says}: caught up in", "s", caught_up_s)


async def _sell(engine: Engine, event: EventId, stop: asyncio.Event) -> int:
    """Hold and confirm seat by seat at a steady rate; how many."""
    clock = asyncio.get_running_loop()
    began_s, number = clock.time(), 0
    while not stop.is_set():
        held = await engine.bookings.hold_seats(selection(event, number))
        await engine.bookings.confirm_booking(held.id, None)
        number += 1
        await asyncio.sleep(max(0.0, began_s + number / SALES_PER_S - clock.time()))
    return number


async def _run_war(stand: Stand, figures: Figures, seconds: float) -> None:
    """A ticket war; its own watch looks at the lag twenty times a second."""
    settings, scenario = stand.settings, SCENARIOS["rush"].scaled(BUYERS, seconds)
    async with (
        await Engine.connect(settings) as engine,
        await database.connect(settings.database_url) as pool,
    ):
        event = await war.open_sale(engine, scenario)
        wanted = war.War(scenario=scenario, event_id=event, url=stand.url)
        result = await war.fight(engine, wanted, settings, lambda _: None)
        await settle(engine, event)
        verdict = await judge(engine, pool, wanted, result)
    against = (
        verdict.broken_receipts,
        verdict.broken_payments,
        verdict.violations,
        verdict.differences,
        result.summary.failures,
        verdict.backlog_entries,
    )
    if any(against):
        figures.wrong.append(f"the war was not clean: {against}"[:500])
    if not result.summary.confirmed_count:
        figures.wrong.append("the war sold nothing")
    figures.add("writer/lag_p50", "lag in a war, p50", "ms", result.lag.p50_ms)
    figures.add("writer/lag_p99", "lag in a war, p99", "ms", result.lag.p99_ms)
    rate = result.summary.confirmed_count / result.summary.seconds
    figures.add("writer/war_sales", "sales in the war", "/s", rate)


async def _lag_ms(engine: Engine, event: EventId) -> int:
    """How long the oldest entry that Postgres has not is there."""
    backlog = await engine.journal.backlog(event)
    return 0 if backlog.oldest_ms is None else backlog.now_ms - backlog.oldest_ms
