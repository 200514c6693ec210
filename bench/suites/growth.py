"""Does a hold become slower as the sale grows? Redis' own time for it, and the memory used.

The time is Redis': microseconds a call from `INFO commandstats` around a batch of holds, so that
neither Python nor the network is in it. Sizes are measured in turns, in houses that stand side by
side: a slow minute of the machine hits all of them.
"""

import asyncio
import statistics
from collections.abc import Sequence
from tempfile import TemporaryDirectory

from msgspec import Struct

from bench.report.conditions import read_conditions
from bench.report.section import BenchOptions, BenchSection, Chart, Figures, in_turns
from bench.rig.houses import house, selection
from bench.rig.server_time import per_hold_us
from embedded import servers
from engine import Engine
from engine.event_state import read_state
from engine.ids import EventId
from engine.invariants import check
from engine.models import Terms
from engine.settings.settings import Settings

AT_ONCE = 32
HOLDS, TURNS = 32, 5
"""Of one turn, all at once; turns of each place in a round."""
TERMS = Terms(name="Growth", seats_max=50, hold_ttl_ms=86_400_000)
ROUNDS_MAX = 6
"""Then the house of 1,000 is nearly full."""

SOLD_PERCENT = (10, 50, 90, 99)


class _Place(Struct):
    """Events of one kind. Every seat from `first_seat` on is free, except those held here."""

    series: str
    says: str
    events: list[EventId]
    first_seat: int = 0
    held: int = 0


async def measure(options: BenchOptions) -> BenchSection:
    """Load everything, then hold in turns."""
    figures = Figures()
    sizes = [1_000, 10_000, 100_000] + [1_000_000] * (not options.quick)
    event_counts = [1, 10, 100] + [1000] * (not options.quick)
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        servers.start(folder, postgres=False) as running,
    ):
        async with await Engine.connect(Settings(redis_url=running.redis_url)) as engine:
            conditions = await read_conditions(engine)
            places = await _load_sizes(engine, figures, sizes)
            places += await _load_events(engine, event_counts)
            places += await _load_held(engine, options.size(100_000, 10_000))
            places += await _load_sold(engine, 100_000)
            for number in range(min(options.rounds, ROUNDS_MAX)):
                await _measure_round(engine, figures, places, number)
            for place in places:
                await _verify(engine, figures, place.events[0])
    return BenchSection(
        id="growth",
        title="Growth",
        what="Redis' time for one hold of one seat, by its commandstats; AOF always.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=_charts(sizes, event_counts),
    )


def _charts(sizes: Sequence[int], event_counts: Sequence[int]) -> list[Chart]:
    return [
        Chart(
            name="growth-seats", title="Redis' time for a hold", unit="us", xs=sizes,
            x_says="seats of the event", lines={"a hold": [f"growth/seats/{n}" for n in sizes]},
        ),
        Chart(
            name="growth-events", title="Redis' time for a hold", unit="us", xs=event_counts,
            x_says="events", lines={"a hold": [f"growth/events/{n}" for n in event_counts]},
        ),
        Chart(
            name="growth-sold", title="Redis' time for a hold", unit="us", xs=SOLD_PERCENT,
            x_says="percent of the seats sold",
            lines={"a hold": [f"growth/sold/{percent}" for percent in SOLD_PERCENT]},
        ),
    ]  # fmt: skip


async def _load_sizes(engine: Engine, figures: Figures, sizes: Sequence[int]) -> list[_Place]:
    places = []
    await engine.events.load_event(EventId("first"), house(100), TERMS)  # what Redis takes once
    for size in sizes:
        event = EventId(f"seats-{size}")
        before = await _used_bytes(engine)
        await engine.events.load_event(event, house(size), TERMS)
        grown = await _used_bytes(engine) - before
        says = f"memory a seat, all of Redis, {size:,} free seats"
        figures.add(f"growth/memory/{size}", says, "bytes", grown / size)
        places.append(_Place(f"growth/seats/{size}", f"{size:,} seats", [event]))
    return places


async def _load_events(engine: Engine, counts: Sequence[int]) -> list[_Place]:
    """All stand there from the start; each place has its own and sells in all of them."""
    places = []
    for count in counts:
        events = [EventId(f"events-{count}-{number}") for number in range(count)]
        seats = 5_000 if count < 10 else 500
        for event in events:
            await engine.events.load_event(event, house(seats), TERMS)
        places.append(_Place(f"growth/events/{count}", f"events sold in: {count:,}", events))
    return places


async def _load_held(engine: Engine, held: int) -> list[_Place]:
    """Two events of one size: one without holds, the other with `held` holds."""
    places = []
    for count in (0, held):
        event = EventId(f"held-{count}")
        await engine.events.load_event(event, house(held + 10_000), TERMS)
        for start in range(0, count, 500):
            wanted = (selection(event, n) for n in range(start, min(start + 500, count)))
            await asyncio.gather(*map(engine.bookings.hold_seats, wanted))
        places.append(_Place(f"growth/held/{count}", f"{count:,} live holds", [event], count))
    return places


async def _load_sold(engine: Engine, seats: int) -> list[_Place]:
    places = []
    for percent in SOLD_PERCENT:
        event, sold = EventId(f"sold-{percent}"), seats * percent // 100 // 50 * 50
        await engine.events.load_event(event, house(seats), TERMS)
        for start in range(0, sold, 50 * AT_ONCE):
            firsts = range(start, min(start + 50 * AT_ONCE, sold), 50)
            wanted = (selection(event, first, 50) for first in firsts)
            held = await asyncio.gather(*map(engine.bookings.hold_seats, wanted))
            await asyncio.gather(*(engine.bookings.confirm_booking(b.id, None) for b in held))
        places.append(_Place(f"growth/sold/{percent}", f"{percent} % sold", [event], sold))
    return places


async def _measure_round(
    engine: Engine, figures: Figures, places: Sequence[_Place], number: int
) -> None:
    """Several short turns of each rather than one long: what disturbs one turn does not decide."""
    found: dict[str, list[float]] = {}
    for turn in range(TURNS):
        for place in in_turns(places, number * TURNS + turn):
            found.setdefault(place.series, []).append(await _hold(engine, figures, place))
    for place in places:
        per_hold_us = statistics.median(found[place.series])
        figures.add(place.series, f"a hold, {place.says}", "us", per_hold_us)


async def _hold(engine: Engine, figures: Figures, place: _Place) -> float:
    """Holds of one seat each, event after event; Redis' time for one."""
    wanted = []
    for number in range(place.held, place.held + HOLDS):
        seat, event = divmod(number, len(place.events))
        wanted.append(selection(place.events[event], place.first_seat + seat))
    place.held += HOLDS
    return await per_hold_us(engine, wanted, figures.wrong)


async def _used_bytes(engine: Engine) -> int:
    return int((await engine.client.info("memory"))["used_memory"])


async def _verify(engine: Engine, figures: Figures, event: EventId) -> None:
    state = await read_state(engine, event)
    figures.wrong += [f"{event}: {found.kind} {found.subject}" for found in check(state)[:5]]
