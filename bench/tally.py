"""What buyers lived through in a war: counts, response times, and a receipt for every payment.

Every response time is kept, to the microsecond: locust's own statistics round them, and a war of
minutes fits in a few megabytes. A refusal (the engine's "no") is not a failure; everything that
is neither an answer nor a refusal is.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import msgspec
from msgspec import Struct

REFUSALS = (409, 410, 429)
"""Statuses by which the API says "no" to a request that is in order."""


class Answer(NamedTuple):
    """What came back. Status 0: nothing did."""

    status: int
    body: bytes
    ms: float

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300


class Receipt(Struct, frozen=True):
    """A confirmation that was answered 200: from now on the places are the buyer's."""

    booking_id: str
    seats: tuple[str, ...]
    areas: dict[str, int]


class Latency(Struct, frozen=True):
    """Response times of one kind of call, in milliseconds."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class Summary(Struct, frozen=True, kw_only=True):
    """A war as its buyers saw it. `confirmed_places` counts seats and standing places."""

    seconds: float
    request_count: int
    attempt_count: int
    held_count: int
    confirmed_count: int
    confirmed_places: int
    released_count: int
    abandoned_count: int
    refusals: dict[str, int]
    failures: dict[str, int]
    latencies: dict[str, Latency]


class _Problem(Struct):
    code: str


class Tally:
    """Counts what happens in one process."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.abandoned_count = 0
        self._answered: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._ms: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))

    def add(self, call: str, answer: Answer) -> str:
        """Count one call. Returns the code of its refusal or failure, "" for a success."""
        self._ms[call if answer.ok else f"{call} refused"].append(answer.ms)
        if answer.ok:
            self._answered[call] += 1
            return ""
        code = _code_of(answer)
        if answer.status in REFUSALS:
            self._refusals[code] += 1
        else:
            self.fail(f"{call}: {answer.status} {code}" if answer.status else f"{call}: {code}")
        return code

    def fail(self, what: str) -> None:
        """Count a failure."""
        self._failures[what] += 1

    def summary(self, seconds: float) -> Summary:
        """What has been counted in that time."""
        places = sum(len(paid.seats) + sum(paid.areas.values()) for paid in self.receipts)
        return Summary(
            seconds=seconds,
            request_count=sum(len(times) for times in self._ms.values()),
            attempt_count=len(self._ms["hold"]) + len(self._ms["hold refused"]),
            held_count=self._answered["hold"],
            confirmed_count=self._answered["confirm"],
            confirmed_places=places,
            released_count=self._answered["release"],
            abandoned_count=self.abandoned_count,
            refusals=dict(self._refusals.most_common()),
            failures=dict(self._failures.most_common()),
            latencies={call: latency_of(ms) for call, ms in sorted(self._ms.items()) if ms},
        )


def latency_of(times_ms: Sequence[float]) -> Latency:
    """The response times of at least one call, in a few figures."""
    ordered = sorted(times_ms)
    p50, p99 = percentile(ordered, 50), percentile(ordered, 99)
    return Latency(len(ordered), round(p50, 3), round(p99, 3), round(ordered[-1], 3))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The least value that `percent` of all are not above (nearest rank)."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def _code_of(answer: Answer) -> str:
    if not answer.status:
        return answer.body.decode()
    try:
        return msgspec.json.decode(answer.body, type=_Problem).code
    except msgspec.MsgspecError:
        return "no code"
