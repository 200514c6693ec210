"""Builds and checks every layout: the readers of all formats use this builder.

Readers call `add_*` with the place of each item in the file (`zones[0].rows[3].seats[5]`,
`line 17`), so that a problem names it. The builder checks each item and raises at the end. With a
base it extends that layout: existing seats keep their index, new ones follow the end of the map.

A row may be added more than once. Each time it is a separate run of neighbouring seats, with a `/`
between the runs, as at an aisle. Seat, section, area and category ids are unique, and so is what
people read: the names of sections, the names of areas, and section, row and number of a seat. A
seat added with an empty id gets one derived from its labels.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from engine.errors import SeatExists
from engine.ids import PLACE_PATTERN
from engine.models import (
    Layout,
    LayoutArea,
    LayoutCategory,
    LayoutRow,
    LayoutSeat,
    LayoutSection,
    Quality,
    QualityBy,
)
from engine.plans.derived_ids import SeatLabel, seat_ids
from engine.plans.labels import LABEL_MAX, as_read
from engine.plans.layout import capacity, map_length, rows_of, with_version
from engine.plans.problems import LISTED_MAX, PlanError
from engine.plans.quality import Focus, indexes_of, quality_by, quality_of
from engine.plans.ranks import RankedPlace, Ranks

PLACES_MAX = 1_000_000
"""Seats and standing places one event may have."""

AREAS_MAX = CATEGORIES_MAX = 1000
"""A load, an addition of seats and a read of the map each process all of them in one script."""

PRICE_MINOR_MAX = 1_000_000_000_000
"""50 places, the most of a booking, then cost at most 14 digits: Lua's cjson writes no more."""

COORDINATE_MAX = 1_000_000.0

_PLACE = re.compile(PLACE_PATTERN)
_LABEL = re.compile(rf"[^\x00-\x1f\x7f]{{1,{LABEL_MAX}}}")
_NEW = -1
"""The index of a row that gets one when the layout is built."""
_DERIVED = ""
"""The id of a seat that gets one when the layout is built."""


