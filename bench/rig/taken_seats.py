"""Parties as they come, and houses as a sale leaves them: which seats are taken before a search.

A house is a list of taken seats of a layout, always the same. Places that best available gives only
on request (wheelchair places, companions, restricted view) stay free.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random

from engine.models import Layout, LayoutRow, LayoutSeat
from engine.plans.layout import rows_of
from engine.plans.quality import kind_of, qualities

PARTY_SHARES = {1: 10, 2: 45, 3: 10, 4: 22, 5: 4, 6: 6, 7: 3, 8: 1}
"""How many of a hundred parties have so many people, more or less."""

SOLD_PERCENT = (50, 95, 99)
"""Of the houses that are sold best-first, and of those that are scattered."""


def party_size(chance: Random) -> int:
    """As many people as parties usually are."""
    return chance.choices([*PARTY_SHARES], [*PARTY_SHARES.values()])[0]


def general_seats(layout: Layout) -> Iterator[tuple[LayoutRow, int, LayoutSeat]]:
    """Every seat that best available gives to everybody, with its row and its place there."""
    for row in rows_of(layout):
        for place, seat in enumerate(row.seats):
            if kind_of(seat) == "-":
                yield row, place, seat


def best_first(layout: Layout, percent: int) -> list[str]:
    """So many percent of each category are taken, the best seats first."""
    if layout.quality is None:
        raise ValueError("a layout without a quality has no best seats")
    judged = {row.index: qualities(layout.quality, row) for row in rows_of(layout)}
    by_category: dict[str, list[tuple[int, int, str]]] = {}
    for row, place, seat in general_seats(layout):
        found = by_category.setdefault(seat.category, [])
        found.append((judged[row.index][place], row.index + place, seat.id))
    return [
        seat_id
        for seats in by_category.values()
        for _, _, seat_id in sorted(seats)[: len(seats) * percent // 100]
    ]


def scattered(layout: Layout, percent: int) -> list[str]:
    """So many percent are taken, by chance."""
    seats = [seat.id for _, _, seat in general_seats(layout)]
    return Random(percent).sample(seats, len(seats) * percent // 100)


def checkerboard(layout: Layout) -> list[str]:
    """Every second seat of a row is taken: no two are side by side."""
    return [seat.id for _, place, seat in general_seats(layout) if place % 2]


def runs_of_two(layout: Layout) -> list[str]:
    """Every third seat of a row is taken: no three are side by side."""
    return [seat.id for _, place, seat in general_seats(layout) if place % 3 == 2]


def empty(_: Layout) -> list[str]:
    """Nothing is taken."""
    return []


HOUSES: Mapping[str, Callable[[Layout], list[str]]] = {
    "empty": empty,
    **{f"best-first-{percent}": partial(best_first, percent=percent) for percent in SOLD_PERCENT},
    **{f"scattered-{percent}": partial(scattered, percent=percent) for percent in SOLD_PERCENT},
    "checkerboard": checkerboard,
    "runs-of-2": runs_of_two,
}
"""By name, what is taken."""
