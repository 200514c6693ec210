"""Bytes a seat in Redis, all keys of the event counted, at 50,000 seats: free, held and sold.

    python -m bench.rig.memory [--json]

Loads the stadium into a Valkey of its own, holds every seat in bookings of one size and then
confirms them all, as `MEMORY USAGE … SAMPLES 0` of each key sees it. Every hold has an idempotency
record, as over HTTP. The journal is left out of the sum: the writer trims it to what the last
minute brought, so it grows with the speed of a sale and not with the size of the event.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from itertools import islice
from tempfile import TemporaryDirectory
from uuid import UUID

import msgspec
from msgspec import Struct

from bench.report.conditions import read_conditions
from bench.rig.raw_redis import raw
from embedded import servers
from engine import Engine
from engine.ids import CustomerId, EventId, SeatId
from engine.models import Booking, Selection
from engine.plans.layout import rows_of
from engine.plans.venues import make_venue
from engine.settings.settings import Settings

BOOKING_SIZES = (1, 2, 4)
CALLS_MAX = 500
JOURNAL = "journal"


class Measured(Struct, frozen=True):
    """Bytes a seat by kind of key, and their sum without the journal."""

    state: str
    by_key: dict[str, float]
    total: float


class Report(Struct, frozen=True):
    """One venue, in each state."""

    conditions: dict[str, str]
    seat_count: int
    measured: list[Measured]


async def measure(booking_sizes: Sequence[int] = BOOKING_SIZES) -> Report:
    """Start a Valkey, fill it, measure, stop it."""
    with TemporaryDirectory(prefix="bench-") as folder:
        running = servers.start(folder, postgres=False)
        try:
            async with await Engine.connect(Settings(redis_url=running.redis_url)) as engine:
                return await _measure_all(engine, booking_sizes)
        finally:
            running.stop()


async def _measure_all(engine: Engine, booking_sizes: Sequence[int]) -> Report:
    plan = make_venue("stadium")
    seats = [seat.id for row in rows_of(plan.layout) for seat in row.seats]
    measured: list[Measured] = []

    async def add(event: EventId, state: str) -> None:
        measured.append(await _measure(engine, event, state, len(seats)))

    for size in booking_sizes:
        event = EventId(f"bench-{size}")
        await engine.events.load_event(event, plan.layout, plan.terms)
        if not measured:
            await add(event, "free")
        hold, confirm = engine.bookings.hold_seats, engine.bookings.confirm_booking
        orders = _orders(event, seats, size)
        booked = await _gather(hold(order, request_id=order.customer_id) for order in orders)
        await add(event, f"held, {size} a booking")
        await _gather(confirm(booking.id, booking.customer_id) for booking in booked)
        await add(event, f"sold, {size} a booking")
    return Report(await read_conditions(engine), len(seats), measured)


def _orders(event: EventId, seats: Sequence[str], size: int) -> Iterator[Selection]:
    """Every seat, in orders of one size, each by another customer with a UUID for its name."""
    for start in range(0, len(seats), size):
        wanted = (SeatId(f"{event}:{seat}") for seat in seats[start : start + size])
        customer = CustomerId(str(UUID(int=start)))
        yield Selection(event_id=event, customer_id=customer, seats=tuple(wanted))


async def _gather(calls: Iterable[Awaitable[Booking]]) -> list[Booking]:
    """The results of all, so many at a time as the engine lets wait."""
    rest, results = iter(calls), []
    while chunk := list(islice(rest, CALLS_MAX)):
        results += await asyncio.gather(*chunk)
    return results


async def _measure(engine: Engine, event: EventId, state: str, seat_count: int) -> Measured:
    """Every key of the event; `{event}:hold:…` and the like are of one kind together."""
    keys = [key async for key in raw(engine).scan_iter(f"{{{event}}}:*", count=1000)]
    kinds: Counter[str] = Counter()
    for start in range(0, len(keys), CALLS_MAX):
        chunk = keys[start : start + CALLS_MAX]
        pipeline = raw(engine).pipeline(transaction=False)
        for key in chunk:
            pipeline.memory_usage(key, samples=0)
        for key, used in zip(chunk, await pipeline.execute(), strict=True):
            kinds[key.decode().split("}:")[1].split(":")[0]] += used or 0
    by_key = {kind: used / seat_count for kind, used in kinds.most_common()}
    total = sum(used for kind, used in by_key.items() if kind != JOURNAL)
    return Measured(state, by_key, total)


def _lines(report: Report) -> Iterator[str]:
    """The report for people."""
    for name, value in report.conditions.items():
        yield f"{name:20} {value}"
    yield f"{'seats':20} {report.seat_count:,}"
    kinds = list(dict.fromkeys(kind for row in report.measured for kind in row.by_key))
    columns = [kind for kind in kinds if kind != JOURNAL]
    yield " ".join([f"{'bytes a seat':20}", *(f"{kind:>9}" for kind in (*columns, "SUM", JOURNAL))])
    for row in report.measured:
        used = [*(row.by_key.get(kind, 0) for kind in columns), row.total, row.by_key[JOURNAL]]
        yield " ".join([f"{row.state:20}", *(f"{number:>9.1f}" for number in used)])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.rig.memory", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args()
    report = asyncio.run(measure())
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        print("\n".join(_lines(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
