"""Reads pretix seating plans, an open format in which many venues already have a plan.

The format can grow, so unknown fields are ignored, and a note of the plan tells them; but a seat
must have its guid unless ids are derived, and a category that the plan lists, or none: a seat
without one is in a default category. Zones become sections; zones of one name are one section. The
position of a seat is zone + row + seat position. The drawings that a plan calls areas (a bar, a
label) are ignored, but for the stage, which is the focal point: they are not standing areas.

The id of a seat is its seat_guid, so ids match those of a shop that uses the same plan. Some
existing plans use guids twice; they are refused unless ids are derived from zone, row and number.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from engine.models import LayoutCategory, LayoutSeat
from engine.plans.builder import COORDINATE_MAX, LayoutBuilder
from engine.plans.derived_ids import distinct_ids
from engine.plans.labels import as_read
from engine.plans.neighbours import PlacedSeat, runs_of
from engine.plans.plan import NO_OPTIONS, Plan, PlanOptions, make_plan
from engine.plans.prices import Prices, parse_price, prices_of
from engine.plans.problems import LISTED_MAX, decode_json, decode_text
from engine.plans.stage import stages_in

_COLOR = re.compile("#[0-9A-Fa-f]{6}")


class PretixPosition(Struct, frozen=True):
    """Relative to the position of the row or zone around it."""

    x: float = 0.0
    y: float = 0.0


class PretixCategory(Struct, frozen=True):
    """A category, identified by its name; the plan has no prices."""

    name: str
    color: str = ""


class PretixSeat(Struct, frozen=True):
    """A seat. The format requires its first three fields."""

    seat_guid: str
    seat_number: str
    position: PretixPosition
    category: str = ""
    wheelchair: bool = False


class PretixRow(Struct, frozen=True):
    """A row of a zone; its number may be empty."""

    row_number: str
    seats: tuple[PretixSeat, ...]
    position: PretixPosition = PretixPosition()
    wheelchair: bool = False


class Zone(Struct, frozen=True):
    """A block of rows; its name may be missing."""

    rows: tuple[PretixRow, ...]
    name: str = ""
    position: PretixPosition = PretixPosition()
    areas: msgspec.Raw = msgspec.Raw()


class SeatingPlan(Struct, frozen=True):
    """The fields of the format that a sale needs."""

    name: str
    zones: tuple[Zone, ...]
    categories: tuple[PretixCategory, ...] = ()
    prices: dict[str, int] | int | None = None
    """Ours, not the format's: the prices in minor units, for plans sent over HTTP."""


DEFAULT_CATEGORY = PretixCategory("Standard")
"""Of seats without a category."""


def parse_pretix(
    body: bytes,
    prices: Prices | None,
    options: PlanOptions = NO_OPTIONS,
    *,
    allow_empty: bool = False,
) -> Plan:
    """Read a pretix seating plan. Raises PlanError, also for categories without a price."""
    plan = decode_json(body, SeatingPlan)
    reader = _Reader(options)
    reader.notes += _ignored_fields(body)
    reader.add_categories(plan, prices if prices is not None else _own_prices(plan))
    reader.add_zones(plan.zones)
    if not (options.focus or options.ranks):
        reader.set_focus(plan.zones)
    return make_plan(
        reader.builder,
        {"name": plan.name},
        options,
        allow_empty=allow_empty,
        notes=reader.notes,
    )


def _own_prices(plan: SeatingPlan) -> Prices | None:
    if isinstance(plan.prices, dict):
        return prices_of(plan.prices.items())
    return plan.prices if plan.prices is None else parse_price("prices", str(plan.prices))


