"""Holds a second that one API worker takes over HTTP, and what share that is of a bare endpoint.

    python -m bench.holds [--rounds 5] [--seconds 3] [--json]

Starts an installation of its own (`engine up` on a temporary folder) and a bare Starlette endpoint,
and fires at them in turns: a slow minute of the machine hits both. Every round has a fresh stadium
of 50,000 free seats; the writer and the expirer run, as they do in a real sale. At the end the
holds are counted in Redis and the promises verified, so that no refusal passes for a hold.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from api.auth import issue_token
from bench import sockets, wrk
from bench.conditions import read_conditions
from bench.stand import bare_endpoint, engine_up
from bench.volley import Shots, Volley
from bench.waiting import until_written
from engine import Engine
from engine.ids import EventId
from engine.inspection import read_state
from engine.invariants import check
from engine.plans.layout import rows_of
from engine.plans.venues import make_venue

CONNECTIONS = 64
DRAIN_S_MAX = 60.0

_fire = wrk.fire if shutil.which("wrk") else sockets.fire


class Round(Struct, frozen=True):
    """The same volley at the engine's API and at the bare endpoint."""

    event_id: EventId
    engine: Shots
    bare: Shots

    @property
    def ratio(self) -> float:
        """Holds to bare answers."""
        return self.engine.per_second / self.bare.per_second


class Report(Struct, frozen=True, kw_only=True):
    """Medians over the rounds. `wrong` names all that makes the figures worthless."""

    conditions: dict[str, str]
    holds_per_s: float
    bare_per_s: float
    ratio: float
    p50_ms: float
    p99_ms: float
    rounds: list[Round]
    wrong: list[str]


async def measure(round_count: int, seconds: float) -> Report:
    """Start everything, fire in turns, verify, stop everything."""
    layout = make_venue("stadium").layout
    seats = [seat.id for row in rows_of(layout) for seat in row.seats]
    events = [EventId(f"bench-{number}") for number in range(1, round_count + 1)]
    with TemporaryDirectory(prefix="bench-") as folder, engine_up(Path(folder)) as stand:
        for event in events:
            stand.load("venue:stadium", event, "--max-seats", "10")
        secret = stand.settings.jwt_secret
        token = issue_token(secret, "bench", "customer", ttl_s=3600)
        async with await Engine.connect(stand.settings) as engine:
            conditions = await read_conditions(engine)
            with bare_endpoint(secret) as bare_url:
                rounds = []
                for event in events:
                    volley = Volley(
                        token=token,
                        bodies=[f'{{"seatIds":["{event}:{seat}"]}}' for seat in seats],
                        connections=CONNECTIONS,
                        seconds=seconds,
                    )
                    urls = stand.url, bare_url
                    rounds.append(await _fire_round(engine, event, urls, volley))
            wrong = [line for fired in rounds for line in await _find_wrong(engine, fired)]
    return _report(conditions, rounds, wrong)


async def _fire_round(
    engine: Engine, event: EventId, urls: tuple[str, str], volley: Volley
) -> Round:
    """The writer rests before each volley: what it has left to do belongs to neither."""
    shots = []
    for url in urls:
        await until_written(engine, event, DRAIN_S_MAX)
        shots.append(await asyncio.to_thread(_fire, url, volley))
    return Round(event, *shots)


def _report(conditions: dict[str, str], rounds: list[Round], wrong: list[str]) -> Report:
    def median(figure: Callable[[Round], float]) -> float:
        return statistics.median(map(figure, rounds))

    return Report(
        conditions={**conditions, "load": f"{_fire.__module__}, on the same machine"},
        holds_per_s=median(lambda fired: fired.engine.per_second),
        bare_per_s=median(lambda fired: fired.bare.per_second),
        ratio=median(lambda fired: fired.ratio),
        p50_ms=median(lambda fired: fired.engine.p50_ms),
        p99_ms=median(lambda fired: fired.engine.p99_ms),
        rounds=rounds,
        wrong=wrong,
    )


async def _find_wrong(engine: Engine, fired: Round) -> list[str]:
    """Errors, answers that were no holds, and broken promises."""
    state = await read_state(engine, fired.event_id)
    wrong = [f"{fired.event_id}: {found.kind} {found.subject}" for found in check(state)]
    for name, shots in (("engine", fired.engine), ("bare", fired.bare)):
        if shots.error_count:
            wrong.append(f"{fired.event_id}: {shots.error_count:,} errors at the {name} endpoint")
    if len(state.bookings) < fired.engine.answer_count:
        answers, holds = fired.engine.answer_count, len(state.bookings)
        wrong.append(f"{fired.event_id}: {answers:,} answers, but only {holds:,} holds in Redis")
    return wrong


def _lines(report: Report) -> Iterator[str]:
    """The report for people."""
    for name, value in report.conditions.items():
        yield f"{name:20} {value}"
    yield f"{'round':20} {'holds/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'bare/s':>10} {'ratio':>6}"
    rows = [
        (fired.event_id, fired.engine.per_second, fired.engine.p50_ms, fired.engine.p99_ms,
         fired.bare.per_second, fired.ratio)
        for fired in report.rounds
    ]  # fmt: skip
    medians = (report.holds_per_s, report.p50_ms, report.p99_ms, report.bare_per_s, report.ratio)
    for name, holds, p50, p99, bare, ratio in (*rows, ("median", *medians)):
        yield f"{name:20} {holds:>10,.0f} {p50:>8.1f} {p99:>8.1f} {bare:>10,.0f} {ratio:>6.2f}"
    yield from (f"WRONG: {line}" for line in report.wrong)


def main() -> int:
    """Measure and print. Exit code 1 when a figure is worthless."""
    parser = argparse.ArgumentParser(prog="python -m bench.holds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of one volley")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    report = asyncio.run(measure(options.rounds, options.seconds))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        print("\n".join(_lines(report)))
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
