"""Thresholds as data: a figure of a war, and what it may be at most or must be at least.

A run that was made shorter or smaller is held to counts that are smaller by as much; shares and
times stay as they are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from math import floor

from msgspec import Struct

from bench.war.tally import Spread, Summary

CALLS = ("layout", "look", "hold", "confirm", "notice", "release")
"""What buyers call; each has figures such as `hold_p95_ms`, of those that were not refused."""

FIGURES = {
    "p50_ms": "response time of all calls, refused ones too",
    "p95_ms": "",
    "p99_ms": "",
    **{f"{call}_{rank}_ms": "" for call in CALLS for rank in ("p50", "p95", "p99")},
    "success_share": "calls that were answered as asked, of all",
    "held_share": "attempts to hold that succeeded, of all",
    "rejected_share": "calls that load shedding rejected (503 overloaded), of all calls",
    "failed_share": "5xx, the rejected ones too, and calls without an answer, of all calls",
    "busiest_share": "attempts to hold within the busiest second, of all users",
    "unchanged_share": "looks at the map that had not changed, of all",
    "row_share": "parties side by side in one row, of those whose places the engine chose",
    "requests_per_s": "calls a second, over the whole run",
    "held_count": "bookings held",
    "confirmed_count": "bookings paid",
    "expired_count": "bookings that expired",
    "lag_p50_ms": "how far the writer was behind, looked at twenty times a second",
    "lag_p99_ms": "",
    "lag_max_ms": "",
}
"""Every figure there is."""

BY_PLACES = (
    "held_share",
    "success_share",
    "held_count",
    "confirmed_count",
    "expired_count",
    "requests_per_s",
)
"""Figures that are limited by the number of places for sale."""

BY_TURNOVER = ("held_count", "expired_count")
"""Figures that also grow with how often a place is held again: the inverse of the hold's TTL."""

_FORM = re.compile(r"\s*(\w+)\s*(<=|>=)\s*(\d+(?:\.\d+)?)\s*")


class Bound(Struct, frozen=True):
    """What a figure may be at most, or must be at least."""

    figure: str
    most: float | None = None
    least: float | None = None

    def __str__(self) -> str:
        if self.most is not None:
            return f"{self.figure} <= {self.most:g}"
        return f"{self.figure} >= {self.least:g}"

    def scaled(self, share: float) -> "Bound":
        """The same for a run of that share, 0 to 1, of the whole: counts shrink with it."""
        if self.least is None or not self.figure.endswith("_count"):
            return self
        return Bound(self.figure, least=floor(self.least * share))

    def for_sale(self, places_share: float, turnover_share: float) -> "Bound":
        """The same for an event with that share of the places, and of the turnover of holds.

        The fewer places there are to sell, the fewer bookings and the fewer successes there can be.
        Shares above 1 change nothing.
        """
        if self.least is None or self.figure not in BY_PLACES:
            return self
        share = min(1.0, places_share)
        if self.figure in BY_TURNOVER:
            share *= min(1.0, turnover_share)
        least = self.least * share
        return Bound(self.figure, least=floor(least) if self.figure.endswith("_count") else least)

    def kept_by(self, measured: float) -> bool:
        """Whether a value is within it."""
        if self.most is not None and measured > self.most:
            return False
        return self.least is None or measured >= self.least


class Checked(Struct, frozen=True):
    """A bound, and what was measured."""

    bound: str
    measured: float
    kept: bool


def parse(text: str) -> Bound:
    """Read `p95_ms<=500` or `confirmed_count>=100`. Raises ValueError."""
    found = _FORM.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no bound such as p95_ms<=500 or confirmed_count>=100")
    figure, sign, number = found.groups()
    if figure not in FIGURES:
        raise ValueError(f"there is no figure {figure!r}, only {', '.join(FIGURES)}")
    value = float(number)
    return Bound(figure, most=value) if sign == "<=" else Bound(figure, least=value)


def check(bounds: Sequence[Bound], figures: Mapping[str, float]) -> list[Checked]:
    """Check a war against its bounds. A call that was never made has 0 ms."""
    values = [round(figures.get(bound.figure, 0.0), 4) for bound in bounds]
    return [
        Checked(str(bound), value, bound.kept_by(value))
        for bound, value in zip(bounds, values, strict=True)
    ]


def figures_of(summary: Summary, lag: Spread, expired_count: int, users: int) -> dict[str, float]:
    """The figures of a war of so many users."""
    return {
        **dict(_ranks("", summary.overall)),
        **{
            name: value
            for call in CALLS
            if call in summary.latencies
            for name, value in _ranks(f"{call}_", summary.latencies[call])
        },
        "success_share": _share(summary.success_count, summary.request_count),
        "held_share": _share(summary.held_count, summary.attempt_count),
        "failed_share": _share(
            summary.rejected_count + summary.server_error_count + summary.unanswered_count,
            summary.request_count,
        ),
        "rejected_share": _share(summary.rejected_count, summary.request_count),
        "busiest_share": _share(summary.busiest_second_count, users),
        "unchanged_share": _share(*_looks(summary)),
        "row_share": _share(summary.parties.get("row", 0), sum(summary.parties.values())),
        "requests_per_s": _share(summary.request_count, summary.seconds),
        "held_count": summary.held_count,
        "confirmed_count": summary.confirmed_count,
        "expired_count": expired_count,
        "lag_p50_ms": lag.p50_ms,
        "lag_p99_ms": lag.p99_ms,
        "lag_max_ms": lag.max_ms,
    }


def _ranks(prefix: str, spread: Spread) -> Iterator[tuple[str, float]]:
    yield f"{prefix}p50_ms", spread.p50_ms
    yield f"{prefix}p95_ms", spread.p95_ms
    yield f"{prefix}p99_ms", spread.p99_ms


def _looks(summary: Summary) -> tuple[int, int]:
    """Those that were answered 304, and all."""
    counts = {name: spread.count for name, spread in summary.latencies.items()}
    unchanged = counts.get("look unchanged", 0)
    return unchanged, unchanged + counts.get("look", 0)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
