"""Refusals by event and code, for `engine status EVENT`.

The label is bounded: the first EVENTS_MAX events that refuse something in this process get series
of their own, the others share the event "". A call for an unknown event registers no event, so a
client cannot fill the label with invented ids. Successful calls are not counted here.
"""

import asyncio
from collections import Counter as Numbers

from engine.metrics import metrics

EVENTS_MAX = 100
_UNPROVEN = ("event_not_found", "rate_limited")
"""Codes that do not prove that the event exists."""


class RefusalCounter:
    """Counts refusals, those of one event-loop tick together: see `per_tick`."""

    def __init__(self) -> None:
        self._events: set[str] = set()
        self._counts: Numbers[tuple[str, str]] = Numbers()

    def add(self, event: str, code: str) -> None:
        """Add one refusal. It needs a running event loop."""
        if not self._counts:
            asyncio.get_running_loop().call_soon(self._count)
        self._counts[event, code] += 1

    def _count(self) -> None:
        counts, self._counts = self._counts, Numbers()
        for (event, code), number in counts.items():
            metrics.refusals.labels(self._label(event, code), code).inc(number)

    def _label(self, event: str, code: str) -> str:
        if event in self._events:
            return event
        if not event or code in _UNPROVEN or len(self._events) >= EVENTS_MAX:
            return ""
        self._events.add(event)
        return event
