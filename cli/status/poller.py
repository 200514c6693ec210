"""One look at everything `engine status` shows, again and again, through any outage of Redis.

A look that fails is not the end: what was seen last stays, with since when and why nothing newer
came. The screen, the lines and the JSON are three ways to show the same `Looked`.
"""

import asyncio
import dataclasses
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from cli.status.pulse import Pulse, PulseReader
from cli.status.rates import Course, Snapshot
from cli.status.refusal_counts import RefusalCounts
from cli.status.sections import HouseReader, SectionCounts
from engine.engine import Engine
from engine.errors import EngineError, EventNotFound, Refused, Unavailable
from engine.ids import EventId

PARTS = ("expirer", "writer", "deliverer")
NEEDED_PARTS = ("expirer", "writer")
LOOK_S = 2.0
"""A look that takes longer counts as failed: a stopped Redis must not stop the screen."""


@dataclass(frozen=True, slots=True)
class EventSnapshot:
    """One event as it was seen last, and how it went until then."""

    pulse: Pulse
    course: Course
    sections: Sequence[SectionCounts]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Since when (Unix seconds, this machine's clock) nothing newer is known, and why.

    `kind` is `redis_away`, or `refused` where Redis answers that there is no such event any more.
    """

    kind: str
    since_s: float
    why: str


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """What is known now. `refusals` None: no API's counters were found."""

    at_s: float = 0.0
    events: dict[EventId, EventSnapshot] = field(default_factory=dict)
    parts: dict[str, bool] = field(default_factory=dict)
    refusals: dict[str, int] | None = None
    trouble: Trouble | None = None


@dataclass(slots=True)
class _Watched:
    pulse: PulseReader
    house: HouseReader
    course: Course = field(default_factory=Course)


class StatusPoller:
    """Looks at one event, or at every event there is."""

    def __init__(
        self, engine: Engine, refusals: RefusalCounts, chosen: EventId | None, *, house: bool
    ) -> None:
        self._engine = engine
        self._refusals = refusals
        self._chosen = chosen
        self._with_house = house
        self._watched: dict[EventId, _Watched] = {}
        self._looked = StatusSnapshot()

    async def look(self) -> StatusSnapshot:
        """Look now. Raises: EventNotFound, Unavailable, OutcomeUnknown."""
        refusals = await self._refusals.read()
        try:
            async with asyncio.timeout(LOOK_S):
                parts = await self._engine.parts_running(PARTS)
                seen = await self._look_at_events(refusals)
        except TimeoutError as error:
            raise Unavailable(f"Redis does not answer within {LOOK_S:.0f} s") from error
        self._looked = StatusSnapshot(time.time(), seen, parts, refusals)
        return self._looked

    async def look_again(self) -> StatusSnapshot:
        """As `look`, but what went wrong is told in the answer, beside what was seen last."""
        started_s, last = time.time(), self._looked
        try:
            return await self.look()
        except EngineError as error:
            kind = "refused" if isinstance(error, Refused) else "redis_away"
            since_s = last.trouble.since_s if last.trouble else started_s
            trouble = Trouble(kind, since_s, str(error))
            self._looked = dataclasses.replace(last, at_s=time.time(), trouble=trouble)
            return self._looked

    async def _look_at_events(
        self, refusals: dict[str, int] | None
    ) -> dict[EventId, EventSnapshot]:
        if self._chosen:
            return {self._chosen: await self._look_at(self._chosen, refusals)}
        seen = {}
        for event in await self._engine.events.list_events():
            with suppress(EventNotFound):  # listed, but its load broke off or is not done
                seen[event] = await self._look_at(event, refusals)
        return seen

    async def _look_at(self, event: EventId, refusals: dict[str, int] | None) -> EventSnapshot:
        watched = self._watched.get(event)
        if watched is None:
            watched = _Watched(PulseReader(self._engine, event), HouseReader(self._engine, event))
            self._watched[event] = watched
        pulse = await watched.pulse.look()
        sections = await watched.house.look() if self._with_house else []
        watched.course.begin(pulse.since_ms)
        watched.course.add(Snapshot(pulse.now_ms, pulse.totals, refusals), pulse.late_ms)
        return EventSnapshot(pulse, watched.course, sections)
