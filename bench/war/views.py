"""What a buyer sees before it chooses: the map of the house, or a list of some free seats.

A page is a person's own, as a browser has it: it is loaded once, asked again by its entity tag,
and as old as the last look. People look at different parts of the house, so each page has a place
where the buyer looks first, and another one when nothing is free there.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from bench.war.tally import BuyerAnswer
from engine.models import Layout

LIST_SEATS = 30
"""How many free seats a list shows."""

EYE_PLACES = 100
"""How far a buyer's eye goes from where it rests, in places of the map."""


class BuyerRequest(Struct, frozen=True, kw_only=True):
    """One call of the API. `name` is what it is counted as; `key` its Idempotency-Key; `tag` the
    entity tag of what the caller has already."""

    name: str
    method: str
    path: str
    body: object = None
    key: str = ""
    tag: str = ""


Send = Callable[[BuyerRequest], BuyerAnswer]


class House(Struct, frozen=True):
    """The seat at each place of the map; "" between two rows. All buyers share it.

    `categories` are those of the seats that best available gives to everybody.
    """

    version: str
    seat_at: tuple[str, ...]
    categories: tuple[str, ...] = ()


class BuyerSale(Struct, frozen=True, kw_only=True):
    """What is fought for, and for how many seconds in all."""

    event_id: str
    house: House
    seconds: float


def house_of(layout: Layout, event: str) -> House:
    """The house as buyers find their way in it."""
    rows = [row for section in layout.sections for row in section.rows]
    seat_at = [""] * max((row.index + len(row.seats) for row in rows), default=0)
    for row in rows:
        for index, seat in enumerate(row.seats, row.index):
            seat_at[index] = f"{event}:{seat.id}"
    general = {seat.category for row in rows for seat in row.seats if not seat.accessible}
    categories = tuple(category.id for category in layout.categories if category.id in general)
    return House(layout.version, tuple(seat_at), categories)


class BuyerPage(Protocol):
    """What a buyer looks at."""

    def refresh(self) -> None:
        """Look again."""

    def pick_seats(self, wanted: int, least: int) -> list[str]:
        """So many seats beside each other; fewer, down to `least`, where there are no such."""

    def pick_area(self, wanted: int) -> str:
        """A standing area with so much room; "" without one."""


class FreeArea(Struct, rename="camel"):
    """A standing area as the map tells it."""

    area_id: str
    available: int


class _Map(Struct):
    map: str
    areas: list[FreeArea]


class MapPage:
    """The house's own page: the layout once, then the map by its entity tag."""

    def __init__(self, sale: BuyerSale, send: Send, chance: Random) -> None:
        self._sale = sale
        self._send = send
        self._chance = chance
        self._laid_out = False
        self._tag = ""
        self._seen = _Map("", [])
        self._eye = chance.randrange(len(sale.house.seat_at) or 1)

    def refresh(self) -> None:
        """The map as it is now; unchanged, or not answered, it stays as it was seen."""
        path = f"/api/v1/event/{self._sale.event_id}"
        if not self._laid_out:
            query = urlencode({"version": self._sale.house.version})
            layout = BuyerRequest(name="layout", method="GET", path=f"{path}/seats?{query}")
            self._laid_out = self._send(layout).ok
        answer = self._send(
            BuyerRequest(name="look", method="GET", path=f"{path}/availability", tag=self._tag)
        )
        if answer.status == 200:
            self._seen, self._tag = msgspec.json.decode(answer.body, type=_Map), answer.tag

    def pick_seats(self, wanted: int, least: int) -> list[str]:
        """Seats of one row near where the eye rests."""
        start = self._eye + self._chance.randrange(EYE_PLACES)
        index, count = find_neighbours(self._seen.map, wanted, least, start)
        if not count:
            return []
        if not 0 <= index - self._eye < 2 * EYE_PLACES:  # nothing here: it looks there from now on
            self._eye = index
        return list(self._sale.house.seat_at[index : index + count])

    def pick_area(self, wanted: int) -> str:
        """Any area with room, each as likely."""
        roomy = [area.area_id for area in self._seen.areas if area.available >= wanted]
        return self._chance.choice(roomy) if roomy else ""


def find_neighbours(letters: str, wanted: int, least: int, start: int) -> tuple[int, int]:
    """Index and count of free seats beside each other, the first from `start` on, once around.

    As many as wanted; fewer, down to `least`, only where there are no such. Count 0: none. Rows
    never run into each other, as the map has a `/` between them.
    """
    for count in range(wanted, least - 1, -1):
        run = "a" * count
        index = letters.find(run, start % (len(letters) or 1))
        if index < 0:
            index = letters.find(run)
        if index >= 0:
            return index, count
    return 0, 0


class FreeSeat(Struct, frozen=True):
    """A seat as `GET /booking` lists it."""

    id: str
    section: str
    row: str
    number: str


class _FreeSeats(Struct):
    data: list[FreeSeat]


class ListPage:
    """Some available seats, as the API spreads them over its callers; no standing areas."""

    def __init__(self, sale: BuyerSale, send: Send, chance: Random) -> None:
        self._path = f"/api/v1/booking?{urlencode({'eventId': sale.event_id, 'limit': LIST_SEATS})}"
        self._send = send
        self._chance = chance
        self._seen: list[FreeSeat] = []

    def refresh(self) -> None:
        """Another list; empty if there was no answer."""
        answer = self._send(BuyerRequest(name="look", method="GET", path=self._path))
        self._seen = msgspec.json.decode(answer.body, type=_FreeSeats).data if answer.ok else []

    def pick_seats(self, wanted: int, least: int) -> list[str]:
        """Any of the neighbours that are listed."""
        seats = pick_neighbours(self._seen, wanted, self._chance)
        return [seat.id for seat in seats] if len(seats) >= least else []

    def pick_area(self, wanted: int) -> str:
        """The list has none."""
        return ""


def pick_neighbours(seats: Sequence[FreeSeat], wanted: int, chance: Random) -> list[FreeSeat]:
    """As many seats beside each other as wanted; fewer where there are no such, by chance."""
    runs: list[list[FreeSeat]] = []
    for seat in seats:
        if runs and _beside(runs[-1][-1], seat):
            runs[-1].append(seat)
        else:
            runs.append([seat])
    if not runs:
        return []
    length = min(wanted, max(map(len, runs)))
    run = chance.choice([run for run in runs if len(run) >= length])
    start = chance.randint(0, len(run) - length)
    return run[start : start + length]


def _beside(left: FreeSeat, right: FreeSeat) -> bool:
    """Numbers that follow one another; rows without such numbers have no neighbours."""
    if (left.section, left.row) != (right.section, right.row):
        return False
    numbers = left.number, right.number
    return all(map(str.isdecimal, numbers)) and abs(int(numbers[0]) - int(numbers[1])) == 1
