"""Best seats together: what a search costs Redis, what a sale by it leaves, what it takes.

CPU of Redis' main thread, with parsing and reply, for the real script. A search is measured by
requests of a customer who is at the purchase limit: they search and are then refused, so all
searches of a house see the same. From the time for several such requests in one call that for as
many requests is taken off that pick the very seats. Where no row has room, the picked ones are
refused as well: those seats are taken.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count
from random import Random
from tempfile import TemporaryDirectory

from msgspec import Struct
from msgspec.structs import replace

from bench.report.conditions import read_conditions
from bench.report.section import BenchOptions, BenchSection, Chart, Figures, in_turns
from bench.rig.raw_redis import raw
from bench.rig.sale import set_policy
from bench.rig.server_time import main_thread_us
from bench.rig.taken_seats import HOUSES, SOLD_PERCENT, general_seats, party_size
from bench.war import parties
from bench.war.tally import Party
from embedded import servers
from engine import Engine, keys
from engine.errors import EngineError, LimitReached, NoSeatsTogether, SeatTaken
from engine.event_state import read_state
from engine.ids import CustomerId, EventId, SeatId
from engine.invariants import check
from engine.models import BestSelection, Booking, Layout, Selection, Terms, Together
from engine.plans.layout import capacity, rows_of
from engine.plans.venues import make_venue
from engine.settings.settings import Settings

PARTIES = (1, 2, 4, 8)
SCOPES = {"one": "one category", "all": "all categories"}
PLAIN_HOUSES = ("empty", *(f"best-first-{percent}" for percent in SOLD_PERCENT))
"""Houses as best available itself leaves them."""
SAMPLES = 15
"""Searches of one party in one house in a round; their median counts."""

CALLS, AT_ONCE, TURNS = 32, 8, 5
CALLERS = 1000
MARKS_PERCENT = (25, 50, 75, 90)
WRONG_MAX = 5
"""Of one kind: more would say no more."""
MISFITS_MAX = 200
"""After so many parties in a row that do not fit anywhere the sale is over."""

LIMIT, LIMITED = 25, "limited"
"""The purchase limit, and a customer who has as many wheelchair places."""
TERMS = Terms(name="Best", seats_max=LIMIT, customer_max=LIMIT, hold_ttl_ms=86_400_000)


class _House(Struct):
    """An event with taken seats, and with LIMITED at its purchase limit."""

    name: str
    event: EventId


class _Bench:
    """One Valkey with an engine, the layout of all its events, and the largest category of it."""

    def __init__(self, engine: Engine, venue: str, figures: Figures) -> None:
        self.engine = engine
        self.figures = figures
        self.layout: Layout = make_venue(venue).layout
        counts = Counter(seat.category for _, _, seat in general_seats(self.layout))
        self.categories = tuple(counts)
        self.category = counts.most_common(1)[0][0]
        self.general_count = counts.total()
        self.limited_seats = [
            seat.id for row in rows_of(self.layout) for seat in row.seats if seat.accessible
        ][:LIMIT]
        self._parties: list[Party] = []

    async def load(self, event: str, taken: Sequence[str] = ()) -> EventId:
        """Load an event in which these seats are sold, and LIMITED can hold no more."""
        loaded = EventId(event)
        await self.engine.events.load_event(loaded, self.layout, TERMS)
        await self.pick(loaded, self.limited_seats, LIMITED)
        for start in range(0, len(taken), LIMIT):
            booking = await self.pick(loaded, taken[start : start + LIMIT], f"sold-{start}")
            await self.engine.bookings.confirm_booking(booking.id, None)
        return loaded

    async def pick(self, event: EventId, seats: Sequence[str], customer: str) -> Booking:
        """Hold these seats."""
        named = tuple(SeatId(f"{event}:{seat}") for seat in seats)
        wanted = Selection(event_id=event, customer_id=CustomerId(customer), seats=named)
        return await self.engine.bookings.hold_seats(wanted)

    def pair_of(self, event: EventId, customer: int) -> BestSelection:
        """The best pair of the largest category, for a customer of that number."""
        return BestSelection(
            event_id=event,
            customer_id=CustomerId(f"customer-{customer}"),
            quantity=2,
            category_ids=(self.category,),
        )

    async def best(self, wanted: BestSelection) -> Booking:
        """Hold the best; `check_parties` compares it with the layout."""
        booking = await self.engine.bookings.hold_best(wanted)
        seats, areas = tuple(booking.seats), {str(a.area_id): a.quantity for a in booking.areas}
        party = Party(booking.id, wanted.quantity, seats, areas, booking.together or "")
        self._parties.append(party)
        return booking

    def check_parties(self) -> None:
        """A party that does not sit as it was told is wrong."""
        found = parties.check(self._parties, self.layout)[:WRONG_MAX]
        self.figures.wrong += [f"{broken.subject}: {broken.detail}" for broken in found]
        self._parties.clear()

    async def redis_us(self, calls: Awaitable[object], script_count: int = 0) -> float:
        """The CPU of Redis for all that `calls` sends; it must be so many scripts, if any."""
        await raw(self.engine).config_resetstat()
        used_us = await main_thread_us(self.engine, calls)
        stats = (await self.engine.client.info("commandstats"))["cmdstat_evalsha"]
        if script_count and stats["calls"] != script_count:
            self.figures.wrong.append(f"{stats['calls']:,} scripts ran, not {script_count:,}")
        return used_us

    async def verify(self, event: EventId) -> None:
        """What is broken is wrong."""
        state = await read_state(self.engine, event)
        found = check(state)[:WRONG_MAX]
        self.figures.wrong += [f"{event}: {broken.kind} {broken.subject}" for broken in found]


async def measure(options: BenchOptions) -> BenchSection:
    """All of it in every round, in one Valkey; the stadium, or the hall in a quick run."""
    figures, venue = Figures(), "hall" if options.quick else "stadium"
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        servers.start(folder, postgres=False) as running,
    ):
        async with await Engine.connect(Settings(redis_url=running.redis_url)) as engine:
            await set_policy(engine, "off")
            conditions = await read_conditions(engine)
            bench = _Bench(engine, venue, figures)
            houses = await _load_houses(bench)
            for number in range(options.rounds):
                await _search_all(bench, in_turns(houses, number), options.size(SAMPLES, 3))
                await _compare(bench, number, options.size(TURNS, 1), options.size(CALLS, 4))
                await _instant(bench, number, options.size(CALLERS, 50))
                await _sell_out(bench, number)
                await _measure_memory(bench, houses[0].event)
                bench.check_parties()
            for house in houses:
                await bench.verify(house.event)
    return BenchSection(
        id="best",
        title="Best seats together",
        what=f"`hold_best` in the {venue} of {capacity(bench.layout):,} places; AOF off.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=_charts(),
        notes=[
            "A search is Redis' time for a request to `hold_best`, less that for one to "
            "`hold_seats` of the same seats; both are refused by the purchase limit, 8 in a call. "
            "Where no row has room for the party, it also finds the largest party that fits.",
            f"One category is `{bench.category}`, the largest.",
        ],
    )


async def _load_houses(bench: _Bench) -> list[_House]:
    houses = []
    for name, take in HOUSES.items():
        houses.append(_House(name, await bench.load(name, take(bench.layout))))
    return houses


async def _search_all(bench: _Bench, houses: Sequence[_House], samples: int) -> None:
    """Every house, party and scope; then the most of those that are to be fast, and of all."""
    found: dict[tuple[str, str], float] = {}
    for house in houses:
        for scope, says in SCOPES.items():
            for party in PARTIES:
                wanted = BestSelection(
                    event_id=house.event,
                    customer_id=CustomerId(LIMITED),
                    quantity=party,
                    category_ids=(bench.category,) if scope == "one" else (),
                )
                search_us, fits = await _search(bench, house, wanted, samples)
                told = f"search for {party}, {says}, {house.name}{'' if fits else ' (none fits)'}"
                series = _series(scope, house.name, party)
                bench.figures.add(series, told, "us", search_us)
                found[scope, house.name] = max(search_us, found.get((scope, house.name), 0.0))
    plain = max(found["one", name] for name in PLAIN_HOUSES)
    says = "the slowest search in one category, empty or sold best-first"
    bench.figures.add("best/search/plain", says, "us", plain)
    worst = "the slowest search of all"
    bench.figures.add("best/search/worst", worst, "us", max(found.values()))


def _series(scope: str, house: str, party: int) -> str:
    return f"best/search/{scope}/{house}/{party}"


async def _search(
    bench: _Bench, house: _House, wanted: BestSelection, samples: int
) -> tuple[float, bool]:
    """The median time of a search, and whether it finds places."""
    seats, fits = bench.limited_seats[: wanted.quantity], False
    with suppress(NoSeatsTogether):
        booking = await bench.best(replace(wanted, customer_id=CustomerId("free")))
        await bench.engine.bookings.release_booking(booking.id, None)
        seats = [seat.partition(":")[2] for seat in booking.seats]
        fits = True
    best_us, picked_us = [], []
    for _ in range(samples):
        best = [bench.best(wanted) for _ in range(AT_ONCE)]
        best_us.append(
            await bench.redis_us(_all_refused(best, LimitReached if fits else NoSeatsTogether), 1)
        )
        picked = [bench.pick(house.event, seats, LIMITED) for _ in range(AT_ONCE)]
        picked_us.append(
            await bench.redis_us(_all_refused(picked, LimitReached if fits else SeatTaken), 1)
        )
    search_us = (statistics.median(best_us) - statistics.median(picked_us)) / AT_ONCE
    return search_us, fits


async def _all_refused(calls: Sequence[Awaitable[Booking]], refusal: type[EngineError]) -> None:
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if not isinstance(outcome, refusal):
            raise TypeError(f"{outcome!r} is not the refusal {refusal.code}")


async def _compare(bench: _Bench, number: int, turns: int, call_count: int) -> None:
    """Pairs by `hold_best` and by `hold_seats` in one event: one a call, and several a call."""
    event = await bench.load(f"compare-{number}")
    pairs, customers = _pairs_from_the_back(bench), count()

    async def best() -> Booking:
        return await bench.best(bench.pair_of(event, next(customers)))

    async def picked() -> Booking:
        return await bench.pick(event, pairs.pop(), f"customer-{next(customers)}")

    ways = {"best": best, "picked": picked}
    found: dict[tuple[str, int], list[float]] = {}
    for turn in range(turns):
        for at_once in (1, AT_ONCE):
            for way in in_turns([*ways], turn):
                calls = _hold(ways[way], at_once, call_count)
                used_us = await bench.redis_us(calls, call_count)
                found.setdefault((way, at_once), []).append(used_us / call_count / at_once)
    for at_once, says in ((1, "one a call"), (AT_ONCE, f"{AT_ONCE} a call")):
        medians = {way: statistics.median(found[way, at_once]) for way in ways}
        for way, told in (("best", "hold_best"), ("picked", "hold_seats")):
            series = f"best/hold/{way}/{at_once}"
            bench.figures.add(series, f"{told} of a pair, {says}", "us", medians[way])
        above = medians["best"] - medians["picked"]
        bench.figures.add(f"best/above/{at_once}", f"hold_best above it, {says}", "us", above)
    await bench.verify(event)


async def _hold(way: Callable[[], Awaitable[Booking]], at_once: int, call_count: int) -> None:
    for _ in range(call_count):
        await asyncio.gather(*(way() for _ in range(at_once)))


def _pairs_from_the_back(bench: _Bench) -> list[tuple[str, str]]:
    """Pairs of the largest category; the last of the list are the last of the map."""
    rows: dict[int, list[str]] = {}
    for row, _, seat in general_seats(bench.layout):
        if seat.category == bench.category:
            rows.setdefault(row.index, []).append(seat.id)
    return [
        (seats[at], seats[at + 1])
        for _, seats in sorted(rows.items())
        for at in range(0, len(seats) - 1, 2)
    ]


async def _instant(bench: _Bench, number: int, callers: int) -> None:
    """So many customers ask for the best pair of one category at one instant."""
    event = await bench.load(f"instant-{number}")
    wanted = [bench.pair_of(event, number) for number in range(callers)]
    held: list[Booking] = []

    async def hold_all() -> None:
        held.extend(await asyncio.gather(*map(bench.best, wanted)))

    began_s = time.perf_counter()
    used_us = await bench.redis_us(hold_all())
    wall_ms = (time.perf_counter() - began_s) * 1000
    seats = {seat for booking in held for seat in booking.seats}
    parted = sum(booking.together != Together.ROW for booking in held)
    if len(seats) != 2 * callers or parted:
        told = f"{len(seats):,} different seats, {parted:,} parted"
        bench.figures.wrong.append(f"{callers:,} pairs at one instant: {told}")
    says = f"{callers:,} pairs at one instant"
    bench.figures.add("best/instant/redis", f"{says}, Redis", "ms", used_us / 1000)
    bench.figures.add("best/instant/wall", f"{says}, until the last is held", "ms", wall_ms)
    await bench.verify(event)


class _SellOut:
    """A sale by parties alone, each in a category of its choice while it has room."""

    def __init__(self, bench: _Bench, event: EventId, seed: int) -> None:
        self._bench, self._event, self._chance = bench, event, Random(seed)
        self.taken = self.misfits = 0
        self._customers = count()
        self.words: Counter[str] = Counter()

    async def seat(self) -> None:
        """Seat one party, or send it away."""
        quantity = party_size(self._chance)
        category = self._chance.choice(self._bench.categories)
        customer = CustomerId(f"customer-{next(self._customers)}")
        for categories, fallback in (
            ((category,), ()),
            ((), ()),
            ((), (Together.ROWS, Together.SECTION, Together.APART)),
        ):
            wanted = BestSelection(
                event_id=self._event,
                customer_id=customer,
                quantity=quantity,
                category_ids=categories,
                fallback=fallback,
            )
            try:
                booking = await self._bench.best(wanted)
            except NoSeatsTogether:
                continue
            self.taken += quantity
            self.misfits = 0
            self.words[booking.together or ""] += 1
            return
        self.misfits += 1
        self.words["refused"] += 1


async def _sell_out(bench: _Bench, number: int) -> None:
    """Parties until nothing is left or none fits; single seats at each mark."""
    event, figures = await bench.load(f"sell-out-{number}"), bench.figures
    sale, marks = _SellOut(bench, event, number), list(MARKS_PERCENT)
    while sale.taken < bench.general_count and sale.misfits < MISFITS_MAX:
        await asyncio.gather(*(sale.seat() for _ in range(AT_ONCE)))
        while marks and sale.taken * 100 >= marks[0] * bench.general_count:
            await _count_singles(bench, event, marks.pop(0))
    await _count_singles(bench, event, 100)
    share = sale.taken / bench.general_count
    figures.add("best/sell-out/sold", "sold by parties, of what they may have", "share", share)
    for word in ("row", "rows", "section", "apart", "refused"):
        says = f"parties until it is sold out: {word}"
        figures.add(f"best/sell-out/{word}", says, "count", sale.words[word])
    await bench.verify(event)


async def _count_singles(bench: _Bench, event: EventId, percent: int) -> None:
    letters = (await bench.engine.availability.read_map(event)).map
    says = f"single seats left, {percent} % sold by parties"
    singles = parties.count_single_seats(bench.layout, letters)
    bench.figures.add(f"best/singles/{percent}", says, "count", singles)


async def _measure_memory(bench: _Bench, event: EventId) -> None:
    seats, total = sum(len(row.seats) for row in rows_of(bench.layout)), 0.0
    of_layout = keys.of_layout(event)
    for name, key in (("rows", of_layout.rows), ("order", of_layout.order)):
        used = await raw(bench.engine).memory_usage(key, samples=0) / seats
        total += used
        bench.figures.add(f"best/bytes/{name}", f"memory a seat, {name}", "bytes", used)
    bench.figures.add("best/bytes", "memory a seat, both", "bytes", total)


def _charts() -> list[Chart]:
    charts = []
    for name, title in (("best-first", "sold best-first"), ("scattered", "sold by chance")):
        houses = ["empty", *(f"{name}-{percent}" for percent in SOLD_PERCENT)]
        lines = {
            f"party of {party}": [_series("one", house, party) for house in houses]
            for party in PARTIES
        }
        charts.append(
            Chart(
                name=f"best-{name}", title=f"A search in one category, {title}", unit="us",
                xs=[0, *SOLD_PERCENT], x_says="percent of the seats sold", lines=lines,
            )
        )  # fmt: skip
    worst = [
        _series(scope, house, party)
        for house in ("checkerboard", "runs-of-2")
        for scope in SCOPES
        for party in PARTIES
    ]
    singles = [f"best/singles/{percent}" for percent in (*MARKS_PERCENT, 100)]
    return [
        *charts,
        Chart(name="best-worst", title="Search, worst houses", unit="us", bars=worst),
        Chart(
            name="best-singles", title="Single seats left by parties alone", unit="count",
            xs=(*MARKS_PERCENT, 100), x_says="percent of the seats sold",
            lines={"single seats": singles},
        ),
    ]  # fmt: skip