class LayoutBuilder:
    """Collects the items of a plan and its problems. Readers may add to `problems` as well."""

    def __init__(self, base: Layout | None = None, *, ranks: Ranks | None = None) -> None:
        self.problems: list[str] = []
        self._seen: dict[str, str] = {}
        self._labels: dict[SeatLabel, str | LayoutSeat] = {}
        self._labelled: set[str] = set()
        self._derived_rows: list[tuple[str, int]] = []
        self._unknown_categories: set[str] = set()
        self._categories: dict[str, LayoutCategory] = {}
        self._names: dict[str, str] = {}
        self._rows: dict[str, list[LayoutRow]] = {}
        self._areas: dict[str, LayoutArea] = {}
        self._next_index = 0
        self._place_count = 0
        self._base_place_count = 0
        self._base_seats: frozenset[str] = frozenset()
        self._base_areas: frozenset[str] = frozenset()
        self._base_quality: Quality | None = None
        self._base_ranks: dict[int, tuple[str, str] | None] = {}
        self._focus: Focus | None = None
        self._focus_where = ""
        self._unplaced_where, self._unplaced_count = "", 0
        self._ranks = ranks
        self._ranked_places: set[RankedPlace] = set()
        self._unranked_places: set[RankedPlace] = set()
        self._ranked: dict[int, tuple[str, tuple[str, str] | None]] = {}
        self._unranked: list[str] = []
        self._in_base: list[str] = []
        if base:
            self._extend(base)

    @property
    def is_ranked(self) -> bool:
        """Whether a seat has a rank."""
        return bool(self._ranked)

    def add_category(self, where: str, category: LayoutCategory) -> None:
        """Add a price category. Its number is the count of those added before."""
        self._check_id(where, "category", category.id)
        self._check_label(where, "category name", category.name)
        if not 0 <= category.price_minor <= PRICE_MINOR_MAX:
            self.problems.append(f"{where}: the price must be 0 to {PRICE_MINOR_MAX} minor units")
        known = self._categories.setdefault(category.id, category)
        self._stop_beyond(len(self._categories), CATEGORIES_MAX, "categories")
        if self._check_new(where, "category", category.id) and known != category:
            self.problems.append(
                f"{where}: the event has category {category.id!r} with another name, price or color"
            )

    def add_section(self, where: str, section_id: str, name: str) -> None:
        """Add a section; its rows come after it. A section of the base keeps its name."""
        self._check_id(where, "section", section_id)
        self._check_label(where, "section name", name)
        if self._check_new(where, "section", section_id) and section_id not in self._names:
            self._check_name(where, "section", name)
        self._names.setdefault(section_id, name)
        self._rows.setdefault(section_id, [])

    def add_row(
        self, where: str, section_id: str, row_id: str, seats: Sequence[tuple[str, LayoutSeat]]
    ) -> None:
        """Add a run of at least one neighbouring seat, each with its place in the file."""
        self._check_label(where, "row", row_id)
        if self._ranks:
            seats = [*self._with_ranks(self._ranks, section_id, row_id, seats)]
        for seat_where, seat in seats:
            if self._check_seat(seat_where, seat):
                self._check_seat_label(seat_where, section_id, row_id, seat)
        self._check_ranks(where, (section_id, row_id), seats)
        self._count_places(len(seats))
        run = tuple(seat for _, seat in seats)
        rows = self._rows[section_id]
        if any(seat.id == _DERIVED for seat in run):
            self._derived_rows.append((section_id, len(rows)))
        rows.append(LayoutRow(id=row_id, index=_NEW, seats=run))

    def add_area(self, where: str, area: LayoutArea) -> None:
        """Add a standing area."""
        self._check_id(where, "area", area.id)
        self._check_label(where, "area name", area.name)
        in_base = area.id in self._base_areas
        if in_base:
            self._in_base.append(area.id)
        if self._check_new(where, "area", area.id) and not in_base:
            self._check_name(where, "area", area.name)
        self._check_category(where, area.category)
        if area.capacity < 1:
            self.problems.append(f"{where}: the capacity must be at least 1")
        self._count_places(area.capacity)
        self._areas[area.id] = area
        self._stop_beyond(len(self._areas), AREAS_MAX, "areas")

    def build(self, currency: str, *, allow_empty: bool = False) -> Layout:
        """The layout with its version.

        Raises: PlanError with every problem; SeatExists for seats and areas that the base has.
        """
        if not self._place_count and not allow_empty and not self.problems:
            self.problems.append("the plan has no seats and no standing areas")
        self._check_quality()
        if self.problems:
            raise PlanError(self.problems)
        if self._in_base:
            raise SeatExists(*self._in_base[:LISTED_MAX])
        self._derive_seat_ids()
        self._check_companions()
        quality = self._place_rows()
        sections = tuple(
            LayoutSection(id=section_id, name=self._names[section_id], rows=tuple(rows))
            for section_id, rows in self._rows.items()
        )
        return with_version(
            Layout(
                version="",
                currency=currency,
                categories=tuple(self._categories.values()),
                sections=sections,
                areas=tuple(self._areas.values()),
                quality=quality,
            )
        )

    def set_focus(self, where: str, x: float, y: float) -> None:
        """Judge seats by their distance to this point. Only for a layout without seats before."""
        if not (abs(x) <= COORDINATE_MAX and abs(y) <= COORDINATE_MAX):
            self.problems.append(f"{where}: x and y must be within ±{COORDINATE_MAX:.0f}")
        self._focus, self._focus_where = Focus(x, y), where

    def _place_rows(self) -> Quality | None:
        """Give the new rows their places in the map: by category, the best first."""
        places = [
            (section_id, at)
            for section_id, rows in self._rows.items()
            for at, row in enumerate(rows)
            if row.index == _NEW
        ]
        new = [self._rows[section_id][at] for section_id, at in places]
        quality = self._base_quality
        if new:
            quality = quality or quality_of(new, self._focus)
            numbers = {category: number for number, category in enumerate(self._categories)}
            indexes = indexes_of(quality, new, numbers, self._next_index)
            for (section_id, at), row, index in zip(places, new, indexes, strict=True):
                self._rows[section_id][at] = replace(row, index=index)
        elif self._focus:  # of an event whose seats come later
            quality = Quality(by=QualityBy.FOCUS, x=self._focus.x, y=self._focus.y)
        return quality

    def _extend(self, base: Layout) -> None:
        self._categories = {category.id: category for category in base.categories}
        self._names = {section.id: section.name for section in base.sections}
        self._rows = {section.id: list(section.rows) for section in base.sections}
        self._areas = {area.id: area for area in base.areas}
        self._base_areas = frozenset(self._areas)
        self._base_seats = frozenset(seat.id for row in rows_of(base) for seat in row.seats)
        self._base_place_count = capacity(base)
        if self._base_seats:
            self._base_quality = quality_by(base)
            if self._base_quality.by is QualityBy.RANK:
                self._base_ranks = dict(_ranks_of(base))
        elif base.quality:
            self.set_focus("the focal point of the event", base.quality.x, base.quality.y)
        self._next_index = map_length(base) + 1 if self._base_seats else 0
        for kind, named in (("section", base.sections), ("area", base.areas)):
            for place in named:
                self._seen[f"{kind} name {as_read(place.name)}"] = (
                    f"{kind} {place.id!r} of the event"
                )

    def _derive_seat_ids(self) -> None:
        """Give an id to each seat that was added without one."""
        derived = [(section, at, self._rows[section][at]) for section, at in self._derived_rows]
        ids = seat_ids(
            (
                _label_of(section, row.id, seat)
                for section, _, row in derived
                for seat in row.seats
                if seat.id == _DERIVED
            ),
            lambda known: known in self._base_seats or f"seat {known}" in self._seen,
        )
        for section, at, row in derived:
            seats = (
                seat if seat.id else replace(seat, id=ids[_label_of(section, row.id, seat)])
                for seat in row.seats
            )
            self._rows[section][at] = replace(row, seats=tuple(seats))

    def _with_ranks(
        self, ranks: Ranks, section_id: str, row_id: str, seats: Sequence[tuple[str, LayoutSeat]]
    ) -> Iterator[tuple[str, LayoutSeat]]:
        """The seats with the ranks of the file in place of their own."""
        for where, seat in seats:
            place = ranks.place_of(self._names[section_id], row_id, seat.number)
            rank = ranks.by_place.get(place)
            if rank is None and place not in self._unranked_places:
                self._unranked_places.add(place)
                self.problems.append(f"ranks: {ranks.source}: no rank for {place} ({where})")
            self._ranked_places.add(place)
            yield where, replace(seat, rank=UNSET if rank is None else rank)

    def _check_quality(self) -> None:
        """Report what contradicts the way in which seats are judged."""
        if self._ranks:
            self.problems += [
                f"ranks: {self._ranks.source}: line {line}: the plan has no {place}"
                for place, line in self._ranks.lines.items()
                if place not in self._ranked_places
            ]
        elif self._ranked and self._unranked:
            count, first = len(self._unranked), self._unranked[0]
            self.problems.append(f"{first}: there is no rank, and other seats have one ({count})")
        if self._base_quality and self._base_quality.by is not QualityBy.RANK:
            self.problems += [
                f"{where}: the seats of the event have no ranks, so that new ones have none either"
                for where, _ in self._ranked.values()
            ]
        if self._focus and self._unplaced_count and not self._ranked:
            self.problems.append(
                f"{self._unplaced_where}: there are no x and y, but {self._focus_where} needs them "
                f"({self._unplaced_count})"
            )

    def _check_ranks(
        self, where: str, row: tuple[str, str], seats: Sequence[tuple[str, LayoutSeat]]
    ) -> None:
        """A rank is that of one seat, or of all seats of one row, in one run or several."""
        is_of_row = len({seat.rank for _, seat in seats}) == 1
        owner = row if is_of_row else None
        for seat_where, seat in [(where, seats[0][1])] if is_of_row else seats:
            if isinstance(seat.rank, UnsetType):
                self._unranked.append(seat_where)
                continue
            if seat.rank in self._base_ranks and (
                owner is None or self._base_ranks[seat.rank] != owner
            ):
                self.problems.append(
                    f"{seat_where}: the rank {seat.rank} is used before, in the event"
                )
            first, known = self._ranked.setdefault(seat.rank, (seat_where, owner))
            if first != seat_where and (known is None or known != owner):
                self.problems.append(
                    f"{seat_where}: the rank {seat.rank} is used before, at {first}"
                )

    def _check_companions(self) -> None:
        """A companion's seat names a wheelchair place of the plan. Raises PlanError."""
        new = [row for rows in self._rows.values() for row in rows]
        companions = [seat for row in new for seat in row.seats if seat.companion_of]
        if not companions:
            return
        wheelchair = {seat.id for row in new for seat in row.seats if seat.accessible}
        problems = [
            f"seat {seat.id!r}: companionOf {seat.companion_of[:100]!r} is no wheelchair place"
            for seat in companions
            if seat.companion_of not in wheelchair
        ]
        problems += [
            f"seat {seat.id!r}: a wheelchair place is not a companion's seat"
            for seat in companions
            if seat.accessible
        ]
        if problems:
            raise PlanError(problems)

    def _check_seat(self, where: str, seat: LayoutSeat) -> bool:
        """Check one seat by itself and its id; whether the id is new, or is to be derived."""
        self._check_label(where, "seat number", seat.number)
        self._check_category(where, seat.category)
        self._check_coordinates(where, seat)
        if seat.id == _DERIVED:
            return True
        self._check_id(where, "seat", seat.id)
        if seat.id in self._base_seats:
            self._in_base.append(seat.id)
            return False
        return self._check_new(where, "seat", seat.id)

    def _check_seat_label(self, where: str, section_id: str, row_id: str, seat: LayoutSeat) -> None:
        """Report a seat that reads as another one. A derived id of a seat in the base exists."""
        if section_id not in self._labelled:
            # The base's seats of this section only: it may have a million.
            self._labelled.add(section_id)
            for row in self._rows[section_id]:
                for known in row.seats:
                    self._labels[_label_of(section_id, row.id, known)] = known
        label = _label_of(section_id, row_id, seat)
        first = self._labels.get(label)
        if first is None:
            self._labels[label] = where
        elif isinstance(first, LayoutSeat) and seat.id == _DERIVED:
            self._in_base.append(first.id)
        else:
            at = f"seat {first.id!r} of the event" if isinstance(first, LayoutSeat) else first
            name = self._names[section_id]
            self.problems.append(
                f"{where}: section {name!r}, row {row_id!r}, seat {seat.number!r} "
                f"is used before, at {at}"
            )

    def _check_name(self, where: str, kind: str, name: str) -> None:
        key = f"{kind} name {as_read(name)}"
        if key in self._seen:
            self.problems.append(
                f"{where}: the {kind} name {name!r} is used before, at {self._seen[key]}"
            )
        self._seen.setdefault(key, where)

    def _check_coordinates(self, where: str, seat: LayoutSeat) -> None:
        if isinstance(seat.x, UnsetType) or isinstance(seat.y, UnsetType):
            self._unplaced_where = self._unplaced_where or where
            self._unplaced_count += 1
            if seat.x is not seat.y:
                self.problems.append(f"{where}: x and y go together, one is missing")
        elif not (abs(seat.x) <= COORDINATE_MAX and abs(seat.y) <= COORDINATE_MAX):
            # Written so that NaN fails it.
            self.problems.append(f"{where}: x and y must be within ±{COORDINATE_MAX:.0f}")

    def _check_category(self, where: str, category: str) -> None:
        # Once for each name: else a missing category is reported for each of its thousand seats.
        if category not in self._categories and category not in self._unknown_categories:
            self._unknown_categories.add(category)
            missing = f"there is no category {category!r}" if category else "no category is named"
            self.problems.append(f"{where}: {missing}")

    def _check_new(self, where: str, kind: str, new_id: str) -> bool:
        key = f"{kind} {new_id}"
        first = self._seen.get(key)
        if first is None:
            self._seen[key] = where
            return True
        self.problems.append(f"{where}: the {kind} id {new_id!r} is used before, at {first}")
        return False

    def _check_id(self, where: str, kind: str, text: str) -> None:
        if not _PLACE.fullmatch(text):
            self.problems.append(
                f"{where}: the {kind} id {text[:100]!r} is not 1 to 80 letters, digits or _.~-"
            )

    def _check_label(self, where: str, kind: str, text: str) -> None:
        if not _LABEL.fullmatch(text) or not as_read(text):
            self.problems.append(
                f"{where}: the {kind} {text[:100]!r} is not 1 to 100 printable characters"
            )

    def _count_places(self, count: int) -> None:
        self._place_count += count
        self._stop_beyond(self._base_place_count + self._place_count, PLACES_MAX, "places")

    def _stop_beyond(self, count: int, most: int, what: str) -> None:
        if count > most:
            raise PlanError([*self.problems, f"more than {most} {what}"])


def _ranks_of(base: Layout) -> Iterator[tuple[int, tuple[str, str] | None]]:
    """The ranks in a layout, each with the row of which it is; None for that of a seat."""
    for section in base.sections:
        for row in section.rows:
            owner = (section.id, row.id) if len({seat.rank for seat in row.seats}) == 1 else None
            for seat in row.seats:
                if not isinstance(seat.rank, UnsetType):
                    yield seat.rank, owner


def _label_of(section_id: str, row_id: str, seat: LayoutSeat) -> SeatLabel:
    return section_id, as_read(row_id), as_read(seat.number)
