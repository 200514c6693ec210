"""What a storm of logins does to the p99 of holds.

    python -m bench.suites.logins [--rounds 5] [--seconds 4] [--per-second 200] [--json]

Starts an installation of its own and fires holds at it as `bench.holds` does, in turns: alone,
beside as many cheap requests (`GET /healthz`) a second, and beside a storm of logins. Half of the
logins are right, the others have a wrong password or an address nobody has. The cheap requests
tell what the mere requests and the process that makes them cost on this machine, where the load
takes its cores from the server. Rate limits are off: with them, such a storm ends at the door.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from api.accounts.passwords import Passwords
from api.http.tokens import issue_token
from bench.load import generator
from bench.load.storm import Storm, Weathered, blow
from bench.load.volley import Shots, Volley
from bench.report.conditions import read_conditions
from bench.rig.stand import Stand, engine_up
from bench.rig.waiting import until_written
from engine import Engine
from engine.event_state import read_state
from engine.ids import EventId
from engine.invariants import check
from engine.plans.layout import rows_of
from engine.plans.venues import make_venue
from persistence.stores.stores import PostgresStores

ACCOUNTS = 100
PASSWORD = "correct horse battery staple"  # noqa: S105  # of nobody
DRAIN_S_MAX = 60.0
LOGIN, CHEAP = "/api/v1/auth/login", "/healthz"


class Options(Struct, frozen=True):
    """What is measured."""

    rounds: int
    seconds: float
    per_second: float
    connections: int


class Weather(Struct, frozen=True):
    """Holds in one kind of weather, and what became of the storm."""

    shots: Shots
    storm: Weathered | None = None


class Round(Struct, frozen=True):
    """The same holds alone, beside cheap requests, and beside logins."""

    alone: Weather
    cheap: Weather
    logins: Weather


class Report(Struct, frozen=True, kw_only=True):
    """Medians over the rounds. `wrong` names all that makes the figures worthless."""

    conditions: dict[str, str]
    alone_p99_ms: float
    cheap_p99_ms: float
    logins_p99_ms: float
    ratio: float
    ratio_to_cheap: float
    rounds: list[Round]
    wrong: list[str]


async def measure(options: Options) -> Report:
    """Start everything, fire in turns, verify, stop everything."""
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        engine_up(Path(folder)) as stand,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process,
    ):
        bodies = await _add_accounts(stand)
        async with await Engine.connect(stand.settings) as engine:
            conditions = await read_conditions(engine)
            gun = _Gun(stand, engine, process, options)
            rounds = [await gun.fire_round(number, bodies) for number in range(options.rounds)]
    return _report(conditions, rounds, gun.wrong)


async def _add_accounts(stand: Stand) -> list[str]:
    """Accounts, and the bodies of logins of which half are right."""
    passwords, stores = Passwords(1, 1), PostgresStores(stand.settings.database_url)
    hashed = await passwords.hash(PASSWORD)
    passwords.close()
    emails = [f"buyer-{number}@example.org" for number in range(ACCOUNTS)]
    for email in emails:
        await stores.accounts.add_account(email, hashed, "USER")
    await stores.close()
    right = [{"email": email, "password": PASSWORD} for email in emails]
    wrong = [{"email": email, "password": "a guess"} for email in emails[::2]]
    unknown = [{"email": f"no-{email}", "password": "a guess"} for email in emails[::2]]
    mixed = zip(right, [*wrong, *unknown], strict=True)
    return [msgspec.json.encode(body).decode() for pair in mixed for body in pair]


class _Gun:
    """Fires holds, in the weather that is asked for."""

    def __init__(
        self, stand: Stand, engine: Engine, process: ProcessPoolExecutor, options: Options
    ) -> None:
        self._stand, self._engine = stand, engine
        self._process, self._options = process, options
        self._token = issue_token(stand.settings.jwt_secret, "bench", "customer", ttl_s=3600)
        layout = make_venue("stadium").layout
        self._seats = [seat.id for row in rows_of(layout) for seat in row.seats]
        self.wrong: list[str] = []

    async def fire_round(self, number: int, logins: list[str]) -> Round:
        """Each weather has a stadium of its own, and is first, second and third in turn."""
        storms = {
            "alone": None,
            "cheap": self._storm(CHEAP, []),
            "logins": self._storm(LOGIN, logins),
        }
        names = deque(storms)
        names.rotate(number)
        return Round(
            **{name: await self._fire(f"bench-{number}-{name}", storms[name]) for name in names}
        )

    def _storm(self, path: str, bodies: list[str]) -> Storm:
        options = self._options
        return Storm(
            url=self._stand.url,
            path=path,
            bodies=bodies,
            per_s=options.per_second,
            seconds=options.seconds + 1,
        )

    async def _fire(self, name: str, storm: Storm | None) -> Weather:
        event = EventId(name)
        self._stand.load("venue:stadium", event, "--max-seats", "10")
        await until_written(self._engine, event, DRAIN_S_MAX)
        loop = asyncio.get_running_loop()
        blowing = loop.run_in_executor(self._process, blow, storm) if storm else None
        if storm:
            await asyncio.sleep(0.5)  # the storm is there when the holds begin
        volley = Volley(
            token=self._token,
            bodies=[f'{{"seatIds":["{event}:{seat}"]}}' for seat in self._seats],
            connections=self._options.connections,
            seconds=self._options.seconds,
        )
        shots = await asyncio.to_thread(generator.fire, self._stand.url, volley)
        state = await read_state(self._engine, event)
        self.wrong += [f"{event}: {found.kind} {found.subject}" for found in check(state)]
        return Weather(shots, await blowing if blowing else None)


def _report(conditions: dict[str, str], rounds: list[Round], wrong: list[str]) -> Report:
    weathers = [one for fired in rounds for one in (fired.alone, fired.cheap, fired.logins)]
    failed = [one.shots.error_count for one in weathers if one.shots.error_count]
    wrong.extend(f"{count:,} holds failed" for count in failed)
    alone, cheap, logins = (
        statistics.median(getattr(fired, name).shots.p99_ms for fired in rounds)
        for name in ("alone", "cheap", "logins")
    )
    return Report(
        conditions={**conditions, "load": f"{generator.NAME}, on the same machine"},
        alone_p99_ms=alone,
        cheap_p99_ms=cheap,
        logins_p99_ms=logins,
        ratio=statistics.median(r.logins.shots.p99_ms / r.alone.shots.p99_ms for r in rounds),
        ratio_to_cheap=statistics.median(
            r.logins.shots.p99_ms / r.cheap.shots.p99_ms for r in rounds
        ),
        rounds=rounds,
        wrong=wrong,
    )


def _lines(report: Report) -> Iterator[str]:
    """The report for people."""
    for name, value in report.conditions.items():
        yield f"{name:20} {value}"
    yield f"{'round':8} {'beside':8} {'holds/s':>9} {'p50 ms':>8} {'p99 ms':>8}  storm"
    for number, fired in enumerate(report.rounds, 1):
        for name in ("alone", "cheap", "logins"):
            weather: Weather = getattr(fired, name)
            shots, storm = weather.shots, weather.storm
            told = f"{storm.per_s:.0f}/s {storm.statuses}" if storm else ""
            yield (
                f"{number:<8} {name:8} {shots.per_second:>9,.0f} {shots.p50_ms:>8.1f} "
                f"{shots.p99_ms:>8.1f}  {told}"
            )
    yield (
        f"p99 of holds: {report.alone_p99_ms:.1f} ms alone, {report.cheap_p99_ms:.1f} beside cheap "
        f"requests, {report.logins_p99_ms:.1f} beside logins"
    )
    yield f"ratio {report.ratio:.2f}, to cheap requests {report.ratio_to_cheap:.2f}"
    yield from (f"WRONG: {line}" for line in report.wrong)


def main() -> int:
    """Measure and print. Exit code 1 when a figure is worthless."""
    parser = argparse.ArgumentParser(prog="python -m bench.suites.logins", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of one volley")
    parser.add_argument("--per-second", type=float, default=200, help="logins")
    parser.add_argument("--connections", type=int, default=64, help="that hold")
    parser.add_argument("--json", action="store_true", help="for programs")
    found = parser.parse_args()
    options = Options(found.rounds, found.seconds, found.per_second, found.connections)
    report = asyncio.run(measure(options))
    if found.json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        print("\n".join(_lines(report)))
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
