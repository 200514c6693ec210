"""One running installation to be fired at: fresh events, AOF policies, and checks after a volley.

Everything runs as in a real sale: the expirer and the writer too. A volley is only a figure when
nothing failed, Redis has what was answered, every promise holds, and Postgres has the same.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from msgspec.structs import replace

from api.http.tokens import issue_token
from bench.load import closed_loop
from bench.load.closed_loop import GENERATOR, ClosedLoop, ClosedLoopResult
from bench.report.conditions import read_conditions
from bench.report.section import BenchOptions, Figures, in_turns
from bench.rig.polling import until_rewritten, until_written
from bench.rig.stand import Stand, bare_endpoint, engine_up
from engine import Engine
from engine.event_state import EventState, read_state
from engine.ids import EventId
from engine.invariants import check
from engine.models import Terms
from engine.plans.venues import make_venue
from persistence import database
from persistence.database import Pool
from persistence.reconcile.reconciler import reconcile

CONNECTIONS = 64
DRAIN_S_MAX = 120.0
TERMS = Terms(name="Bench", seats_max=10)
POLICIES: Mapping[str, Mapping[str, str]] = {
    "always": {"appendonly": "yes", "appendfsync": "always"},
    "everysec": {"appendonly": "yes", "appendfsync": "everysec"},
    "off": {"appendonly": "no"},
}
"""How durable Redis is asked to be, by the word of its own setting."""


class Sale:
    """An installation with one API, and a bare endpoint of as many processes beside it."""

    def __init__(self, stand: Stand, engine: Engine, pool: Pool, bare_url: str) -> None:
        self.stand, self.engine, self.bare_url = stand, engine, bare_url
        self.token = issue_token(stand.settings.jwt_secret, "bench", "customer", ttl_s=7200)
        self.wrong: list[str] = []
        self._pool = pool
        self._event_count = 0
        self._number_count = 0

    def next_numbers(self, count: int) -> slice:
        """`count` new numbers, for seats that no earlier request named."""
        start, self._number_count = self._number_count, self._number_count + count
        return slice(start, self._number_count)

    async def open_stadium(self) -> EventId:
        """50,000 free seats, known to the writer."""
        self._event_count += 1
        event = EventId(f"bench-{self._event_count}")
        await self.engine.events.load_event(event, make_venue("stadium").layout, TERMS)
        await until_written(self.engine, event, DRAIN_S_MAX)
        return event

    async def set_policy(self, policy: str) -> None:
        """Change Redis' durability while it runs."""
        await set_policy(self.engine, policy)

    def load(self, url: str, bodies: list[str], seconds: float) -> ClosedLoop:
        """These requests, as one customer."""
        return ClosedLoop(
            url=url, token=self.token, bodies=bodies, connections=CONNECTIONS, seconds=seconds
        )

    async def run(self, load: ClosedLoop) -> ClosedLoopResult:
        """Run a load, and note what makes any figure worthless: failed connections and 5xx."""
        result = await asyncio.to_thread(closed_loop.run, load)
        place = f"{load.url}{load.path}"
        if result.failed_count:
            self.wrong.append(f"{place}: {result.failed_count:,} connections failed")
        for status, count in result.statuses.items():
            if status >= 500:
                self.wrong.append(f"{place}: {count:,} answers {status}")
        return result

    async def run_all_good(self, load: ClosedLoop) -> ClosedLoopResult:
        """Run a load in which every answer must be a success."""
        result = await self.run(load)
        refused = result.error_count - result.failed_count
        if refused:
            self.wrong.append(f"{load.url}{load.path}: {refused:,} answers are not a success")
        return result

    async def judge(self, event: EventId) -> EventState:
        """Wait for the writer, then verify and reconcile; what is wrong is noted."""
        if not await until_written(self.engine, event, DRAIN_S_MAX):
            self.wrong.append(f"{event}: the writer has not caught up in {DRAIN_S_MAX:.0f} s")
        state = await read_state(self.engine, event)
        self.wrong += [f"{event}: {found.kind} {found.subject}" for found in check(state)[:5]]
        report = await reconcile(self.engine, self._pool, [event])
        differences = list(report.differences)[:5]
        self.wrong += [f"{event}: {found.kind} {found.subject}" for found in differences]
        return state

    def expect(self, event: EventId, what: str, found: int, least: int) -> None:
        """Redis must have at least what was answered; an answer may be lost, nothing more."""
        if found < least:
            self.wrong.append(f"{event}: {least:,} {what} answered, {found:,} in Redis")


async def set_policy(engine: Engine, policy: str) -> None:
    """Change Redis' durability while it runs, and wait until the file stands."""
    for name, value in POLICIES[policy].items():
        await engine.client.config_set(name, value)
    await until_rewritten(engine)


@asynccontextmanager
async def open_sale(
    workers: int = 1, variables: Mapping[str, str] | None = None
) -> AsyncIterator[Sale]:
    """Start everything on a folder of its own, with these settings; stop it at the end."""
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        engine_up(Path(folder), workers, variables) as stand,
    ):
        settings = stand.settings
        async with (
            await Engine.connect(replace(settings, durability="async")) as engine,
            await database.connect(settings.database_url) as pool,
        ):
            with bare_endpoint(settings.jwt_secret, workers=workers) as bare_url:
                yield Sale(stand, engine, pool, bare_url)


async def conditions_of(sale: Sale) -> dict[str, str]:
    """As `read_conditions`, and where the load ran."""
    return {
        **await read_conditions(sale.engine),
        "load": f"{GENERATOR}, {CONNECTIONS} connections, on the same machine",
    }


RunTurn: TypeAlias = Callable[[Sale, Figures, BenchOptions, tuple[str, int]], Awaitable[None]]
"""Runs one turn, given its name and the number of API processes."""


async def run_in_turns(
    options: BenchOptions, turns_of: Callable[[int], Sequence[str]], run: RunTurn
) -> tuple[Figures, dict[str, str]]:
    """Every turn in every round, with one API process and then with two.

    Returns the figures and their conditions.
    """
    figures, conditions = Figures(), dict[str, str]()
    for workers in options.api_processes:
        async with open_sale(workers) as sale:
            conditions = await conditions_of(sale)
            for number in range(options.rounds):
                for turn in in_turns(turns_of(workers), number):
                    await run(sale, figures, options, (turn, workers))
            figures.wrong += sale.wrong
    return figures, conditions
