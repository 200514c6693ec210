"""How good each seat is, and the order in which best available looks at the rows.

A quality is 0 (best) to QUALITY_MAX. It is the organiser's rank, or the distance to a focal point,
or, without either, the place of the row in the plan. The map of a new event has its rows in this
order, category by category: so the script of a sale finds the best free row by searching the map
from the start of a stretch. `best_rows` is that order, for people.

A stretch is a run of rows in the map that have the same categories and do not get better: the
search ends at the first row that cannot beat what was found. Rows without any plain seat are
stretches of their own, which a general search passes over.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from math import hypot
from typing import NamedTuple, TypeAlias

from msgspec import UnsetType

from engine.models import (
    Layout,
    LayoutCategory,
    LayoutRow,
    LayoutSeat,
    LayoutSection,
    Quality,
    QualityBy,
)

PLAIN = "-"
RUNS = 100
"""Runs of a row that have positions of their own; `parties.ROW` of the scripts."""
QUALITY_MAX = 65_535
_HEADROOM = 2
"""Seats that are added later may be this much farther away than those of the plan."""


_Alike: TypeAlias = tuple[tuple[int, ...], bool]
"""What the rows of a stretch have in common: their categories, and whether no seat is plain."""


class Focus(NamedTuple):
    """The point from which seats are judged, in the coordinates of the plan."""

    x: float
    y: float


def quality_of(rows: Sequence[LayoutRow], focus: Focus | None) -> Quality:
    """How the seats of a new layout are judged: by rank, by distance, or in the order of rows.

    Without a focal point, it is the middle of the first row, all its runs together.
    """
    seats = [seat for row in rows for seat in row.seats]
    ranks = [seat.rank for seat in seats if not isinstance(seat.rank, UnsetType)]
    if ranks:
        return Quality(by=QualityBy.RANK, step=_step(max(ranks)))
    if seats and all(not isinstance(seat.x, UnsetType) for seat in seats):
        focus = focus or _middle(rows)
        farthest = max(_distance(seat, focus.x, focus.y) for seat in seats)
        return Quality(by=QualityBy.FOCUS, x=focus.x, y=focus.y, step=_step(farthest))
    return Quality(by=QualityBy.ROW, step=_step(sum(len(row.seats) + 1 for row in rows)))


def qualities(quality: Quality, row: LayoutRow) -> list[int]:
    """The quality of each seat of a row."""
    if quality.by is QualityBy.ROW:
        return [_scaled(row.index, quality.step)] * len(row.seats)
    if quality.by is QualityBy.RANK:
        return [_scaled(_rank(seat), quality.step) for seat in row.seats]
    return [_scaled(_distance(seat, quality.x, quality.y), quality.step) for seat in row.seats]


def indexes_of(
    quality: Quality, rows: Sequence[LayoutRow], numbers: Mapping[str, int], start: int
) -> list[int]:
    """The map index of each row, from `start` on: by category, then the best first.

    `numbers` are those of the categories. Rows of several categories are behind those of one.
    """

    def key(place: int) -> tuple[tuple[int, ...], int, int]:
        row = rows[place]
        lowest = 0 if quality.by is QualityBy.ROW else min(qualities(quality, row))
        return _category_key(row, numbers), lowest, place

    indexes = [0] * len(rows)
    for place in sorted(range(len(rows)), key=key):
        indexes[place] = start
        start += len(rows[place].seats) + 1
    return indexes


def quality_by(layout: Layout) -> Quality:
    """How the seats of a layout are judged; in the order of its rows, if it does not say."""
    return layout.quality or Quality(by=QualityBy.ROW)


class RatedRow(NamedTuple):
    """A run of neighbouring seats, and how good each of them is."""

    section: LayoutSection
    row: LayoutRow
    categories: tuple[LayoutCategory, ...]
    qualities: Sequence[int]

    @property
    def best(self) -> int:
        """The quality of its best seat."""
        return min(self.qualities)


def best_rows(layout: Layout) -> list[RatedRow]:
    """The rows in the order of the search: by category, then the best first.

    Right after a load this is the order of the map; seats that are added later are at its end.
    """
    numbers = _numbers(layout)
    quality = quality_by(layout)
    rated = [
        RatedRow(
            section,
            row,
            tuple(layout.categories[number] for number in _category_key(row, numbers)[1:]),
            qualities(quality, row),
        )
        for section in layout.sections
        for row in section.rows
    ]
    rated.sort(key=lambda each: (_category_key(each.row, numbers), each.best, each.row.index))
    return rated


class SearchKeys(NamedTuple):
    """What `lua/lib/best.lua` reads beside the map; it has the forms.

    `rows` maps the index of a row's first seat to its record, `order` names the stretches of each
    category and the rows of each section.
    """

    rows: dict[str, bytes]
    order: dict[str, str]


def search_keys(layout: Layout) -> SearchKeys:
    """Both keys of a layout, computed in one pass."""
    quality = quality_by(layout)
    numbers = _numbers(layout)
    rows: dict[str, bytes] = {}
    stretches = _Stretches()
    order: dict[str, str] = {}
    placed: list[tuple[int, int, int, _Alike]] = []
    accessible: list[tuple[int, int]] = []
    for section_number, section in enumerate(layout.sections):
        order[f"section:{section.id}"] = " ".join(str(row.index) for row in section.rows)
        for position, row in zip(_positions(section.rows), section.rows, strict=True):
            values = qualities(quality, row)
            categories = [numbers[seat.category] for seat in row.seats]
            rows[str(row.index)] = _record(row, section_number, position, values, categories)
            is_special = all(kind_of(seat) != PLAIN for seat in row.seats)
            alike = tuple(sorted(set(categories))), is_special
            placed.append((row.index, len(row.seats), min(values), alike))
            if any(seat.accessible for seat in row.seats):
                accessible.append((min(values), row.index))
    for index, length, lowest, alike in sorted(placed):
        stretches.add(index, length, lowest, alike)
    for category in layout.categories:
        number = numbers[category.id]
        named = " ".join(stretches.of(number))
        order[f"category:{category.id}"] = f"{number} {named}".rstrip()
    order["rows"] = str(len(rows))
    order["categories"] = " ".join(category.id for category in layout.categories)
    order["accessible"] = " ".join(str(index) for _, index in sorted(accessible))
    return SearchKeys(rows, order)


class _Stretches:
    """Joins rows that follow each other in the map into stretches."""

    def __init__(self) -> None:
        self._by_category: defaultdict[int, list[str]] = defaultdict(list)
        self._first = self._last = self._lowest = 0
        self._alike: _Alike = ((), False)

    def add(self, index: int, length: int, lowest: int, alike: _Alike) -> None:
        """A row. Rows of a stretch are `alike`: their categories, and whether all is special."""
        if alike != self._alike or lowest < self._lowest:
            self._end()
            self._first, self._alike = index, alike
        self._lowest, self._last = lowest, index + length - 1

    def _end(self) -> None:
        categories, is_special = self._alike
        for number in categories:
            mark = "*" if is_special else ""
            self._by_category[number].append(f"{self._first}-{self._last}{mark}")

    def of(self, number: int) -> list[str]:
        """The stretches of a category, each `<first index>-<last index>`, and `*` if special."""
        self._end()
        self._alike = ((), False)
        return self._by_category[number]


def _positions(rows: Sequence[LayoutRow]) -> Iterator[int]:
    """Where each run is in its section: RUNS times the number of its row, and which run it is."""
    runs: dict[str, list[int]] = {}
    for row in rows:
        number, count = runs.setdefault(row.id, [len(runs), 0])
        runs[row.id][1] += 1
        yield RUNS * number + min(count, RUNS - 1)


def _record(
    row: LayoutRow, section: int, position: int, values: list[int], categories: list[int]
) -> bytes:
    """The record of a row.

    `<length>,<lowest quality>,<section number>,<position in the section>,<category number or ->`,
    `*` if a seat is not plain, a line end; two bytes a seat of its quality; a byte a seat of its
    kind; where the categories differ, two bytes a seat of its category; then the ids.
    """
    mixed = len(set(categories)) > 1
    category = "-" if mixed else str(categories[0])
    kinds = "".join(map(kind_of, row.seats))
    mark = "" if kinds == PLAIN * len(kinds) else "*"
    head = f"{len(row.seats)},{min(values)},{section},{position},{category}{mark}\n"
    return b"".join(
        (
            head.encode(),
            b"".join(value.to_bytes(2, "big") for value in values),
            kinds.encode(),
            b"".join(number.to_bytes(2, "big") for number in categories) if mixed else b"",
            " ".join(seat.id for seat in row.seats).encode(),
        )
    )


def _numbers(layout: Layout) -> dict[str, int]:
    return {category.id: number for number, category in enumerate(layout.categories)}


def _category_key(row: LayoutRow, numbers: Mapping[str, int]) -> tuple[int, ...]:
    """How many categories a row has, and their numbers: it sorts rows of one before the others."""
    categories = sorted({numbers[seat.category] for seat in row.seats})
    return len(categories), *categories


def kind_of(seat: LayoutSeat) -> str:
    """`w`heelchair place, its `c`ompanion, `r`estricted view, or `-`."""
    if seat.accessible:
        return "w"
    if seat.companion_of:
        return "c"
    return "r" if seat.restricted_view else PLAIN


def _middle(rows: Sequence[LayoutRow]) -> Focus:
    first = takewhile(lambda row: row.id == rows[0].id, rows)
    points = [(float(seat.x), float(seat.y)) for row in first for seat in row.seats]  # type: ignore[arg-type]
    return Focus(
        x=round(sum(x for x, _ in points) / len(points), 2),
        y=round(sum(y for _, y in points) / len(points), 2),
    )


def _distance(seat: LayoutSeat, x: float, y: float) -> float:
    if isinstance(seat.x, UnsetType) or isinstance(seat.y, UnsetType):
        return float("inf")  # the worst: it was added without a place to a plan that has places
    return hypot(seat.x - x, seat.y - y)


def _rank(seat: LayoutSeat) -> float:
    return float("inf") if isinstance(seat.rank, UnsetType) else seat.rank


def _step(largest: float) -> float:
    """What one step of quality stands for."""
    return max(largest, 1e-9) * _HEADROOM / QUALITY_MAX


def _scaled(value: float, step: float) -> int:
    return int(min(value / step, QUALITY_MAX))
