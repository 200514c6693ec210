"""`engine reconcile --every`: compares every event again and again, and shows what it finds.

The gauges are set event by event, so a slow or broken event hides no other. A round is spread over
half of its time, as each look reads an event whole and holds Redis up for that moment. Servers
that are away end a round and nothing else: the next one tries again.
"""

import asyncio
import time
from collections import Counter

from engine import Engine, invariants, logs
from engine.errors import EngineError
from engine.ids import EventId
from engine.metrics import metrics
from persistence.database import AWAY, Pool
from persistence.reconcile import comparison
from persistence.reconcile.reconciler import LAG_MS, find_events, reconcile_each
from persistence.reconcile.report import EventReport

PART = "reconciler"
_BEAT_S = 1.0

_log = logs.get(PART)


class Rounds:
    """Runs until it is told to stop; only looks, and may be killed at any moment."""

    def __init__(self, engine: Engine, pool: Pool, every_s: float) -> None:
        self._engine = engine
        self._pool = pool
        self._every_s = every_s
        self._stopping = False
        self._differences = metrics.PerEvent(metrics.differences)
        self._violations = metrics.PerEvent(metrics.violations)
        for kind in (*comparison.KINDS, *invariants.KINDS):
            metrics.differences_found.labels(kind)

    async def run(self, stop: asyncio.Event) -> None:
        """A round every so many seconds, until `stop` is set."""
        tasks = [asyncio.create_task(self._forever()), asyncio.create_task(self._beat())]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping = True
            for task in (*tasks, stopping):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def run_once(self, spread_s: float = 0.0) -> str:
        """Look at every event, over about so many seconds: `clean`, `differences` or `failed`."""
        began = time.monotonic()
        reports: list[EventReport] = []
        try:
            events = await find_events(self._engine, self._pool)
            for event in events:
                await asyncio.sleep(spread_s / len(events))
                reports.append(await self._look(event))
        except (EngineError, *AWAY) as error:
            return _told("failed", reports, began, why=repr(error))
        except Exception as error:  # a record nobody can read, a defect: the next round looks again
            _log.exception("round_broke_off")
            return _told("failed", reports, began, why=repr(error))
        self._differences.keep(events)
        self._violations.keep(events)
        metrics.reconcile_last_run.set_to_current_time()
        return _told("differences" if any(map(_standing, reports)) else "clean", reports, began)

    async def _look(self, event: EventId) -> EventReport:
        """Compare one event. What the writer did not come to yet is its lag, not a difference."""
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

    async def _forever(self) -> None:
        clock = asyncio.get_running_loop().time
        spread_s = 0.0  # at the start everybody wants to know
        while not self._stopping:  # a client's wait may swallow a cancellation
            next_s = clock() + self._every_s
            await self.run_once(spread_s)
            spread_s = self._every_s / 2
            await asyncio.sleep(next_s - clock())

    async def _beat(self) -> None:
        while not self._stopping:
            try:
                await self._engine.beat(PART)
            except Exception as error:  # Redis is away, or takes no writes
                _log.debug("heartbeat_failed", why=repr(error))
            await asyncio.sleep(_BEAT_S)


def _standing(report: EventReport) -> bool:
    return any(difference.repaired is None for difference in report.differences)


def _told(outcome: str, reports: list[EventReport], began: float, **more: str) -> str:
    """Count a round and say in one line how it went."""
    metrics.reconcile_runs.labels(outcome).inc()
    say = _log.info if outcome == "clean" else _log.warning
    say(
        "round_ended",
        outcome=outcome,
        events=len(reports),
        differences=sum(len(report.differences) for report in reports),
        in_flight=sum(report.in_flight_count for report in reports),
        seconds=round(time.monotonic() - began, 2),
        **more,
    )
    return outcome
