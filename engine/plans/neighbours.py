"""Puts the seats of a row in the order in which they are neighbours, and finds its aisles.

With coordinates, the order is the shortest of: along x, along y, by number, as listed. Along an
axis is right for straight rows, by number for rows that bend around a stage. A gap much wider than
the step of the row is an aisle.

Without coordinates the order is by number: 1, 2, 10. A row listed as its odd and then its even
numbers keeps that order (7 5 3 1 2 4 6 8), because such rows are numbered from the middle.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from math import dist, isfinite
from statistics import median_low

from engine.models import LayoutSeat
from engine.plans.labels import as_read, natural_key

AISLE_STEPS = 1.8
"""A gap of more steps is an aisle: it is as wide as a missing seat. A wheelchair place, 1.4 steps
from its neighbour, stays beside it."""

SHORTER = 0.999
"""An order counts as shorter than one before it only below rounding errors."""

PlacedSeat = tuple[str, LayoutSeat]
"""A seat with its place in the file."""


def runs_of(
    seats: Sequence[PlacedSeat], aisle_after: Collection[str] = ()
) -> list[list[PlacedSeat]]:
    """The seats of a row as runs of neighbours. `aisle_after` has places of the file."""
    points = [_point(seat) for _, seat in seats]
    known = [point for point in points if point]
    if len(known) == len(points) and len(set(known)) > 1:
        ordered = _along_the_row(seats)
        breaks = _wide_gaps(ordered)
    else:
        ordered, breaks = _by_number(seats)
    breaks |= {place for place, (where, _) in enumerate(ordered, 1) if where in aisle_after}
    edges = [0, *sorted(breaks - {len(ordered)}), len(ordered)]
    return [[*ordered[start:end]] for start, end in pairwise(edges)]


def _point(seat: LayoutSeat) -> tuple[float, float] | None:
    if isinstance(seat.x, float) and isinstance(seat.y, float):
        return (seat.x, seat.y) if isfinite(seat.x) and isfinite(seat.y) else None
    return None


def _along_the_row(seats: Sequence[PlacedSeat]) -> Sequence[PlacedSeat]:
    by_number = sorted(seats, key=_number_key)
    along_x = sorted(by_number, key=lambda placed: (placed[1].x, placed[1].y))
    along_y = sorted(by_number, key=lambda placed: (placed[1].y, placed[1].x))
    best: Sequence[PlacedSeat] = along_x
    length = sum(_steps(along_x))
    for order in (along_y, by_number, seats):
        if (other := sum(_steps(order))) < length * SHORTER:
            best, length = order, other
    return best


def _steps(seats: Sequence[PlacedSeat]) -> Iterator[float]:
    points = (_point(seat) or (0.0, 0.0) for _, seat in seats)
    return (dist(one, other) for one, other in pairwise(points))


def _wide_gaps(seats: Sequence[PlacedSeat]) -> set[int]:
    steps = [*_steps(seats)]
    usual = median_low([step for step in steps if step > 0])
    return {place for place, step in enumerate(steps, 1) if step > AISLE_STEPS * usual}


def _by_number(seats: Sequence[PlacedSeat]) -> tuple[Sequence[PlacedSeat], set[int]]:
    numbers = [as_read(seat.number) for _, seat in seats]
    if all(number.isdecimal() and len(number) < 10 for number in numbers):
        switch = _odd_even_switch([int(number) for number in numbers])
        if switch is not None:
            return seats, switch
    return sorted(seats, key=_number_key), set()


def _odd_even_switch(numbers: Sequence[int]) -> set[int] | None:
    """Where a row goes from its odd to its even numbers, or back; None if it is no such row.

    Empty where it does so in the middle of the row: at the lowest of both.
    """
    steps = [abs(other - one) for one, other in pairwise(numbers)]
    odd_steps = [place for place, step in enumerate(steps, 1) if step % 2]
    if len(odd_steps) != 1 or not 2 <= odd_steps[0] <= len(numbers) - 2:
        return None
    place = odd_steps[0]
    if any(step != 2 for step in steps[: place - 1] + steps[place:]):
        return None
    lowest = {min(numbers[:place]), min(numbers[place:])}
    return set() if {numbers[place - 1], numbers[place]} == lowest else {place}


def _number_key(placed: PlacedSeat) -> tuple[tuple[tuple[int, str], ...], str]:
    return natural_key(placed[1].number), as_read(placed[1].number)
