"""The reconciler, an agent (`engine reconcile --every`): compares every event, round by round.

A round: started -> each event compared and its gauges set -> ended as `clean`, `differences` or
`failed`. A round is spread over half of its interval, because each check reads a whole event and
blocks Redis for that moment. When a server is away the round fails, and the next one starts as
scheduled. The rounds only report; `engine reconcile --repair` repairs.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Iterable

from engine import Engine, invariants, logs
from engine.agent import DAMAGED, Agent
from engine.ids import EventId
from engine.metrics import metrics
from persistence.database import FAILURES, Pool
from persistence.reconcile import comparison
from persistence.reconcile.reconciler import LAG_MS, find_events, reconcile_each
from persistence.reconcile.report import EventReport

_log = logs.get("reconciler")


class Rounds(Agent):
    """Runs until it is stopped; only reads, and may be killed at any moment."""

    name = "reconciler"

    def __init__(self, engine: Engine, pool: Pool, every_s: float) -> None:
        super().__init__(engine)
        self._pool = pool
        self._every_s = every_s
        self._differences = metrics.PerEvent(metrics.differences)
        self._violations = metrics.PerEvent(metrics.violations)
        for kind in (*comparison.KINDS, *invariants.KINDS):
            metrics.differences_found.labels(kind)

    def _loops(self) -> Iterable[Coroutine[None, None, None]]:
        return (self._run_rounds(),)

    async def run_once(self, spread_s: float = 0.0) -> str:
        """Compare every event, over about so many seconds: `clean`, `differences` or `failed`."""
        began = time.monotonic()
        reports: list[EventReport] = []
        unreadable: list[EventId] = []
        try:
            events = await find_events(self._engine, self._pool)
            for event in events:
                await self._pause(spread_s / len(events))
                try:
                    reports.append(await self._compare(event))
                except DAMAGED:  # what no release has written; the others go on
                    _log.exception("event_not_compared", event_id=event)
                    unreadable.append(event)
        except FAILURES as error:
            return _ended("failed", reports, began, why=repr(error))
        if unreadable:
            return _ended("failed", reports, began, why=f"not compared: {', '.join(unreadable)}")
        self._differences.keep(events)
        self._violations.keep(events)
        metrics.reconcile_last_run.set_to_current_time()
        return _ended("differences" if any(map(_standing, reports)) else "clean", reports, began)

    async def _compare(self, event: EventId) -> EventReport:
        """Compare one event. Entries the writer has not written yet are lag, not a difference."""
        backlog = await self._engine.journal.backlog(event)
        behind_ms = backlog.now_ms - backlog.oldest_ms if backlog.oldest_ms else 0
        each = reconcile_each(self._engine, self._pool, [event], lag_ms=LAG_MS + behind_ms)
        [report] = [one async for one in each]
        found = Counter(
            (one.is_violation, one.kind) for one in report.differences if one.repaired is None
        )
        for kind in comparison.KINDS:
            self._differences.set(event, found[False, kind], kind)
        for kind in invariants.KINDS:
            self._violations.set(event, found[True, kind], kind)
        return report

    async def _run_rounds(self) -> None:
        clock = asyncio.get_running_loop().time
        spread_s = 0.0  # the first round ends soon, so that a start shows its findings
        while not self._stopping.is_set():
            next_s = clock() + self._every_s
            await self.run_once(spread_s)
            spread_s = self._every_s / 2
            await self._pause(next_s - clock())


def _standing(report: EventReport) -> bool:
    return any(difference.repaired is None for difference in report.differences)


def _ended(outcome: str, reports: list[EventReport], began: float, **more: str) -> str:
    """Count a round and log its outcome in one line."""
    metrics.reconcile_runs.labels(outcome).inc()
    log = _log.info if outcome == "clean" else _log.warning
    log(
        "round_ended",
        outcome=outcome,
        events=len(reports),
        differences=sum(len(report.differences) for report in reports),
        in_flight=sum(report.in_flight_count for report in reports),
        seconds=round(time.monotonic() - began, 2),
        **more,
    )
    return outcome