class _Reader:
    """Adds one plan to a builder."""

    def __init__(self, options: PlanOptions) -> None:
        self.builder = LayoutBuilder(ranks=options.ranks)
        self.notes: list[str] = []
        self._derive_ids = options.derive_ids
        self._category_ids: dict[str, str | None] = {}

    def add_categories(self, plan: SeatingPlan, prices: Prices | None) -> None:
        """Add categories with their prices; report missing prices and prices without a category."""
        # A category is identified by its name: two with the same name are one.
        listed = {name: c for c in plan.categories if (name := as_read(c.name))}
        uncategorised = sum(not as_read(seat.category) for seat in _seats_of(plan))
        if uncategorised:
            listed.setdefault(DEFAULT_CATEGORY.name, DEFAULT_CATEGORY)
            self.notes.append(
                f"seats without a category ({uncategorised}): in {DEFAULT_CATEGORY.name!r}"
            )
        ids = distinct_ids(listed)
        self._category_ids.update(ids)
        priced = dict.fromkeys(listed, prices) if isinstance(prices, int) else prices or {}
        self._report("no price for", [listed[name].name for name in listed if name not in priced])
        self._report("prices for unknown", [name for name in priced if name not in listed])
        for name, category in listed.items():
            color = category.color if _COLOR.fullmatch(category.color) else None
            if category.color and not color:
                self.notes.append(f"category {category.name!r}: ignored color {category.color!r}")
            self.builder.add_category(
                f"category {category.name!r}",
                LayoutCategory(
                    id=ids[name],
                    name=category.name,
                    price_minor=priced.get(name, 0),
                    color=color,
                ),
            )

    def add_zones(self, zones: Sequence[Zone]) -> None:
        """Add every seat of every zone. Call it after `add_categories`."""
        guids = [s.seat_guid for zone in zones for row in zone.rows for s in row.seats]
        if not self._derive_ids:
            self._report_duplicate_guids(guids)
        seat_ids = {} if self._derive_ids else distinct_ids(filter(None, guids))
        names = [*_zone_names(zones)]
        section_ids = distinct_ids(map(as_read, names))
        row_counts: Counter[str] = Counter()
        for number, (zone, name) in enumerate(zip(zones, names, strict=True)):
            section_id = section_ids[as_read(name)]
            where = f"zones[{number}]"
            if section_id not in row_counts:
                self.builder.add_section(where, section_id, name)
            for row_number, row in enumerate(zone.rows):
                row_counts[section_id] += 1
                label = row.row_number.strip() or f"row{row_counts[section_id]}"
                row_where = f"{where}.rows[{row_number}]"
                placed = [*self._placed(row_where, zone, row, label, seat_ids)]
                for run in runs_of(placed) if placed else ():
                    self.builder.add_row(row_where, section_id, label, run)
        empty = sum(not row.seats for zone in zones for row in zone.rows)
        if empty:
            self.notes.append(f"ignored: rows without seats ({empty})")

    def set_focus(self, zones: Sequence[Zone]) -> None:
        """Judge seats by their distance to the first drawing that is a stage, if there is one."""
        for number, zone in enumerate(zones):
            for stage in stages_in(zone.areas):
                x = round(zone.position.x + stage.middle.x, 2)
                y = round(zone.position.y + stage.middle.y, 2)
                if max(abs(x), abs(y)) > COORDINATE_MAX:
                    continue
                self.builder.set_focus(f"zones[{number}].areas: {stage.text!r}", x, y)
                self.notes.append(f"focal point: the drawing {stage.text!r} at {x:g},{y:g}")
                return

    def _placed(
        self, where: str, zone: Zone, row: PretixRow, label: str, seat_ids: Mapping[str, str]
    ) -> Iterator[PlacedSeat]:
        """The seats of a row with their places in the file; those with a problem are reported."""
        x, y = zone.position.x + row.position.x, zone.position.y + row.position.y
        for number, seat in enumerate(row.seats):
            seat_where = f"{where}.seats[{number}]"
            category_id = self._category_id(seat_where, seat.category)
            if not (seat.seat_guid or self._derive_ids):
                self.builder.problems.append(f"{seat_where}.seat_guid: is empty")
            elif category_id:
                yield (
                    seat_where,
                    LayoutSeat(
                        id=seat_ids.get(seat.seat_guid, ""),
                        # Editors number a seat "17-3" in row 17; the number on the seat is 3.
                        number=seat.seat_number.removeprefix(f"{label}-") or seat.seat_number,
                        category=category_id,
                        x=round(x + seat.position.x, 2),
                        y=round(y + seat.position.y, 2),
                        accessible=row.wheelchair or seat.wheelchair,
                    ),
                )

    def _category_id(self, where: str, category: str) -> str | None:
        name = as_read(category) or DEFAULT_CATEGORY.name
        if name not in self._category_ids:
            self._category_ids[name] = None
            self.builder.problems.append(f"{where}.category: there is no category {category!r}")
        return self._category_ids[name]

    def _report(self, what: str, names: Sequence[str]) -> None:
        if names:
            self.builder.problems.append(f"{what} {', '.join(map(repr, names))}")

    def _report_duplicate_guids(self, guids: Iterable[str]) -> None:
        again = sum(count > 1 for guid, count in Counter(guids).items() if guid)
        if again:
            self.builder.problems.append(
                f"{again} seat_guids are used more than once; "
                "ids can be derived from zone, row and number instead (--derive-ids)"
            )


def _seats_of(plan: SeatingPlan) -> Iterator[PretixSeat]:
    for zone in plan.zones:
        for row in zone.rows:
            yield from row.seats


def _zone_names(zones: Iterable[Zone]) -> Iterator[str]:
    """The names of zones; those without one are `_`, `_2`, …"""
    nameless = 0
    for zone in zones:
        if as_read(zone.name):
            yield zone.name
        else:
            nameless += 1
            yield "_" if nameless == 1 else f"_{nameless}"


_NESTED: dict[type[Struct], dict[str, type[Struct]]] = {
    SeatingPlan: {"categories": PretixCategory, "zones": Zone},
    Zone: {"rows": PretixRow, "position": PretixPosition},
    PretixRow: {"seats": PretixSeat, "position": PretixPosition},
    PretixSeat: {"position": PretixPosition},
}


def _ignored_fields(body: bytes) -> list[str]:
    """A note for each field that is not read: `ignored: zones[].rows[].fill (24)`."""
    counts = Counter(_unread(msgspec.Raw(decode_text(body).encode()), SeatingPlan, ""))
    notes = [f"ignored: {path} ({count})" for path, count in counts.most_common(LISTED_MAX)]
    if len(counts) > LISTED_MAX:
        notes.append(f"ignored: {len(counts) - LISTED_MAX} more fields")
    return notes


def _unread(part: msgspec.Raw, kind: type[Struct], path: str) -> Iterator[str]:
    nested = _NESTED.get(kind, {})
    for name, value in msgspec.json.decode(part, type=dict[str, msgspec.Raw]).items():
        here = f"{path}.{name[:100]}" if path else name[:100]
        if name not in kind.__struct_fields__ or name == "areas":
            yield here
        elif name in nested and bytes(memoryview(value)[:1]) == b"[":
            for item in msgspec.json.decode(value, type=list[msgspec.Raw]):
                yield from _unread(item, nested[name], f"{here}[]")
        elif name in nested:
            yield from _unread(value, nested[name], here)
