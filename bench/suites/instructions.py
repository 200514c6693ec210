"""Instructions that Valkey and the API execute for a call, counted by callgrind.

A rate depends on what else the machine does, a count of instructions hardly does: two commits can
be compared with it, one after the other, on a busy machine. Eight requests of one event-loop tick
share a call of `hold_seats`; a single request has a call of its own.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

from msgspec.structs import replace

from api.http.tokens import issue_token
from bench.load.closed_loop import ClosedLoop, run_python
from bench.report.conditions import read_conditions
from bench.report.section import BenchOptions, BenchSection, Chart, Figures
from bench.rig.callgrind import CountedValkey, counted_api
from bench.rig.houses import hold_bodies, house, seat_of, selection
from embedded.valkey import Valkey
from engine import Engine
from engine.errors import SeatTaken
from engine.event_state import read_state
from engine.ids import EventId
from engine.invariants import check
from engine.models import Booking, Terms
from engine.settings.settings import Settings

CONNECTIONS = 64
AT_ONCE = 8
"""Requests of one tick: half of what a call may have, and usual in a rush."""
HOUSE_SEATS = 5_000
_WARM_UP = 80
_TIMEOUT_MS = 60_000
EVENT = EventId("instructions")
_TERMS = Terms(name="Instructions", seats_max=10, hold_ttl_ms=86_400_000)


class CountsInstructions(Protocol):
    """A server that counts."""

    def instructions(self) -> int:
        """Instructions executed since the last call."""


async def measure(options: BenchOptions) -> BenchSection:
    """Once: the counts of two runs differ by 1 to 3 %."""
    figures = Figures()
    conditions = await _count_valkey(options, figures)
    await _count_api(options, figures)
    return BenchSection(
        id="instructions",
        title="Instructions of Valkey and of the API",
        what="One seat a hold with a request id; by callgrind.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[
            Chart(
                name="instructions",
                title="Instructions of Valkey and of the API",
                unit="instructions",
                bars=[series.id for series in figures.series],
            )
        ],
        notes=[
            "Of Valkey the whole server counts: parsing, script, commands, append-only file and "
            "reply; of the API too, from the parser of HTTP to the reply, with "
            f"{CONNECTIONS} connections. The kernel does not count. A refused request names one "
            "seat, which is taken."
        ],
    )


async def _count_valkey(options: BenchOptions, figures: Figures) -> dict[str, str]:
    with _running(CountedValkey) as valkey:
        settings = Settings(redis_url=valkey.url, redis_timeout_ms=_TIMEOUT_MS)
        async with await Engine.connect(settings) as engine:
            conditions = await read_conditions(engine)
            await engine.events.load_event(EVENT, house(HOUSE_SEATS), _TERMS)
            counter = CallCounter(engine, valkey.counter(), figures)
            await counter.count_all(options.size(800, 80))
            state = await read_state(engine, EVENT)
            figures.wrong += [f"{found.kind} {found.subject}" for found in check(state)[:5]]
    return conditions


async def _count_api(options: BenchOptions, figures: Figures) -> None:
    """Holds and refusals of one API process. The first requests are not counted."""
    with _running(Valkey) as valkey:
        settings = Settings(redis_url=valkey.url, jwt_secret=secrets.token_hex())
        async with await Engine.connect(settings) as engine:
            await engine.events.load_event(EVENT, house(HOUSE_SEATS), _TERMS)
        bodies = hold_bodies(EVENT, tuple(map(seat_of, range(HOUSE_SEATS))))
        with counted_api(settings, valkey.path) as (url, counter):
            token = issue_token(settings.jwt_secret, "bench", "customer")
            load = ClosedLoop(
                url=url, token=token, bodies=bodies[:_WARM_UP], connections=CONNECTIONS, seconds=3
            )
            await asyncio.to_thread(run_python, load)
            counter.start()
            seconds = options.size(10, 1)
            for name, asked in (("hold", bodies[_WARM_UP:]), ("refusal", bodies[:1])):
                counter.instructions()  # the count starts here
                result = await asyncio.to_thread(
                    run_python, replace(load, bodies=asked, seconds=seconds)
                )
                per_call = counter.instructions() / result.answer_count
                says = f"{name}, API"
                figures.add(f"instructions/api/{name}", says, "count", round(per_call))
                refused_count = result.error_count if name == "hold" else 0
                if refused_count or result.failed_count:
                    figures.wrong.append(f"{says}: {result.error_count} errors")


_ValkeyT = TypeVar("_ValkeyT", bound=Valkey)


@contextmanager
def _running(kind: type[_ValkeyT]) -> Iterator[_ValkeyT]:
    with TemporaryDirectory(prefix="bench-") as folder:
        valkey = kind(Path(folder) / "valkey")
        valkey.start()
        try:
            yield valkey
        finally:
            valkey.stop()


class CallCounter:
    """Makes calls of each kind, and tells how many instructions one of them takes."""

    def __init__(self, engine: Engine, server: CountsInstructions, figures: Figures) -> None:
        self._bookings = engine.bookings
        self._server = server
        self._figures = figures
        self._held: dict[int, Booking] = {}

    async def count_all(self, count: int) -> None:
        """The first calls send the scripts; they are not counted."""
        start = 0
        for at_once, calls in ((AT_ONCE, _WARM_UP), (1, _WARM_UP // 4)):
            await self._run(self._hold, range(start, start + calls), at_once)
            start += calls
        await self._run(self._confirm, range(_WARM_UP), AT_ONCE)
        for at_once, calls in ((AT_ONCE, count), (1, count // 4)):
            seats = range(start, start + calls)
            start += calls
            await self._count("hold", self._hold, seats, at_once)
            await self._count("refusal", self._fail, seats, at_once)
            await self._count("confirm", self._confirm, seats, at_once)

    async def _count(
        self, name: str, call: Callable[[int], Awaitable[None]], seats: range, at_once: int
    ) -> None:
        self._server.instructions()  # the count starts here
        await self._run(call, seats, at_once)
        per_call = self._server.instructions() / len(seats)
        says = f"{name}, {at_once} at once" if at_once > 1 else f"{name}, alone"
        self._figures.add(f"instructions/{name}/{at_once}", says, "count", round(per_call))

    async def _run(
        self, call: Callable[[int], Awaitable[None]], seats: range, at_once: int
    ) -> None:
        for first in range(seats.start, seats.stop, at_once):
            chunk = range(first, min(first + at_once, seats.stop))
            await asyncio.gather(*(call(seat) for seat in chunk))

    async def _hold(self, seat: int) -> None:
        self._held[seat] = await self._ask(seat, f"customer-{seat}")

    async def _fail(self, seat: int) -> None:
        try:
            await self._ask(seat, f"other-{seat}")
        except SeatTaken:
            return
        self._figures.wrong.append(f"seat {seat} was sold twice")

    async def _confirm(self, seat: int) -> None:
        held = self._held[seat]
        await self._bookings.confirm_booking(held.id, held.customer_id)

    async def _ask(self, seat: int, customer: str) -> Booking:
        wanted = selection(EVENT, seat, customer=customer)
        return await self._bookings.hold_seats(wanted, request_id=f"instructions-{seat}")
