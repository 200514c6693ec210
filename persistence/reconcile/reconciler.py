"""Compares Redis with Postgres, event by event, while both are in use.

A difference is reported only if CHECKS checks in a row find it. Changes in flight have arrived by
then, so neither a lock nor a pause of the sale is needed. A repair counts only after one more
check.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from engine import Engine, keys, logs
from engine.agent import DAMAGED
from engine.errors import EventNotFound, Malformed
from engine.event_state import EventState, read_state
from engine.ids import EventId
from engine.journal import DeadLetter
from engine.metrics import metrics
from engine.models import SalesState
from persistence.database import Pool
from persistence.journal.tables import Store
from persistence.reconcile.comparison import Comparison, Finding
from persistence.reconcile.repair import Tried, key_of, repair_event
from persistence.reconcile.report import Difference, EventReport, ReconcileReport

CHECKS = 3
LAG_MS = 5000
"""How long Postgres may be behind before it is a difference."""

_CHECK_AGAIN_S = 0.1

_log = logs.get("reconciler")


class _Check(NamedTuple):
    """The result of one check of both sides. `state` None: Redis does not have the event."""

    state: EventState | None
    findings: list[Finding]
    in_flight_count: int = 0

    def still(self, earlier: "_Check") -> "_Check":
        """This check without the findings that the earlier check does not have."""
        keys = {key_of(finding) for finding in earlier.findings}
        return self._replace(findings=[found for found in self.findings if key_of(found) in keys])


async def reconcile(
    engine: Engine,
    pool: Pool,
    events: Sequence[EventId] | None = None,
    *,
    repair: bool = False,
    lag_ms: int = LAG_MS,
) -> ReconcileReport:
    """Compare these events or all, and repair if asked to. Raises: EventNotFound."""
    each = reconcile_each(engine, pool, events, repair=repair, lag_ms=lag_ms)
    return ReconcileReport(tuple([report async for report in each]))


async def reconcile_each(
    engine: Engine,
    pool: Pool,
    events: Sequence[EventId] | None = None,
    *,
    repair: bool = False,
    lag_ms: int = LAG_MS,
) -> AsyncIterator[EventReport]:
    """As `reconcile`, but yields each event's report as soon as it is complete."""
    store = Store(pool)
    for event in await find_events(engine, pool, events):
        yield await _BothSides(engine, store, event, lag_ms).reconcile(repair=repair)


async def find_events(
    engine: Engine, pool: Pool, asked: Sequence[EventId] | None = None
) -> list[EventId]:
    """The events to compare, in order: those asked for, or all. Raises: EventNotFound."""
    known = await Store(pool).list_events() | set(await engine.events.list_events())
    unknown = set(asked or ()) - known
    if unknown:
        raise EventNotFound(*sorted(unknown))
    return sorted(known if asked is None else set(asked))


class _BothSides:
    """One event, in Redis and in Postgres."""

    def __init__(self, engine: Engine, store: Store, event: EventId, lag_ms: int) -> None:
        self._engine = engine
        self._store = store
        self._event = event
        self._lag_ms = lag_ms

    async def reconcile(self, *, repair: bool) -> EventReport:
        """Check until certain, repair if asked to, and report."""
        check = await self._check()
        for _ in range(CHECKS - 1):
            if check.findings:
                await asyncio.sleep(_CHECK_AGAIN_S)
                check = (await self._check()).still(check)
        tried: Tried = {}
        standing = check
        if repair and check.findings and check.state:
            tried = await repair_event(self._engine, self._store, check.state, check.findings)
            standing = await self._check()
        return EventReport(
            event_id=self._event,
            bookings_count=len(check.state.bookings) if check.state else 0,
            in_flight_count=check.in_flight_count,
            differences=self._tell(check, tried, {key_of(found) for found in standing.findings}),
        )

    async def _check(self) -> _Check:
        in_postgres = self._event in await self._store.list_events()
        try:
            state = await read_state(self._engine, self._event)
        except EventNotFound:  # never loaded, being loaded, or lost
            detail = "Postgres has the event, and Redis does not"
            gone = Finding("event_missing_in_redis", self._event, detail)
            return _Check(None, [gone] if in_postgres else [])
        except Malformed as error:
            return _Check(None, [Finding("malformed", self._event, str(error), is_violation=True)])
        if state.event.sales == SalesState.RESTORING:
            detail = f"Redis lost some of it, and it is fenced until `engine restore {self._event}`"
            return _Check(None, [Finding("event_behind", self._event, detail)])
        comparison = Comparison(state, self._lag_ms)
        ids = [booking.id for booking in state.bookings.values()]
        async for stored in self._store.stream_bookings(self._event, ids):
            comparison.show(stored)
        comparison.finish()
        findings = comparison.findings + await self._find_dead_letters()
        findings += await self._find_unaccounted({finding.subject for finding in findings})
        if not in_postgres and state.event.loaded_at_ms <= state.now_ms - self._lag_ms:
            detail = "Redis has the event, and Postgres does not"
            findings.append(Finding("event_missing_in_postgres", self._event, detail))
        return _Check(state, findings, len(comparison.in_flight))

    async def _find_dead_letters(self) -> list[Finding]:
        try:
            letters = await self._engine.journal.dead_letters(self._event)
        except DAMAGED as error:
            key = keys.dead_letters(self._event)
            detail = f"{self._event}: the key {key} cannot be read: {error}"
            return [Finding("malformed", key, detail, is_violation=True)]
        return [
            Finding("dead_letter", letter.entry.entry_id, _detail_of(letter), letter=letter)
            for letter in letters
        ]

    async def _find_unaccounted(self, found: set[str]) -> list[Finding]:
        """Payments of Postgres that are neither for places, nor owed, nor back.

        Of a booking that differs otherwise, that is enough: its money follows from it.
        """
        start = len(self._event) + 1
        return [
            Finding("money_differs", booking[start:], detail)
            for booking, detail in await self._store.find_unaccounted(self._event)
            if booking[start:] not in found
        ]

    def _tell(
        self, check: _Check, tried: Tried, standing: set[tuple[str, str]]
    ) -> tuple[Difference, ...]:
        differences = []
        for finding in check.findings:
            detail, repaired = finding.detail, tried.get(key_of(finding))
            if key_of(finding) not in standing:
                repaired = repaired or "repaired along with the others"
            elif repaired:
                detail, repaired = f"{detail}; not repaired: {repaired}", None
            difference = Difference(
                finding.kind, self._event, finding.subject, detail, repaired, finding.is_violation
            )
            differences.append(difference)
            metrics.differences_found.labels(finding.kind).inc()
        _log.debug("reconciled", event_id=self._event, differences=len(differences))
        return tuple(differences)


def _detail_of(letter: DeadLetter) -> str:
    """The booking of a dead letter, and why it was set aside."""
    booking = letter.entry.booking
    of = f"{letter.entry.kind} of {booking.id}: " if booking else ""
    return of + letter.reason
