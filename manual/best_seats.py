"""Draws docs/explanation/best-seats-*.svg: what best available picks in a hall, as it sells out.

    python -m manual.best_seats        starts a Valkey of its own

The sale is random with a fixed seed: parties of the usual sizes; three in four ask for the best
seats of a category, one picks a place on the map. At each mark a party of 8, of 4, of 2 and
a single person ask for the best seats of the whole hall, and then four such for one category; what
they get is drawn and given back. A test draws the pictures again and compares.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.rig.taken_seats import general_seats, party_size
from embedded import servers
from engine import Engine
from engine.errors import NoSeatsTogether, SeatTaken
from engine.ids import CustomerId, EventId, SeatId
from engine.models import BestSelection, Booking, LayoutSeat, Quality, QualityBy, Selection, Terms
from engine.plans.layout import rows_of
from engine.plans.venues import make_venue
from engine.settings.settings import Settings

FOLDER = Path(__file__).parents[1] / "docs" / "explanation"
MARKS_PERCENT = (0, 50, 95, 99)
PARTIES = (8, 4, 2, 1)
CATEGORY = "upper"
SEED = 8
PICKING_SHARE = 0.25

_HALL = make_venue("hall").layout
_QUALITY = _HALL.quality or Quality(by=QualityBy.ROW)
_EVENT = EventId("hall")
_SCALE = 5
"""Centimetres of the plan for one unit of the picture."""
_MARGIN, _LINE = 20, 24
_STYLE = """<style>
:root { --ink: #24292f; --sold: #d8dee4; --free: #6e7781; --any: #0969da; --one: #bc4c00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --sold: #30363d; --free: #9da7b3; --any: #58a6ff; --one: #f0883e; }
}
text { fill: var(--ink); font: 18px sans-serif; }
path { fill: none; stroke-linecap: round; stroke-width: 8; }
.sold { stroke: var(--sold); }
.free { stroke: var(--free); }
.any { stroke: var(--any); stroke-width: 11; }
.one { stroke: var(--one); stroke-width: 11; }
text.any { fill: var(--any); stroke: none; }
text.one { fill: var(--one); stroke: none; }
.focus { stroke: var(--ink); stroke-width: 2; }
</style>
"""


class Picked(NamedTuple):
    """What one party got: its seats; none, and the largest party that fits."""

    asked: str
    quantity: int
    seats: tuple[str, ...]
    largest: int


class _Sale:
    """A sale of the hall by chance."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._chance = Random(SEED)  # noqa: S311
        self._customers = count()
        self._seats = [(row, place) for row, place, _ in general_seats(_HALL)]
        self._categories = [seat.category for _, _, seat in general_seats(_HALL)]
        self.taken: set[str] = set()

    async def open(self) -> None:
        terms = Terms(name="Hall", seats_max=10, hold_ttl_ms=86_400_000)
        await self._engine.events.load_event(_EVENT, _HALL, terms)

    async def sell_to(self, percent: int) -> None:
        """Let parties come until so many percent of the seats for everybody are taken."""
        while len(self.taken) * 100 < percent * len(self._seats):
            quantity = party_size(self._chance)
            if self._chance.random() < PICKING_SHARE:
                booking = await self._pick(quantity)
            else:
                booking = await self._ask(quantity, self._chance.choice(self._categories))
            self.taken |= {_local(seat) for seat in booking.seats} if booking else set()

    async def picks(self) -> list[Picked]:
        """What parties get now; afterwards it is free again."""
        found, bookings = [], []
        for asked, category in (("any", ""), ("one", CATEGORY)):
            for quantity in PARTIES:
                largest, seats = 0, tuple[str, ...]()
                try:
                    booking = await self._hold_best(quantity, category)
                except NoSeatsTogether as refused:
                    largest = int(refused.found[0])
                else:
                    bookings.append(booking)
                    seats = tuple(map(_local, booking.seats))
                found.append(Picked(asked, quantity, seats, largest))
        for booking in bookings:
            await self._engine.bookings.release_booking(booking.id, None)
        return found

    async def _ask(self, quantity: int, category: str) -> Booking | None:
        try:
            return await self._hold_best(quantity, category)
        except NoSeatsTogether as refused:
            largest = int(refused.found[0])
            return await self._hold_best(largest, category) if largest else None

    async def _hold_best(self, quantity: int, category: str) -> Booking:
        wanted = BestSelection(
            event_id=_EVENT,
            customer_id=CustomerId(f"party-{next(self._customers)}"),
            quantity=quantity,
            category_ids=(category,) if category else (),
        )
        return await self._engine.bookings.hold_best(wanted)

    async def _pick(self, quantity: int) -> Booking | None:
        """Seats of one row from anywhere on; a party that meets a taken one goes away."""
        row, place = self._chance.choice(self._seats)
        ids = [SeatId(f"{_EVENT}:{seat.id}") for seat in row.seats[place : place + quantity]]
        customer = CustomerId(f"party-{next(self._customers)}")
        wanted = Selection(event_id=_EVENT, customer_id=customer, seats=tuple(ids))
        try:
            return await self._engine.bookings.hold_seats(wanted)
        except SeatTaken:
            return None


