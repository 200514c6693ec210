"""What must be reached, as ratios of medians of one run, and whether it was.

Ratios rather than times: another machine, or the same on another day, is faster or slower on both
sides. A figure that no part measured is told as such and never counts as reached.
"""

from collections.abc import Iterable

from msgspec import Struct

from bench.report.section import BenchSection, Series


class Target(Struct, frozen=True, kw_only=True):
    """A series' median, divided by that of another if one is named, within a bound.

    Without a bound it is only shown, beside one that has one.
    """

    says: str
    of: str
    to: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def bounded(self) -> bool:
        """Whether there is anything to reach."""
        return self.least is not None or self.most is not None

    @property
    def bound(self) -> str:
        """As the page prints it."""
        if not self.bounded:
            return "-"
        return f"≥ {self.least:,g}" if self.least is not None else f"≤ {self.most:,g}"


class TargetVerdict(Struct, frozen=True):
    """A target and what was measured; `measured` None: it was not."""

    target: Target
    measured: float | None
    reached: bool


TARGETS = (
    Target(
        says="hold over HTTP, one worker, AOF always, to the bare endpoint",
        of="hold/always/1", to="hold/bare/1", least=0.55,
    ),
    Target(
        says="hold over HTTP, one worker, AOF everysec, to the bare endpoint",
        of="hold/everysec/1", to="hold/bare/1", least=0.65,
    ),
    Target(
        says="fight for 50 seats (refusals) to the bare endpoint",
        of="fight/engine/1", to="fight/bare/1", least=0.80,
    ),
    Target(
        says="hold + confirm with durability fsync, pairs to the bare endpoint",
        of="pair/fsync/1", to="pair/bare/1", least=0.25,
    ),
    Target(
        says="engine without HTTP at 128 callers, to redis-benchmark 50 x 16 of the same script",
        of="engine/128", to="engine/ceiling", least=0.5,
    ),
    Target(
        says="availability of 50,000 seats to a bare endpoint answering the same bytes",
        of="map/engine", to="map/bare", least=0.85,
    ),
    Target(
        says="availability not changed (304) to a bare 304",
        of="unchanged/engine", to="unchanged/bare", least=0.95,
    ),
    Target(
        says="holds/s to the SET NX + Postgres baseline",
        of="rival/engine", to="rival/seat_locks", least=10,
    ),
    Target(
        says="holds/s to SELECT … FOR UPDATE, as most applications write it",
        of="rival/engine", to="rival/for_update", least=8,
    ),
    Target(
        says="the same to FOR UPDATE as one PL/pgSQL function, its best form",
        of="rival/engine", to="rival/for_update_function",
    ),
    Target(
        says="hold's server time at 1,000,000 seats to 1,000 seats",
        of="growth/seats/1000000", to="growth/seats/1000", most=1.2,
    ),
    Target(
        says="memory per seat, all keys, 50,000 seats free, bytes",
        of="memory/free", most=120,
    ),
    Target(
        says="the same, all sold in bookings of 4",
        of="memory/sold/4_a_booking", most=120,
    ),
    Target(
        says="the slowest search in one category, empty or sold best-first, us",
        of="best/search/plain", most=100,
    ),
    Target(says="the slowest search of all, us", of="best/search/worst", most=600),
    Target(
        says="hold of the best pair to a hold of a picked one, Redis' time, one a call",
        of="best/hold/best/1", to="best/hold/picked/1", most=2,
    ),
    Target(says="the same, 8 a call", of="best/hold/best/8", to="best/hold/picked/8"),
    Target(says="the best above the picked one, 8 a call, us", of="best/above/8", most=70),
    Target(says="sold by parties that ask for the best", of="best/sell-out/sold", least=0.999),
    Target(says="single seats left at 90 % of it", of="best/singles/90", most=0),
    Target(says="memory per seat for the search, bytes", of="best/bytes", most=20),
    Target(
        says="100,000 holds ending at once: all released in, ms",
        of="expiry/100000/max", most=2000,
    ),
    Target(
        says="100,000 holds ending at once: p99 of holds meanwhile, ms",
        of="expiry/100000/hold_p99", most=100,
    ),
    Target(
        says="1,000 ending among 100,000 that do not: p99 delay, ms",
        of="expiry/1000/p99", most=300,
    ),
    Target(says="writer drain, bookings/s, each held (one entry)", of="writer/held", least=15_000),
    Target(says="the same, each sold (two entries)", of="writer/sold", least=15_000),
    Target(says="writer lag p99 in a war, ms", of="writer/lag_p99", most=1000),
    Target(
        says="holds accepted at 3 x the capacity, to the best at any load",
        of="overload/3", to="overload/peak", least=0.8,
    ),
    Target(
        says="a killed Valkey after a long day: ready later than with its data alone, s",
        of="restart/beyond/2000", most=3,
    ),
)  # fmt: skip


def judge(sections: Iterable[BenchSection]) -> list[TargetVerdict]:
    """Each target against what the sections measured."""
    found = {series.id: series for section in sections for series in section.series}
    return [_verdict(target, found) for target in TARGETS]


def _verdict(target: Target, found: dict[str, Series]) -> TargetVerdict:
    measured = _measure(target, found)
    if measured is None:
        return TargetVerdict(target, None, False)
    high_enough = target.least is None or measured >= target.least
    low_enough = target.most is None or measured <= target.most
    return TargetVerdict(target, measured, high_enough and low_enough)


def _measure(target: Target, found: dict[str, Series]) -> float | None:
    if target.of not in found:
        return None
    if not target.to:
        return found[target.of].median
    if target.to not in found or not found[target.to].median:
        return None
    return found[target.of].median / found[target.to].median
