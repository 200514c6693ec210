"""Picks the available seats of a response, from a random start, so that customers rarely collide.

A walk starts at a random free seat, goes up the map, wraps around and ends where it started. The
seats of one page are neighbours where possible, so that a group can sit together. The cursor holds
the start and the position of the walk, so its pages list every seat that stays free exactly once.
Searching and counting use `str.find` and `str.count`, which run in C.
"""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import NamedTuple

from engine.models import Layout

Runs = Sequence[tuple[int, int]]
"""Ranges of the map: first index, and the index after the last."""

_random = Random()  # noqa: S311 - to spread customers, not for a secret
_TRIES = 8
_CACHED_MAX = 256
_cache: dict[tuple[str, str, str], Runs] = {}


class Walk(NamedTuple):
    """The start of a walk, and the index of the next seat."""

    start: int
    position: int

    @classmethod
    def parse(cls, text: str) -> "Walk":
        """Read `<start>.<position>`. Raises ValueError."""
        start, _, position = text.partition(".")
        if not (start.isdecimal() and position.isdecimal() and len(text) <= 20):
            raise ValueError("not a cursor of this list")
        return cls(int(start), int(position))

    def __str__(self) -> str:
        return f"{self.start}.{self.position}"


def begin(letters: str, runs: Runs) -> Walk:
    """Start at a random free seat of the runs, each with the same probability.

    While many seats are free, a few random tries find one. Otherwise the free seats are counted.
    """
    lengths = [high - low for low, high in runs]
    for low, high in _random.choices(runs, lengths, k=_TRIES) if runs else ():
        index = _random.randrange(low, high)
        if letters[index : index + 1] == "a":
            return Walk(index, index)
    counts = [letters.count("a", low, high) for low, high in runs]
    nth = _random.randrange(sum(counts) or 1)
    for (low, high), count in zip(runs, counts, strict=True):
        if nth < count:
            index = _nth_free(letters, nth, low, high)
            return Walk(index, index)
        nth -= count
    return Walk(0, 0)


def page(letters: str, runs: Runs, walk: Walk, limit: int) -> tuple[list[int], Walk | None]:
    """The indexes of the next free seats of a walk, and the rest of the walk; None at its end."""
    found = list(islice(_free(letters, runs, walk), limit + 1))
    rest = Walk(walk.start, found[limit]) if len(found) > limit else None
    return found[:limit], rest


async def runs_of(layout: Layout, section: str, category: str) -> Runs:
    """The runs of one section and category; "" stands for all of them.

    Found in a thread, because every seat is looked at, and cached.
    """
    sections = ["", *(one.id for one in layout.sections)]
    categories = ["", *(one.id for one in layout.categories)]
    if section not in sections or category not in categories:
        return []
    key = (layout.version, section, category)
    runs = _cache.get(key)
    if runs is None:
        runs = _cache[key] = await asyncio.to_thread(_find_runs, layout, section, category)
        if len(_cache) > _CACHED_MAX:
            del _cache[next(iter(_cache))]
    return runs


def _find_runs(layout: Layout, section: str, category: str) -> Runs:
    runs: list[tuple[int, int]] = []
    rows = [row for one in layout.sections if section in ("", one.id) for row in one.rows]
    for row in sorted(rows, key=lambda row: row.index):
        for index, seat in enumerate(row.seats, row.index):
            if category not in ("", seat.category):
                continue
            separator = 1 if index == row.index else 0  # a `/` separates two rows
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
