"""The figures of the buyers: counts, response times, a receipt for every sale, and every charge.

Every response time is kept, to the microsecond: locust's own statistics round them, and a war of
minutes fits in a few megabytes. A refusal (the engine's "no") and a rejection (load shedding, the
request is sent again) are no failures; everything else that is not an answer is.
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


OVERLOADED = "overloaded"
"""The code of a request that load shedding rejected: nothing was tried."""

UNCHANGED = 304
"""The status when the client has the current version (If-None-Match)."""


class BuyerAnswer(NamedTuple):
    """What came back. Status 0: nothing did. `at_s`: when it was asked, since the war began."""

    status: int
    body: bytes
    ms: float
    tag: str = ""
    at_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300 or self.status == UNCHANGED


class Receipt(Struct, frozen=True):
    """A confirmation that was answered 200: from now on the places are the buyer's."""

    booking_id: str
    seats: tuple[str, ...]
    areas: dict[str, int]


class Party(Struct, frozen=True):
    """A hold whose places the engine chose: how many were asked for, and what it said of them."""

    booking_id: str
    quantity: int
    seats: tuple[str, ...]
    areas: dict[str, int]
    together: str


class Charge(Struct, frozen=True, rename="camel"):
    """A payment that the provider took and the API has acknowledged."""

    booking_id: str
    payment_id: str
    amount_minor: int
    currency: str


class Spread(Struct, frozen=True):
    """Times of one kind, in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class Summary(Struct, frozen=True, kw_only=True):
    """A war as its buyers saw it. `confirmed_places` counts seats and standing places.

    `success_count` counts what was answered as asked, `rejected_count` what load shedding rejected,
    `server_error_count` other 5xx, `unanswered_count` connections that failed or broke. `failures`
    names those two, and all no buyer should ever see.
    `busiest_second_count`: attempts to hold within one second. `overall` is over `latencies`.
    `notices` counts the notices of the payment provider by their outcome, `parties` those whose
    places the engine chose by how they sit.
    """

    seconds: float
    request_count: int
    success_count: int
    rejected_count: int
    server_error_count: int
    unanswered_count: int
    attempt_count: int
    busiest_second_count: int
    held_count: int
    confirmed_count: int
    confirmed_places: int
    released_count: int
    abandoned_count: int
    refusals: dict[str, int]
    failures: dict[str, int]
    notices: dict[str, int]
    parties: dict[str, int]
    overall: Spread
    latencies: dict[str, Spread]


class _Problem(Struct):
    code: str


class Tally:
    """Counts what happens in one process."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.charges: dict[str, Charge] = {}
        self.parties: list[Party] = []
        self.abandoned_count = 0
        self._answered: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._attempts: Counter[int] = Counter()
        self._refusals: Counter[str] = Counter()
        self._rejected_count = 0
        self._failures: Counter[str] = Counter()
        self._notices: Counter[str] = Counter()
        self._ms: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))

    def add(self, call: str, answer: BuyerAnswer) -> str:
        """Count one call. Returns the code of what went wrong, "" for a success."""
        self._statuses[answer.status] += 1
        if call == "hold":
            self._attempts[int(answer.at_s)] += 1
        if answer.ok:
            unchanged = answer.status == UNCHANGED
            self._ms[f"{call} unchanged" if unchanged else call].append(answer.ms)
            self._answered[call] += 1
            return ""
        self._ms[f"{call} refused"].append(answer.ms)
        code = _code_of(answer)
        if answer.status in REFUSALS:
            self._refusals[code] += 1
        elif code == OVERLOADED:
            self._rejected_count += 1
        else:
            self.fail(f"{call}: {answer.status} {code}" if answer.status else f"{call}: {code}")
        return code

    def fail(self, what: str) -> None:
        """Count a failure."""
        self._failures[what] += 1

    def add_notice(self, outcome: str, charge: Charge | None) -> None:
        """Count a notice that was acknowledged; keep the charge that it reported, if it did."""
        self._notices[outcome] += 1
        if charge:
            self.charges[charge.payment_id] = charge

    def summary(self, seconds: float) -> Summary:
        """What has been counted in that time."""
        errors_5xx = sum(n for status, n in self._statuses.items() if status >= 500)
        places = sum(len(paid.seats) + sum(paid.areas.values()) for paid in self.receipts)
        return Summary(
            seconds=seconds,
            request_count=self._statuses.total(),
            success_count=self._answered.total(),
            rejected_count=self._rejected_count,
            server_error_count=errors_5xx - self._rejected_count,
            unanswered_count=self._statuses[0],
            attempt_count=self._attempts.total(),
            busiest_second_count=max(self._attempts.values(), default=0),
            held_count=self._answered["hold"],
            confirmed_count=len(self.receipts),
            confirmed_places=places,
            released_count=self._answered["release"],
            abandoned_count=self.abandoned_count,
            refusals=dict(self._refusals.most_common()),
            failures=dict(self._failures.most_common()),
            notices=dict(self._notices.most_common()),
            parties=dict(Counter(party.together for party in self.parties).most_common()),
            overall=spread_of([ms for times in self._ms.values() for ms in times]),
            latencies={call: spread_of(ms) for call, ms in sorted(self._ms.items())},
        )


def spread_of(times_ms: Sequence[float]) -> Spread:
    """Times in a few figures; all 0 if there are none."""
    ordered = sorted(times_ms) or [0.0]
    ranks = (percentile(ordered, percent) for percent in (50, 95, 99, 100))
    return Spread(len(times_ms), *(round(value, 3) for value in ranks))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The least value that `percent` of all are not above (nearest rank)."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def _code_of(answer: BuyerAnswer) -> str:
    if not answer.status:
        return answer.body.decode()
    try:
        return msgspec.json.decode(answer.body, type=_Problem).code
    except msgspec.MsgspecError:
        return "no code"
