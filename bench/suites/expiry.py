"""How late a hold ends: 100,000 at the same instant, and 1,000 among 100,000 that do not end.

By the real expirer beside the real API and writer. The delay is the journal's: when an expiry was
written less when it was due. Meanwhile others hold seats over HTTP at a modest steady rate, and
their answers are timed from the moment each request was due.

All end at one instant because all are held at one `now_ms`, a day before it; their TTL keys are set
to that instant too, so that the notifications come at once, as they would.
"""

import asyncio
import time

from msgspec import Struct

from bench.load import open_loop
from bench.load.connection import run_in_process
from bench.load.open_loop import OpenLoop, OpenLoopResult, Step
from bench.report.section import BenchOptions, BenchSection, Chart, Figures
from bench.rig.houses import hold_bodies, house, seat_of, selection
from bench.rig.polling import until, until_written
from bench.rig.raw_redis import raw
from bench.rig.sale import DRAIN_S_MAX, Sale, conditions_of, open_sale
from bench.war.tally import percentile
from engine import keys
from engine.ids import EventId, split_booking
from engine.models import Booking, Terms

TTL_MS = 86_400_000
TERMS = Terms(name="Bench", hold_ttl_ms=TTL_MS)
AT_ONCE = 500
HOLDS_PER_S, HOLDS_S, HOLDS_AHEAD_S = 200, 6.0, 3.0
MARGIN_S = 4.0
WINDOW_MS_MIN = 500.0
"""Holds of at least so long count as `meanwhile`, however soon all is released."""


class _Case(Struct, frozen=True):
    """How many end, in which house, and from which seat of it."""

    series: str
    says: str
    event: EventId
    first: int
    count: int


class _Pace(Struct, frozen=True):
    """What this machine takes to make holds and to write them: how far ahead they must end."""

    s_per_hold: float

    def ahead_ms(self, count: int) -> int:
        """From the first hold to the end of all."""
        return int((count * self.s_per_hold * 1.2 + MARGIN_S + HOLDS_AHEAD_S) * 1000)


async def measure(options: BenchOptions) -> BenchSection:
    """In turns; the many end in a house of their own each time."""
    figures = Figures()
    many, few = options.size(100_000, 10_000), options.size(1_000, 200)
    async with open_sale() as sale:
        conditions = await conditions_of(sale)
        staying, beside = EventId("staying"), EventId("beside")
        await sale.engine.events.load_event(beside, house(50_000), Terms(name="Bench"))
        await sale.engine.events.load_event(staying, house(many + 50_000), TERMS)
        began_s = time.perf_counter()
        await _hold(sale, staying, range(many))
        await until_written(sale.engine, staying, DRAIN_S_MAX)
        pace = _Pace((time.perf_counter() - began_s) / many)
        for number in range(options.rounds):
            ending = EventId(f"ending-{number}")
            await sale.engine.events.load_event(ending, house(many), TERMS)
            among = f"{few:,} ending among {many:,} that do not"
            for case in (
                _Case(f"expiry/{few}", among, staying, many + number * few, few),
                _Case(f"expiry/{many}", f"{many:,} ending at once", ending, 0, many),
            ):
                await _end(sale, figures, case, pace)
        figures.wrong += sale.wrong
    bars = [f"expiry/{n}/{figure}" for n in (few, many) for figure in ("p50", "p99", "max")]
    return BenchSection(
        id="expiry",
        title="Holds that end",
        what=f"Delay by the journal, and holds over HTTP meanwhile, {HOLDS_PER_S} a second.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[Chart(name="expiry", title="Release delay", unit="ms", bars=bars)],
    )


