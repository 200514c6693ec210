"""Reads pretix seating plans, an open format in which many venues already have a plan.

The format can grow, so unknown fields are ignored; but a seat must have a category that the plan
lists, and its guid unless ids are derived. Zones become sections. The position of a seat is zone +
row + seat position. The drawings that a plan calls areas (a stage, a label) are ignored: they are
not standing areas.

The id of a seat is its seat_guid, so ids match those of a shop that uses the same plan. Some
existing plans use guids twice; they are refused unless ids are derived from zone, row and number.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from engine.models import LayoutCategory, LayoutSeat
from engine.plans.builder import LayoutBuilder
from engine.plans.derived_ids import distinct_ids, id_from, seat_id
from engine.plans.plan import NO_OPTIONS, Plan, PlanOptions, make_plan
from engine.plans.prices import Prices
from engine.plans.problems import decode_json

_COLOR = re.compile("#[0-9A-Fa-f]{6}")


class Position(Struct, frozen=True):
    """Relative to the position of the row or zone around it."""

    x: float = 0.0
    y: float = 0.0


class Category(Struct, frozen=True):
    """A category, identified by its name; the plan has no prices."""

    name: str
    color: str = ""


class Seat(Struct, frozen=True):
    """A seat. The format requires all four fields."""

    seat_guid: str
    seat_number: str
    category: str
    position: Position


class Row(Struct, frozen=True):
    """A row of a zone; its number may be empty."""

    row_number: str
    seats: tuple[Seat, ...]
    position: Position = Position()


class Zone(Struct, frozen=True):
    """A block of rows; its name may be missing, and need not be unique."""

    rows: tuple[Row, ...]
    name: str = ""
    position: Position = Position()


class SeatingPlan(Struct, frozen=True):
    """The fields of the format that a sale needs."""

    name: str
    categories: tuple[Category, ...]
    zones: tuple[Zone, ...]


def parse_pretix(
    body: bytes,
    prices: Prices | None,
    options: PlanOptions = NO_OPTIONS,
    *,
    allow_empty: bool = False,
) -> Plan:
    """Read a pretix seating plan. Raises PlanError, also for categories without a price."""
    plan = decode_json(body, SeatingPlan)
    reader = _Reader(derive_ids=options.derive_ids)
    reader.add_categories(plan.categories, prices)
    reader.add_zones(plan.zones)
    return make_plan(reader.builder, {"name": plan.name}, options, allow_empty=allow_empty)


class _RowPlace(NamedTuple):
    """What the seats of one row have in common."""

    section_id: str
    label: str
    x: float
    y: float


class _Reader:
    """Adds one plan to a builder."""

    def __init__(self, *, derive_ids: bool) -> None:
        self.builder = LayoutBuilder()
        self._derive_ids = derive_ids
        self._category_ids: dict[str, str | None] = {}

    def add_categories(self, categories: Sequence[Category], prices: Prices | None) -> None:
        """Add categories with their prices; report missing prices and prices without a category."""
        # A category is identified by its name: two with the same name are one.
        listed = {category.name: category for category in categories}
        ids = dict(zip(listed, distinct_ids(listed), strict=True))
        self._category_ids.update(ids)
        priced = dict.fromkeys(listed, prices) if isinstance(prices, int) else prices or {}
        self._report("no price for", [name for name in listed if name not in priced])
        self._report("prices for unknown", [name for name in priced if name not in listed])
        for name, category in listed.items():
            self.builder.add_category(
                f"category {name!r}",
                LayoutCategory(
                    id=ids[name],
                    name=name,
                    price_minor=priced.get(name, 0),
                    color=category.color if _COLOR.fullmatch(category.color) else None,
                ),
            )

    def add_zones(self, zones: Sequence[Zone]) -> None:
        """Add every seat of every zone. Call it after `add_categories`."""
        if not self._derive_ids:
            self._report_duplicate_guids(zones)
        section_ids = distinct_ids(zone.name for zone in zones)
        for number, (zone, section_id) in enumerate(zip(zones, section_ids, strict=True)):
            where = f"zones[{number}]"
            self.builder.add_section(where, section_id, zone.name or section_id)
            for row_number, row in enumerate(zone.rows):
                x, y = zone.position.x + row.position.x, zone.position.y + row.position.y
                label = row.row_number.strip() or f"row{row_number + 1}"
                self._add_row(
                    f"{where}.rows[{row_number}]", _RowPlace(section_id, label, x, y), row.seats
                )

    def _add_row(self, where: str, row: _RowPlace, seats: Sequence[Seat]) -> None:
        placed = []
        for number, seat in enumerate(seats):
            seat_where = f"{where}.seats[{number}]"
            category_id = self._category_id(seat_where, seat.category)
            if not (seat.seat_guid or self._derive_ids):
                self.builder.problems.append(f"{seat_where}.seat_guid: is empty")
            elif category_id:
                placed.append((seat_where, self._placed(row, seat, category_id)))
        if placed:
            self.builder.add_row(where, row.section_id, row.label, placed)

    def _placed(self, row: _RowPlace, seat: Seat, category_id: str) -> LayoutSeat:
        # Editors number a seat "17-3" in row 17; the number on the seat is 3.
        number = seat.seat_number.removeprefix(f"{row.label}-") or seat.seat_number
        derived = self._derive_ids
        return LayoutSeat(
            id=seat_id(row.section_id, row.label, number) if derived else id_from(seat.seat_guid),
            number=number,
            category=category_id,
            x=round(row.x + seat.position.x, 2),
            y=round(row.y + seat.position.y, 2),
        )

    def _category_id(self, where: str, name: str) -> str | None:
        if name not in self._category_ids:
            self._category_ids[name] = None
            self.builder.problems.append(f"{where}.category: there is no category {name!r}")
        return self._category_ids[name]

    def _report(self, what: str, names: Sequence[str]) -> None:
        if names:
            self.builder.problems.append(f"{what} {', '.join(map(repr, names))}")

    def _report_duplicate_guids(self, zones: Iterable[Zone]) -> None:
        guids = Counter(s.seat_guid for zone in zones for row in zone.rows for s in row.seats)
        again = sum(count > 1 for guid, count in guids.items() if guid)
        if again:
            self.builder.problems.append(
                f"{again} seat_guids are used more than once; "
                "ids can be derived from zone, row and number instead (--derive-ids)"
            )
