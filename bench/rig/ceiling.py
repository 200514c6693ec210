"""redis-benchmark of the very hold script the engine runs: what Redis can do with no Python at all.

The script is the one of `engine.scripts`, no rate limit around it, with every write of a hold over
HTTP: the idempotency record too. redis-benchmark puts a number of twelve digits for each
`__rand_int__`, another one each time: the seats of `bench.rig.houses` are named so; a house of a
million seats keeps the share of them that is taken small. What was refused is counted afterwards.
"""

import asyncio
import csv
import subprocess
from urllib.parse import urlsplit

from msgspec import Struct

from bench.rig.houses import house
from bench.rig.raw_redis import raw
from engine import Engine, keys, scripts
from engine.errors import Misconfigured
from engine.ids import EventId
from engine.models import Terms

PROGRAM = "redis-benchmark"
RANDOM = "__rand_int__"
TAKEN_SHARE_MAX = 0.1
"""More refusals than that, and something else is measured than holds."""


class CeilingLoad(Struct, frozen=True):
    """So many connections, so many calls in a pipeline, so many seats a hold."""

    connections: int
    pipeline: int
    seats: int = 1

    @property
    def says(self) -> str:
        """As the issue writes it."""
        return f"{self.connections} x {self.pipeline}, seats a hold: {self.seats}"


class Ceiling:
    """A house in one Redis, and redis-benchmark in front of it."""

    def __init__(self, engine: Engine, redis_url: str, seat_count: int) -> None:
        self._engine, self._url, self._seat_count = engine, redis_url, seat_count
        self._event = EventId("ceiling")
        self.wrong: list[str] = []

    async def open(self) -> None:
        """Load the house, and keep a copy of its seats."""
        layout = house(self._seat_count)
        terms = Terms(name="Ceiling", seats_max=10, hold_ttl_ms=86_400_000)
        await self._engine.events.load_event(self._event, layout, terms)
        named = keys.of_event(self._event)
        for key in (named.event, named.seats, named.map):
            await raw(self._engine).copy(key, f"{key}:fresh", replace=True)

    async def measure(self, fire: CeilingLoad, calls_max: int) -> float:
        """Holds a second in a house that is free again. Raises Misconfigured."""
        await self.set_free()
        calls = min(calls_max, int(TAKEN_SHARE_MAX * self._seat_count / fire.seats**2))
        sha = await raw(self._engine).script_load(scripts.load("hold_seats").text)
        per_s = await asyncio.to_thread(self._run, fire, calls, str(sha))
        held = int(await raw(self._engine).hlen(keys.of_event(self._event).bookings))
        if held < calls * (1 - TAKEN_SHARE_MAX):
            self.wrong.append(f"{PROGRAM} {fire.says}: {calls:,} calls, only {held:,} holds")
        return per_s * held / calls

    async def set_free(self) -> None:
        """Every seat is available again, and no booking was ever made."""
        named = keys.of_event(self._event)
        client = raw(self._engine)
        for key in (named.event, named.seats, named.map):
            await client.copy(f"{key}:fresh", key, replace=True)
        await client.delete(
            named.bookings, named.deadlines, named.customers, named.ended, named.journal
        )

    def _run(self, fire: CeilingLoad, calls: int, sha: str) -> float:
        command = [PROGRAM, *_place(self._url), "--csv", "-r", str(self._seat_count)]
        command += ["-n", str(calls), "-c", str(fire.connections), "-P", str(fire.pipeline)]
        command += call_of(self._event, sha, fire.seats)
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            raise Misconfigured(f"{PROGRAM}: {ran.stderr or ran.stdout}")
        return parse(ran.stdout)


def call_of(event: EventId, sha: str, seats: int) -> list[str]:
    """EVALSHA of one hold, with the numbers left to redis-benchmark.

    A ULID has 26 characters; two numbers make it as good as unique.
    """
    named = keys.of_event(event)
    ulid = f"01{RANDOM}{RANDOM}"
    request = f"{{{event}}}:request:{RANDOM}{RANDOM}"
    wanted = " ".join([f"A-1-{RANDOM}"] * seats)
    called = ["EVALSHA", sha, str(len(named) + 2), *named, keys.hold(event, ulid), request]
    return [*called, "", "1", "seats", ulid, "bench", "d" * 32, wanted, "", "0"]


def parse(told: str) -> float:
    """Calls a second out of `--csv`."""
    header, *rows = csv.reader(told.splitlines())
    return float(rows[-1][header.index("rps")])


def _place(url: str) -> list[str]:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return ["-s", parts.path]
    return ["-h", parts.hostname or "localhost", "-p", str(parts.port or 6379)]
