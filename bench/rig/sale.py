"""One running installation to be fired at: fresh events, AOF policies, and checks after a volley.

Everything runs as in a real sale: the expirer and the writer too. A volley is only a figure when
nothing failed, Redis has what was answered, every promise holds, and Postgres has the same.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from api.http.tokens import issue_token
from bench.load import generator
from bench.load.volley import Shots, Volley
from bench.report.conditions import read_conditions
from bench.rig.stand import Stand, bare_endpoint, engine_up
from bench.rig.waiting import until, until_written
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
        """So many numbers that nobody had before: for seats that nobody asked for yet."""
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

    def volley(self, bodies: list[str], seconds: float) -> Volley:
        """These requests, as one customer."""
        return Volley(token=self.token, bodies=bodies, connections=CONNECTIONS, seconds=seconds)

    async def fire(self, url: str, volley: Volley) -> Shots:
        """Fire, and note what no volley may have: failed connections, 5xx."""
        shots = await asyncio.to_thread(generator.fire, url, volley)
        path = volley.path
        if shots.failed_count:
            self.wrong.append(f"{url}{path}: {shots.failed_count:,} connections failed")
        for status, count in shots.statuses.items():
            if status >= 500:
                self.wrong.append(f"{url}{path}: {count:,} answers {status}")
        return shots

    async def fire_all_good(self, url: str, volley: Volley) -> Shots:
        """Fire where no answer may be a refusal."""
        shots = await self.fire(url, volley)
        refused = shots.error_count - shots.failed_count
        if refused:
            self.wrong.append(f"{url}{volley.path}: {refused:,} answers are no success")
        return shots

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

    async def file_stands() -> bool:
        info = await engine.client.info("persistence")
        return not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]

    if not await until(file_stands, DRAIN_S_MAX):
        raise TimeoutError("Redis does not finish its append-only file")


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
        "load": f"{generator.NAME}, {CONNECTIONS} connections, on the same machine",
    }
