"""Rates from totals: pure arithmetic over samples.

Samples contain totals rather than increments: a failed or late poll loses nothing, because the next
one spans the gap. The clock is Redis' own, as in the journal.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from msgspec import Struct

HISTORY_POLLS = 120
DELAYS_MS = 60_000
"""How long a release counts as recent."""

KINDS = {
    "holds": "seats_held",
    "confirms": "booking_confirmed",
    "expired": "booking_expired",
    "released": "booking_released",
}
"""What is shown, and the kind of journal entry that counts it."""


@dataclass(frozen=True, slots=True)
class RateSample:
    """Totals at one instant: journal entries by kind, refusals by code (None: not known)."""

    at_ms: int
    totals: Mapping[str, float]
    refusals: Mapping[str, int] | None = None


class Rates(Struct, frozen=True):
    """Per second, of bookings, not places. `refusals` None: not known."""

    holds: float = 0.0
    confirms: float = 0.0
    expired: float = 0.0
    released: float = 0.0
    refusals: float | None = None


class ReleaseDelay(Struct, frozen=True):
    """From deadline to release, of the bookings that expired in the last minute."""

    count: int
    median_ms: int
    max_ms: int


def rates_between(before: RateSample, after: RateSample) -> Rates:
    """The rates from one sample to the next; 0 if no time passed."""
    found = {
        name: _rate(after.totals.get(kind, 0) - before.totals.get(kind, 0), before, after)
        for name, kind in KINDS.items()
    }
    refused = refusal_rates(before, after)
    return Rates(**found, refusals=None if refused is None else sum(refused.values()))


def refusal_rates(before: RateSample, after: RateSample) -> dict[str, float] | None:
    """Refusals per second by code; None unless both samples have them.

    A counter that went down was reset: its process has restarted.
    """
    if before.refusals is None or after.refusals is None:
        return None
    rates = {}
    for code, count in after.refusals.items():
        known = before.refusals.get(code, 0)
        rates[code] = _rate(count - known if count >= known else count, before, after)
    return rates


def _rate(count: float, before: RateSample, after: RateSample) -> float:
    elapsed_ms = after.at_ms - before.at_ms
    return max(0.0, count) * 1000 / elapsed_ms if elapsed_ms > 0 else 0.0


@dataclass(slots=True)
class Course:
    """The recent past of one event: rates of each poll, and release delays."""

    history: deque[Rates] = field(default_factory=lambda: deque(maxlen=HISTORY_POLLS))
    refusals: Mapping[str, float] | None = None
    _last: RateSample | None = None
    _delays: deque[tuple[int, int]] = field(default_factory=deque)

    @property
    def rates(self) -> Rates:
        """Since the previous poll."""
        return self.history[-1] if self.history else Rates()

    def begin(self, since_ms: int) -> None:
        """Set the start of the first interval; later calls change nothing."""
        self._last = self._last or RateSample(since_ms, {})

    def add(self, now: RateSample, late_ms: Iterable[int] = ()) -> None:
        """Add a sample, and the delay of each booking that expired since the last one."""
        if self._last is not None:
            self.history.append(rates_between(self._last, now))
            self.refusals = refusal_rates(self._last, now)
        self._last = now
        self._delays.extend((now.at_ms, late) for late in late_ms)
        while self._delays and self._delays[0][0] < now.at_ms - DELAYS_MS:
            self._delays.popleft()

    def release_delay(self) -> ReleaseDelay | None:
        """Of the last minute; None if nothing expired."""
        late = [delay for _, delay in self._delays]
        return ReleaseDelay(len(late), round(median(late)), max(late)) if late else None