async def draw_all(engine: Engine) -> AsyncIterator[tuple[Path, str]]:
    """Each picture and its file, the emptiest hall first."""
    sale = _Sale(engine)
    await sale.open()
    for percent in MARKS_PERCENT:
        await sale.sell_to(percent)
        name = f"best-seats-{percent}.svg"
        yield FOLDER / name, _draw(percent, sale.taken, await sale.picks())


def _draw(percent: int, taken: set[str], picks: Sequence[Picked]) -> str:
    seats = {seat.id: seat for row in rows_of(_HALL) for seat in row.seats}
    points = {seat_id: _point(seat) for seat_id, seat in seats.items()}
    focus = round(_QUALITY.x / _SCALE), round(_QUALITY.y / _SCALE)
    xs, ys = zip(*points.values(), focus, strict=True)
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    x0, width, y0 = left - _MARGIN, right - left + 2 * _MARGIN, top - 3 * _MARGIN
    height = bottom - y0 + 2 * _MARGIN + len(PARTIES) * _LINE + _LINE
    classes = dict.fromkeys(seats, "free") | dict.fromkeys(taken, "sold")
    classes |= {seat: pick.asked for pick in picks for seat in pick.seats}
    title = f"The hall with {percent} % sold, and what the next parties get"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{x0} {y0} {width} {height}" '
        f'width="{width}" height="{height}" role="img"><title>{title}</title>\n{_STYLE}',
        f'<text x="{x0 + width // 2}" y="{y0 + _MARGIN}" text-anchor="middle">stage</text>\n',
    ]
    for name in ("sold", "free", "any", "one"):
        dots = "".join(f"M{x},{y}h0" for seat, (x, y) in points.items() if classes[seat] == name)
        parts.append(f'<path class="{name}" d="{dots}"/>\n' if dots else "")
    parts.append(f'<path class="focus" d="M{focus[0] - 5},{focus[1]}h10m-5,-5v10"/>\n')
    for column, (asked, says) in enumerate((("any", "whole hall"), ("one", _category_name()))):
        x = x0 + _MARGIN + column * width // 2
        lines = [says, *(_told(pick) for pick in picks if pick.asked == asked)]
        parts += _text(asked, x, bottom + 2 * _MARGIN, lines)
    return "".join((*parts, "</svg>\n"))


def _text(name: str, x: int, y: int, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f'<text class="{name}" x="{x}" y="{y + number * _LINE}">{line}</text>\n'


def _told(pick: Picked) -> str:
    if not pick.seats:
        left = f"the largest that fits is {pick.largest}" if pick.largest else "none is left"
        return f"party of {pick.quantity}: refused, {left}"
    first, last = pick.seats[0], pick.seats[-1].rpartition("-")[2]
    return f"party of {pick.quantity}: {first}" + (f" to {last}" if pick.quantity > 1 else "")


def _category_name() -> str:
    return next(category.name for category in _HALL.categories if category.id == CATEGORY)


def _local(seat: str) -> str:
    return seat.partition(":")[2]


def _point(seat: LayoutSeat) -> tuple[int, int]:
    return round(float(seat.x) / _SCALE), round(float(seat.y) / _SCALE)  # type: ignore[arg-type]


async def main() -> None:
    """Draw all of them."""
    with TemporaryDirectory() as folder, servers.start(folder, postgres=False) as running:
        async with await Engine.connect(Settings(redis_url=running.redis_url)) as engine:
            async for path, svg in draw_all(engine):
                path.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