async def _end(sale: Sale, figures: Figures, case: _Case, pace: _Pace) -> None:
    """Make the holds, wait for their end, and read in the journal how it went."""
    engine, event = sale.engine, case.event
    staying = (await engine.events.read_event(event)).counts.held
    ends_ms = await _now_ms(sale) + pace.ahead_ms(case.count)
    engine.bookings.now_ms = ends_ms - TTL_MS
    try:
        held = await _hold(sale, event, range(case.first, case.first + case.count))
    finally:
        engine.bookings.now_ms = ""
    await _end_keys(sale, held, ends_ms)
    await until_written(engine, event, DRAIN_S_MAX)
    before = (await engine.events.read_event(event)).position
    left_ms = ends_ms - await _now_ms(sale)
    if left_ms < HOLDS_AHEAD_S * 1000:
        sale.wrong.append(f"{case.says}: the holds were made too late, {left_ms} ms ahead")
    await asyncio.sleep(max(0.0, left_ms / 1000 - HOLDS_AHEAD_S))
    holding = asyncio.create_task(run_in_process(open_loop.run, _holds(sale)))

    async def all_released() -> bool:
        return (await engine.events.read_event(event)).counts.held == staying

    if not await until(all_released, HOLDS_AHEAD_S + 60):
        sale.wrong.append(f"{case.says}: not all are released after a minute")
    meanwhile = await holding
    await sale.judge(event)
    delays = await _delays_ms(sale, event, before, ends_ms)
    if len(delays) != case.count:
        sale.wrong.append(f"{case.says}: {len(delays):,} expiries in the journal")
    _tell(figures, case, delays, _meanwhile(meanwhile, ends_ms, delays))
    if set(meanwhile.statuses) != {201}:
        sale.wrong.append(f"{case.says}: holds meanwhile answered {meanwhile.statuses}")


def _tell(figures: Figures, case: _Case, delays: list[int], meanwhile: list[float]) -> None:
    for name, value in (
        ("p50", percentile(delays, 50)),
        ("p99", percentile(delays, 99)),
        ("max", delays[-1]),
    ):
        figures.add(f"{case.series}/{name}", f"{case.says}: delay, {name}", "ms", value)
    p99_ms = percentile(meanwhile, 99)
    figures.add(f"{case.series}/hold_p99", f"{case.says}: p99 of holds meanwhile", "ms", p99_ms)


def _meanwhile(holds: OpenLoopResult, ends_ms: int, delays: list[int]) -> list[float]:
    """Times of the holds that were due while holds were being released."""
    until_ms = ends_ms + max(WINDOW_MS_MIN, float(delays[-1]))
    return sorted(answer.ms for answer in holds.accepted_between(ends_ms, until_ms))


def _holds(sale: Sale) -> OpenLoop:
    wanted = sale.next_numbers(int(HOLDS_PER_S * HOLDS_S) + 1)
    seats = tuple(seat_of(number) for number in range(wanted.start, wanted.stop))
    return OpenLoop(
        url=sale.stand.url,
        token=sale.token,
        bodies=hold_bodies(EventId("beside"), seats),
        steps=[Step(HOLDS_PER_S, HOLDS_S)],
    )


async def _hold(sale: Sale, event: EventId, numbers: range) -> list[Booking]:
    held: list[Booking] = []
    for start in range(0, len(numbers), AT_ONCE):
        wanted = (selection(event, number) for number in numbers[start : start + AT_ONCE])
        held += await asyncio.gather(*map(sale.engine.bookings.hold_seats, wanted))
    return held


async def _end_keys(sale: Sale, held: list[Booking], ends_ms: int) -> None:
    for start in range(0, len(held), AT_ONCE):
        pipeline = raw(sale.engine).pipeline(transaction=False)
        for booking in held[start : start + AT_ONCE]:
            pipeline.pexpireat(keys.hold(*split_booking(booking.id)), ends_ms)
        await pipeline.execute()


async def _delays_ms(sale: Sale, event: EventId, after: str, ends_ms: int) -> list[int]:
    """By the journal, ascending: how long after its end each booking was released."""
    delays: list[int] = []
    while True:
        entries = await sale.engine.client.xrange(
            keys.of_event(event).journal, min=f"({after}", count=5000
        )
        if not entries:
            return sorted(delays)
        after = entries[-1][0].decode()
        delays += [
            int(fields[b"at_ms"]) - ends_ms
            for _, fields in entries
            if fields[b"kind"] == b"booking_expired"
        ]


async def _now_ms(sale: Sale) -> int:
    """By Redis' clock, which decides."""
    seconds, micros = await sale.engine.client.time()
    return int(seconds) * 1000 + int(micros) // 1000
