"""Which of the available seats a customer is shown: everybody starts somewhere else.

A walk begins at one free seat taken by chance from all of them, goes up the map and once around.
The seats of one answer are neighbours as far as there are any, so a group can sit together, and
two customers rarely meet. The cursor says where the walk began and where it goes on, so its pages
show every seat that stays free exactly once. Searching and counting are the string's own, in C.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import NamedTuple

from engine.models import Layout

Runs = Sequence[tuple[int, int]]
"""Stretches of the map, from and up to an index."""

_dice = Random()  # noqa: S311 - to spread customers, not to keep a secret
_THROWS = 8
_KEPT_MAX = 256
_kept: dict[tuple[str, str, str], Runs] = {}


class Walk(NamedTuple):
    """Where a walk began and where it goes on."""

    start: int
    position: int

    @classmethod
    def parse(cls, text: str) -> "Walk":
        """Read `<start>.<position>`. Raises ValueError."""
        start, _, position = text.partition(".")
        if not (start.isdecimal() and position.isdecimal() and len(text) <= 20):
            raise ValueError("not a place in a walk")
        return cls(int(start), int(position))

    def __str__(self) -> str:
        return f"{self.start}.{self.position}"


def begin(letters: str, runs: Runs) -> Walk:
    """Begin at one of the free seats of the runs, each as likely as any other.

    While many are free a few throws find one; when few are, they are counted.
    """
    lengths = [high - low for low, high in runs]
    for low, high in _dice.choices(runs, lengths, k=_THROWS) if runs else ():
        index = _dice.randrange(low, high)
        if letters[index : index + 1] == "a":
            return Walk(index, index)
    counts = [letters.count("a", low, high) for low, high in runs]
    nth = _dice.randrange(sum(counts) or 1)
    for (low, high), count in zip(runs, counts, strict=True):
        if nth < count:
            index = _nth_free(letters, nth, low, high)
            return Walk(index, index)
        nth -= count
    return Walk(0, 0)


def page(letters: str, runs: Runs, walk: Walk, limit: int) -> tuple[list[int], Walk | None]:
    """The next free seats of a walk, by index, and where it goes on; None at its end."""
    found = list(islice(_free(letters, runs, walk), limit + 1))
    rest = Walk(walk.start, found[limit]) if len(found) > limit else None
    return found[:limit], rest


def runs_of(layout: Layout, section: str, category: str) -> Runs:
    """Where the seats of one section and category stand; "" as either: of all."""
    known = ("", *(part.id for part in layout.sections))
    if section not in known or category not in ("", *(kind.id for kind in layout.categories)):
        return []
    key = (layout.version, section, category)
    runs = _kept.get(key)
    if runs is None:
        runs = _kept[key] = _find_runs(layout, section, category)
        if len(_kept) > _KEPT_MAX:
            del _kept[next(iter(_kept))]
    return runs


def _find_runs(layout: Layout, section: str, category: str) -> Runs:
    runs: list[tuple[int, int]] = []
    rows = [row for part in layout.sections if section in ("", part.id) for row in part.rows]
    for row in sorted(rows, key=lambda row: row.index):
        for index, seat in enumerate(row.seats, row.index):
            if category not in ("", seat.category):
                continue
            separator = 1 if index == row.index else 0  # one `/` stands between two rows
            if runs and index - runs[-1][1] <= separator:
                runs[-1] = (runs[-1][0], index + 1)
            else:
                runs.append((index, index + 1))
    return runs


def _free(letters: str, runs: Runs, walk: Walk) -> Iterator[int]:
    start, position = walk
    spans = [(position, len(letters)), (0, start)] if position >= start else [(position, start)]
    for low, high in spans:
        for run_low, run_high in runs:
            index, end = max(low, run_low), min(high, run_high)
            while (index := letters.find("a", index, end)) >= 0:
                yield index
                index += 1


def _nth_free(letters: str, nth: int, low: int, high: int) -> int:
    while high - low > 1:
        middle = (low + high) // 2
        left = letters.count("a", low, middle)
        if nth < left:
            high = middle
        else:
            nth, low = nth - left, middle
    return low
