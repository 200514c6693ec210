"""How good each seat is, and the order in which best available looks at the rows.

A quality is 0 (best) to QUALITY_MAX. It is the organiser's rank, or the distance to a focal point,
or, without either, the place of the row in the plan. The map of a new event has its rows in this
order, category by category: so the script of a sale finds the best free row by searching the map
from the start of a stretch.

A stretch is a run of rows in the map that have the same categories and do not get better: the
search ends at the first row that cannot beat what was found. Rows without any plain seat are
stretches of their own, which a general search passes over.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import hypot
from typing import NamedTuple

from msgspec import UnsetType

from engine.models import Layout, LayoutRow, LayoutSeat, Quality, QualityBy

PLAIN = "-"
QUALITY_MAX = 65_535
_HEADROOM = 2
"""Seats that are added later may be this much farther away than those of the plan."""


class Focus(NamedTuple):
    """The point from which seats are judged, in the coordinates of the plan."""

    x: float
    y: float


def quality_of(rows: Sequence[LayoutRow], focus: Focus | None) -> Quality:
    """How the seats of a new layout are judged: by rank, by distance, or in the order of rows.

    Without a focal point, it is the middle of the first row.
    """
    seats = [seat for row in rows for seat in row.seats]
    ranks = [seat.rank for seat in seats if not isinstance(seat.rank, UnsetType)]
    if ranks:
        return Quality(by=QualityBy.RANK, step=_step(max(ranks)))
    if seats and all(not isinstance(seat.x, UnsetType) for seat in seats):
        focus = focus or _middle(rows[0])
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
        categories = sorted({numbers[seat.category] for seat in row.seats})
        lowest = 0 if quality.by is QualityBy.ROW else min(qualities(quality, row))
        return (len(categories), *categories), lowest, place

    indexes = [0] * len(rows)
    for place in sorted(range(len(rows)), key=key):
        indexes[place] = start
        start += len(rows[place].seats) + 1
    return indexes


class SearchKeys(NamedTuple):
    """What `lua/lib/best.lua` reads beside the map; it has the forms.

    `rows` maps the index of a row's first seat to its record, `order` names the stretches of each
    category and the rows of each section.
    """

    rows: dict[str, bytes]
    order: dict[str, str]


def search_keys(layout: Layout) -> SearchKeys:
    """Both keys of a layout, computed in one pass."""
    quality = layout.quality or Quality(by=QualityBy.ROW)
    numbers = {category.id: number for number, category in enumerate(layout.categories)}
    rows: dict[str, bytes] = {}
    stretches = _Stretches()
    order: dict[str, str] = {}
    placed: list[tuple[int, int, tuple[int, ...], bool]] = []
    accessible: list[tuple[int, int]] = []
    for section_number, section in enumerate(layout.sections):
        order[f"section:{section.id}"] = " ".join(str(row.index) for row in section.rows)
        for position, row in enumerate(section.rows):
            values = qualities(quality, row)
            categories = [numbers[seat.category] for seat in row.seats]
            rows[str(row.index)] = _record(row, section_number, position, values, categories)
            is_special = all(kind_of(seat) != PLAIN for seat in row.seats)
            placed.append((row.index, min(values), tuple(sorted(set(categories))), is_special))
            if any(seat.accessible for seat in row.seats):
                accessible.append((min(values), row.index))
    lengths = {int(index): int(record.split(b",", 1)[0]) for index, record in rows.items()}
    for index, lowest, categories_of_row, is_special in sorted(placed):
        stretches.add(index, lengths[index], lowest, (categories_of_row, is_special))
    for category in layout.categories:
        number = numbers[category.id]
        named = " ".join(stretches.of(number))
        order[f"category:{category.id}"] = f"{number} {named}".rstrip()
    order["categories"] = " ".join(category.id for category in layout.categories)
    order["accessible"] = " ".join(str(index) for _, index in sorted(accessible))
    return SearchKeys(rows, order)


class _Stretches:
    """Joins rows that follow each other in the map into stretches."""

    def __init__(self) -> None:
        self._by_category: defaultdict[int, list[str]] = defaultdict(list)
        self._first = self._last = self._lowest = 0
        self._alike: tuple[tuple[int, ...], bool] = ((), False)

    def add(
        self, index: int, length: int, lowest: int, alike: tuple[tuple[int, ...], bool]
    ) -> None:
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


def kind_of(seat: LayoutSeat) -> str:
    """`w`heelchair place, its `c`ompanion, `r`estricted view, or `-`."""
    if seat.accessible:
        return "w"
    if seat.companion_of:
        return "c"
    return "r" if seat.restricted_view else PLAIN


def _middle(row: LayoutRow) -> Focus:
    points = [(float(seat.x), float(seat.y)) for seat in row.seats]  # type: ignore[arg-type]
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
