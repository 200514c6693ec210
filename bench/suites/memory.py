"""Bytes a seat in Redis, over all keys of an event of 50,000 seats: free, held and sold.

Loads the stadium into its own Valkey, holds every seat in bookings of one size and then confirms
them all. Every hold has an idempotency record, as over HTTP. The sum leaves out the journal: the
writer trims it to the last minute, so it grows with the rate of a sale and not with the event.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from itertools import islice
from tempfile import TemporaryDirectory
from uuid import UUID

from msgspec import Struct

from bench.report.conditions import read_conditions
from bench.report.section import BenchOptions, BenchSection, Chart, Figures
from bench.rig.houses import stadium_seats
from bench.rig.raw_redis import raw
from embedded import servers
from engine import Engine
from engine.ids import CustomerId, EventId, SeatId
from engine.models import Booking, Selection
from engine.plans.venues import make_venue
from engine.settings.settings import Settings

BOOKING_SIZES = (1, 2, 4)
CALLS_MAX = 500
JOURNAL = "journal"


class MemoryUsage(Struct, frozen=True):
    """Bytes a seat in one state, by kind of key."""

    state: str
    by_key: dict[str, float]

    @property
    def total(self) -> float:
        """Without the journal."""
        return sum(used for kind, used in self.by_key.items() if kind != JOURNAL)

    @property
    def says(self) -> str:
        """The kinds of keys, the largest first."""
        kinds = (f"{kind} {used:.1f}" for kind, used in self.by_key.items() if used >= 0.05)
        return f"- {self.state}: {', '.join(kinds)}"


async def measure(options: BenchOptions) -> BenchSection:
    """Once: the same seats take the same bytes."""
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        servers.start(folder, postgres=False) as running,
    ):
        async with await Engine.connect(Settings(redis_url=running.redis_url)) as engine:
            conditions = await read_conditions(engine)
            usages = await _measure_all(engine, (4,) if options.quick else BOOKING_SIZES)
    figures, ids = Figures(), []
    for usage in usages:
        series = f"memory/{usage.state.replace(', ', '/').replace(' ', '_')}"
        ids.append(series)
        figures.add(series, f"{usage.state}, all keys without the journal", "bytes", usage.total)
    return BenchSection(
        id="memory",
        title="Memory",
        what=f"An event of {len(stadium_seats()):,} seats, a customer for each booking.",
        series=figures.series,
        wrong=[],
        conditions=conditions,
        charts=[Chart(name="memory", title="Bytes a seat", unit="bytes", bars=ids)],
        notes=[
            "`MEMORY USAGE … SAMPLES 0` of every key; idempotency records are counted.",
            "By kind of key:\n\n" + "\n".join(usage.says for usage in usages),
        ],
    )


async def _measure_all(engine: Engine, booking_sizes: Sequence[int]) -> list[MemoryUsage]:
    plan, seats = make_venue("stadium"), stadium_seats()
    usages: list[MemoryUsage] = []

    async def add(event: EventId, state: str) -> None:
        usages.append(await _measure(engine, event, state, len(seats)))

    for size in booking_sizes:
        event = EventId(f"bench-{size}")
        await engine.events.load_event(event, plan.layout, plan.terms)
        if not usages:
            await add(event, "free")
        hold, confirm = engine.bookings.hold_seats, engine.bookings.confirm_booking
        orders = _orders(event, seats, size)
        booked = await _gather(hold(order, request_id=order.customer_id) for order in orders)
        await add(event, f"held, {size} a booking")
        await _gather(confirm(booking.id, booking.customer_id) for booking in booked)
        await add(event, f"sold, {size} a booking")
    return usages


def _orders(event: EventId, seats: Sequence[str], size: int) -> Iterator[Selection]:
    """Every seat, in orders of one size. Each customer has one order, and a UUID as its name."""
    for start in range(0, len(seats), size):
        wanted = (SeatId(f"{event}:{seat}") for seat in seats[start : start + size])
        customer = CustomerId(str(UUID(int=start)))
        yield Selection(event_id=event, customer_id=customer, seats=tuple(wanted))


async def _gather(calls: Iterable[Awaitable[Booking]]) -> list[Booking]:
    """The results of all calls, CALLS_MAX at a time."""
    rest, results = iter(calls), []
    while chunk := list(islice(rest, CALLS_MAX)):
        results += await asyncio.gather(*chunk)
    return results


async def _measure(engine: Engine, event: EventId, state: str, seat_count: int) -> MemoryUsage:
    """Every key of the event. `{event}:hold:…` and the like count as one kind."""
    keys = [key async for key in raw(engine).scan_iter(f"{{{event}}}:*", count=1000)]
    kinds: Counter[str] = Counter()
    for start in range(0, len(keys), CALLS_MAX):
        chunk = keys[start : start + CALLS_MAX]
        pipeline = raw(engine).pipeline(transaction=False)
        for key in chunk:
            pipeline.memory_usage(key, samples=0)
        for key, used in zip(chunk, await pipeline.execute(), strict=True):
            kinds[key.decode().split("}:")[1].split(":")[0]] += used or 0
    return MemoryUsage(state, {kind: used / seat_count for kind, used in kinds.most_common()})
