"""Polls all that `engine status` shows, also while Redis is unavailable.

A failed poll keeps the last values, with the time and the reason of the failure. The screen, the
lines and the JSON are three views of the same `StatusSnapshot`.
"""

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cli.status.pulse import Pulse, PulseReader
from cli.status.rates import Course, RateSample
from cli.status.refusal_counts import RefusalCounts, RefusalsByEvent, of_all, of_event
from cli.status.sections import SectionCounts, SectionReader
from engine.agent import DAMAGED
from engine.engine import Engine
from engine.errors import (
    EngineError,
    EventNotFound,
    Malformed,
    Refused,
    Unavailable,
)
from engine.ids import EventId

PARTS = ("expirer", "writer", "deliverer", "reconciler")
NEEDED_PARTS = ("expirer", "writer")
POLL_TIMEOUT_S = 2.0
"""A slower poll counts as failed, so that a stopped Redis does not stop the screen."""


@dataclass(frozen=True, slots=True)
class EventSnapshot:
    """The last known state of one event, and its recent past. `refusals` None: not known."""

    pulse: Pulse
    course: Course
    sections: Sequence[SectionCounts]
    refusals: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why polls fail, and since when (Unix seconds, this machine's clock).

    `kind` is `redis_away`, `refused` if Redis answers that the event does not exist any more, or
    `malformed` if what it has of the chosen event cannot be read.
    """

    kind: str
    since_s: float
    why: str


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """The last known state. `refusals` are of the chosen event, or of all; None: not known.

    `unreadable`: why an event, of all, could not be read.
    """

    at_s: float = 0.0
    events: dict[EventId, EventSnapshot] = field(default_factory=dict)
    parts: dict[str, bool] = field(default_factory=dict)
    refusals: dict[str, int] | None = None
    trouble: Trouble | None = None
    unreadable: dict[EventId, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Readers:
    """What reads one event, and the course made of it."""

    pulse: PulseReader
    sections: SectionReader
    course: Course = field(default_factory=Course)


class StatusPoller:
    """Polls one event, or every event."""

    def __init__(
        self,
        engine: Engine,
        refusals: RefusalCounts,
        chosen: EventId | None,
        *,
        with_sections: bool,
    ) -> None:
        self._engine = engine
        self._refusals = refusals
        self._chosen = chosen
        self._with_sections = with_sections
        self._readers: dict[EventId, _Readers] = {}
        self._last = StatusSnapshot()

    async def poll(self) -> StatusSnapshot:
        """Poll now. Raises: EventNotFound, Malformed (the chosen event), Unavailable,
        OutcomeUnknown.
        """
        refusals = await self._refusals.read()
        try:
            async with asyncio.timeout(POLL_TIMEOUT_S):
                parts = await self._engine.parts_running(PARTS)
                events, unreadable = await self._poll_events(refusals)
        except TimeoutError as error:
            raise Unavailable(f"Redis does not answer within {POLL_TIMEOUT_S:.0f} s") from error
        shown = of_event(refusals, self._chosen) if self._chosen else of_all(refusals)
        self._last = StatusSnapshot(time.time(), events, parts, shown, unreadable=unreadable)
        return self._last

    async def try_poll(self) -> StatusSnapshot:
        """As `poll`, but a failure is returned as `trouble`, with the last known values."""
        started_s, last = time.time(), self._last
        try:
            return await self.poll()
        except EngineError as error:
            kind = error.code if isinstance(error, Malformed) else "redis_away"
            kind = "refused" if isinstance(error, Refused) else kind
            since_s = last.trouble.since_s if last.trouble else started_s
            trouble = Trouble(kind, since_s, str(error))
            self._last = dataclasses.replace(last, at_s=time.time(), trouble=trouble)
            return self._last

    async def _poll_events(
        self, refusals: RefusalsByEvent | None
    ) -> tuple[dict[EventId, EventSnapshot], dict[EventId, str]]:
        """The events, and why others cannot be read."""
        if self._chosen:
            return {self._chosen: await self._poll_event(self._chosen, refusals)}, {}
        found, unreadable = {}, {}
        for event in await self._engine.events.list_events():
            try:
                found[event] = await self._poll_event(event, refusals)
            except EventNotFound:
                continue  # listed, but its load has failed or is not complete
            except Malformed as error:
                unreadable[event] = str(error)
        return found, unreadable

    async def _poll_event(self, event: EventId, refusals: RefusalsByEvent | None) -> EventSnapshot:
        try:
            return await self._read_event(event, refusals)
        except DAMAGED as error:
            raise Malformed(f"{event}: cannot be read: {error!r}") from error

    async def _read_event(self, event: EventId, refusals: RefusalsByEvent | None) -> EventSnapshot:
        readers = self._readers.get(event)
        if readers is None:
            readers = _Readers(PulseReader(self._engine, event), SectionReader(self._engine, event))
            self._readers[event] = readers
        pulse = await readers.pulse.read()
        sections = await readers.sections.read() if self._with_sections else []
        refused, course = of_event(refusals, event), readers.course
        course.begin(pulse.since_ms)
        course.add(RateSample(pulse.now_ms, pulse.totals, refused), pulse.late_ms)
        return EventSnapshot(pulse, course, sections, refused)
