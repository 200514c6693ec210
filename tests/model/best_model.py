"""What best available must find, in plain Python: every window of every row, none left out.

The script looks at so many rows of a stretch at most; in a house with fewer rows it must find
exactly what is found here. Free seats are given from outside: the model keeps nothing.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from engine.models import BestSelection, Layout, LayoutSeat
from engine.plans.quality import qualities


class Window(NamedTuple):
    """Neighbouring seats of a row. The best has the lowest score; `leaves_single` is a fault."""

    leaves_single: bool
    score: tuple[int, int]
    seats: tuple[str, ...]


@dataclass
class Row:
    """A row, with the letters that its seats have now."""

    section: str
    position: int
    seats: tuple[LayoutSeat, ...]
    qualities: list[int]
    letters: str


class BestModel:
    """One house at one moment. `letters` is the map."""

    def __init__(self, layout: Layout, letters: str, *, avoids_single: bool = True) -> None:
        assert layout.quality
        self.prices = {category.id: category.price_minor for category in layout.categories}
        self.avoids_single = avoids_single
        self.rows = [
            Row(
                section=section.id,
                position=position,
                seats=row.seats,
                qualities=qualities(layout.quality, row),
                letters=letters[row.index : row.index + len(row.seats)],
            )
            for section in layout.sections
            for position, row in enumerate(section.rows)
        ]

    def best(self, wanted: BestSelection, quantity: int | None = None) -> list[Window]:
        """Every window that is as good as the best there is; none if none fits."""
        found = sorted(self._windows(wanted, quantity or wanted.quantity))
        return [window for window in found if window[:2] == found[0][:2]]

    def largest(self, wanted: BestSelection) -> int:
        """The largest party, smaller than this one, that fits side by side."""
        sizes = range(wanted.quantity - 1, 0, -1)
        return next((size for size in sizes if self.best(wanted, size)), 0)

    def row_of(self, seat: str) -> tuple[str, int, int]:
        """Section, position of the row in it, and place in the row."""
        for row in self.rows:
            for place, known in enumerate(row.seats):
                if known.id == seat:
                    return row.section, row.position, place
        raise LookupError(seat)

    def may_give(self, wanted: BestSelection, row: Row, place: int) -> bool:
        """Whether a seat is free, and of those that are asked for."""
        seat = row.seats[place]
        asked = (
            (not wanted.category_ids or seat.category in wanted.category_ids)
            and (not wanted.section_ids or row.section in wanted.section_ids)
            and (
                wanted.price_max_minor is None
                or self.prices[seat.category] <= wanted.price_max_minor
            )
        )
        is_plain = not (seat.accessible or seat.companion_of)
        is_seen = wanted.restricted_view or not seat.restricted_view
        return row.letters[place] == "a" and asked and is_plain and is_seen

    def _windows(self, wanted: BestSelection, quantity: int) -> Iterator[Window]:
        for row in self.rows:
            for first in range(len(row.seats) - quantity + 1):
                places = range(first, first + quantity)
                if all(self.may_give(wanted, row, place) for place in places):
                    yield Window(
                        leaves_single=self.avoids_single and _leaves_single(row.letters, places),
                        score=(
                            sum(row.qualities[place] for place in places),
                            abs(2 * first + quantity - len(row.seats)),
                        ),
                        seats=tuple(row.seats[place].id for place in places),
                    )


def _leaves_single(letters: str, taken: Collection[int]) -> bool:
    """Whether a free seat has no free seat beside it any more that had one before."""

    def is_free(place: int) -> bool:
        return 0 <= place < len(letters) and letters[place] == "a"

    def is_left(place: int) -> bool:
        return is_free(place) and place not in taken

    return any(
        is_left(place)
        and not is_left(place - 1)
        and not is_left(place + 1)
        and (is_free(place - 1) or is_free(place + 1))
        for place in range(len(letters))
    )
