"""What a part of the benchmark returns: named series, one value a round, and failed checks.

A figure is the median of its rounds and never stands without the least and the greatest beside it:
on a machine that does all at once, the spread says what the median is worth.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec import Struct, field

_Turn = TypeVar("_Turn")

UNITS = ("/s", "ms", "us", "s", "bytes", "count", "share", "ratio")


class BenchOptions(Struct, frozen=True, kw_only=True):
    """How long and how often. `quick` makes everything small: to see that it runs."""

    rounds: int = 5
    seconds: float = 2
    quick: bool = False

    @property
    def api_processes(self) -> tuple[int, ...]:
        """With how many the HTTP parts are measured."""
        return (1,) if self.quick else (1, 2)

    def size(self, full: int, quick: int) -> int:
        """The one for a whole run, the other for a quick one."""
        return quick if self.quick else full


class Series(Struct, frozen=True):
    """One thing that was measured, once a round."""

    id: str
    says: str
    unit: str
    values: list[float]

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        """Of all rounds."""
        return min(self.values)

    @property
    def most(self) -> float:
        """Of all rounds."""
        return max(self.values)


class Chart(Struct, frozen=True, kw_only=True):
    """What to draw: bars, one for each series, or lines of series over `xs`.

    A line is a name and as many ids of series as there are xs.
    """

    name: str
    title: str
    unit: str
    bars: Sequence[str] = ()
    xs: Sequence[float] = ()
    x_says: str = ""
    lines: Mapping[str, Sequence[str]] = {}


class BenchSection(Struct, frozen=True, kw_only=True):
    """One part of the report. `wrong` names all that makes its figures worthless."""

    id: str
    title: str
    what: str
    series: list[Series]
    wrong: list[str]
    charts: list[Chart] = []
    conditions: dict[str, str] = {}
    notes: list[str] = []


class SectionRun(Struct, frozen=True):
    """A section and the run that measured it."""

    at: str
    commit: str
    command: str
    section: BenchSection


class Figures(Struct):
    """Gathers series while a part measures, in the order they are first told."""

    wrong: list[str] = field(default_factory=list)
    _found: dict[str, Series] = field(default_factory=dict)

    def add(self, series_id: str, says: str, unit: str, value: float) -> None:
        """One round's value."""
        if unit not in UNITS:
            raise ValueError(f"{unit!r} is no unit of {UNITS}")
        series = self._found.setdefault(series_id, Series(series_id, says, unit, []))
        series.values.append(round(value, 4))

    @property
    def series(self) -> list[Series]:
        """All of them."""
        return list(self._found.values())

    def rate_of(self, series_id: str) -> float:
        """The last value of a series."""
        return self._found[series_id].values[-1]


def in_turns(turns: Sequence[_Turn], round_number: int) -> list[_Turn]:
    """The turns, rotated by the round: none is always first or last."""
    start = round_number % len(turns)
    return [*turns[start:], *turns[:start]]
