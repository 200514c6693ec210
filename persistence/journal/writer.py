"""The write-behind worker: drains the journal of every event into Postgres.

One transaction a batch, acknowledged after its commit: what is lost on the way comes again, and
`store` makes coming again harmless. So the writer keeps no state of its own that matters and any
number may run. Each failure has one answer: an entry that Postgres refuses is handed out again
later and set aside after TRIES_MAX, a seat's next sale that came before its cancellation waits for
it; anything else (Postgres or Redis away, busy or wrong) is tried again, slower each time, while
the heartbeat goes on.
"""

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import Sequence

import stamina

from engine import Engine, Settings, logs
from engine.ids import EventId
from engine.metrics import metrics
from engine.models import JournalEntry
from engine.positions import position_of
from persistence.database import Pool
from persistence.journal.columns import without
from persistence.journal.rejections import Rejection
from persistence.journal.tables import Store
from persistence.loss_detector import LossDetector

TRIES_MAX = 5
"""How often a writer tries an entry before it is set aside as a dead letter."""

RUSH_ENTRIES = 32
RUSH_FACTOR = 5
"""Where so many entries are there at once, the writer waits so many times longer for the rest: each
batch has its price, which the sale pays where both share the processors."""

_BLOCK_MS = 200
_NO_EVENTS_S = 0.05
_DRAIN_S = 5.0
_RETRY_S_MAX = 2.0
_HOUSEKEEPING_S = 0.5

_log = logs.get("writer")


class Writer:
    """Runs until it is told to stop; may be killed at any moment."""

    def __init__(self, engine: Engine, pool: Pool, settings: Settings) -> None:
        self._engine = engine
        self._store = Store(pool)
        self._watch = LossDetector(engine, pool)
        self._settings = settings
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(2).hex()}"
        self._events: list[EventId] = []
        self._batches: list[list[JournalEntry]] = []  # read, and not yet acknowledged
        self._ahead: asyncio.Task[list[JournalEntry]] | None = None  # there was more than a batch
        self._refusals: dict[EventId, Counter[str]] = {}  # how often, by entry
        self._next_claim_s = 0.0
        self._backlog = metrics.PerEvent(metrics.journal_backlog)
        self._lag = metrics.PerEvent(metrics.journal_lag)
        self._letters = metrics.PerEvent(metrics.dead_letters)
        self._stopping = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop` is set, then what the journal has at that moment, and return."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_house())
            tasks.create_task(self._keep_watch())
            following = tasks.create_task(self._follow())
            try:
                await stop.wait()
            finally:  # a cancellation too: on Python 3.11 a client's wait may swallow one
                self._stopping.set()
            await asyncio.wait({following}, timeout=_DRAIN_S)
            following.cancel()
            metrics.writer_up.set(0)

    async def _follow(self) -> None:
        again = stamina.AsyncRetryingCaller(attempts=None, timeout=None, wait_max=_RETRY_S_MAX)
        step = again.on(self._may_try_again)
        clock = asyncio.get_running_loop()
        try:
            while not self._stopping.is_set():
                await step(self._step)
            await self._find_events()  # one that was loaded a moment ago is drained too
            drain_until = clock.time() + _DRAIN_S
            while clock.time() < drain_until and await step(self._step):
                pass
        except Exception as error:  # told to stop while Postgres or Redis is away
            _log.warning("left_to_the_next_writer", why=repr(error))
        finally:
            if self._ahead:
                self._ahead.cancel()
                await asyncio.gather(self._ahead, return_exceptions=True)

    def _may_try_again(self, _: Exception) -> bool:
        metrics.writer_up.set(0)
        self._events = []  # found again by the housekeeping: Redis may have come back empty
        return not self._stopping.is_set()

    async def _step(self) -> bool:
        """Write what is at hand, or what comes within a moment. False: there was nothing."""
        size = self._settings.writer_batch_entries_max
        if not self._batches:
            found = await self._claim() or await self._take()
            self._batches = [found[i : i + size] for i in range(0, len(found), size)]
        wrote = bool(self._batches)
        await self._watch.check_read(self._settings.journal_keep_ms)
        if wrote and len(self._batches[-1]) == size and self._ahead is None:
            self._ahead = asyncio.create_task(self._read())
        while self._batches:
            await self._write(self._batches[0])
            del self._batches[0]
        metrics.writer_up.set(1)
        return wrote

    async def _claim(self) -> list[JournalEntry]:
        """What a silent writer left, this one's refused entries included."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._next_claim_s:
            return []
        idle_ms = self._settings.writer_claim_idle_ms
        count = self._settings.writer_batch_entries_max
        found: list[JournalEntry] = []
        for event in self._events:
            found += await self._engine.journal.claim(
                event, self._consumer, idle_ms=idle_ms, count=count
            )
        if not found:
            self._next_claim_s = now_s + idle_ms / 2000
        return found

    async def _take(self) -> list[JournalEntry]:
        """What was read while the last batch was written, or what is read now."""
        ahead, self._ahead = self._ahead, None
        return await (ahead or self._read())

    async def _read(self) -> list[JournalEntry]:
        """New entries; a short wait after the first lets a batch fill."""
        block_ms = 0 if self._stopping.is_set() else _BLOCK_MS
        if not self._events:
            await self._wait(_NO_EVENTS_S)
            return []
        count = self._settings.writer_batch_entries_max
        journal = self._engine.journal
        await self._watch.before_reading(self._events)
        found = await journal.read(self._events, self._consumer, count=count, block_ms=block_ms)
        if 0 < len(found) < count and not self._stopping.is_set():
            factor = RUSH_FACTOR if len(found) >= RUSH_ENTRIES else 1
            await self._wait(self._settings.writer_batch_wait_ms * factor / 1000)
            left = count - len(found)
            found += await journal.read(self._events, self._consumer, count=left, block_ms=0)
        self._watch.note_read(found)
        return found

    async def _write(self, batch: list[JournalEntry]) -> None:
        """Write what can be written and be done with it; the rest is handed out again later."""
        with metrics.batch_duration.time():
            refusals = await self._store.write(batch)
        written = without(batch, [refusal.entry for refusal in refusals])
        metrics.batch_entries.observe(len(written))
        metrics.entries_written.inc(len(written))
        await self._acknowledge(written)
        for event in {refusal.entry.event_id for refusal in refusals}:
            await self._refuse(event, [r for r in refusals if r.entry.event_id == event])

    async def _refuse(self, event: EventId, refusals: Sequence[Rejection]) -> None:
        """Count those that nothing explains, and set aside what was refused often enough."""
        counts = self._refusals.setdefault(event, Counter())
        waiting = await self._out_of_order(event, refusals)
        for entry, error in refusals:
            if entry.entry_id in waiting:
                continue
            counts[entry.entry_id] += 1
            named = {
                "event_id": event,
                "entry_id": entry.entry_id,
                "kind": entry.kind,
                "why": str(error),
            }
            if counts[entry.entry_id] < TRIES_MAX and not error.outdated:
                _log.warning("entry_refused", tries=counts[entry.entry_id], **named)
                continue
            await self._engine.journal.dead_letter(entry, str(error))
            reason = "seat_sold_twice" if error.seat_sold_twice else "refused"
            metrics.set_aside.labels(reason).inc()
            _log.error("entry_set_aside", reason=reason, **named)

    async def _out_of_order(self, event: EventId, refusals: Sequence[Rejection]) -> set[str]:
        """The sales among them whose seat an older entry may free, which a writer has in hand.

        Older, open, and not refused itself: who has it writes it, or falls silent and loses it to
        another. So none waits for ever.
        """
        sold = {refusal.entry.entry_id for refusal in refusals if refusal.error.seat_sold_twice}
        if not sold:
            return set()
        besides = self._refusals[event].keys() | {refusal.entry.entry_id for refusal in refusals}
        open_id = await self._engine.journal.first_pending(event, besides)
        if open_id is None:
            return set()
        waiting = {sale for sale in sold if position_of(open_id) < position_of(sale)}
        if waiting:
            _log.info("sales_out_of_order", event_id=event, count=len(waiting), wait_for=open_id)
        return waiting

    async def _acknowledge(self, batch: list[JournalEntry]) -> None:
        entry_ids: dict[EventId, list[str]] = {}
        for entry in batch:
            entry_ids.setdefault(entry.event_id, []).append(entry.entry_id)
        for event, ids in entry_ids.items():
            await self._engine.journal.acknowledge(event, ids)

    async def _keep_house(self) -> None:
        """Beat, find new events, measure and trim, whatever the other task is waiting for."""
        while not self._stopping.is_set():
            try:
                await self._engine.beat("writer")
                events = await self._find_events()
                for event in events:
                    await self._measure_and_trim(event)
                for gauge in (self._backlog, self._lag, self._letters):
                    gauge.keep(events)
            except Exception as error:  # Redis is away
                _log.warning("housekeeping_failed", why=repr(error))
            await self._wait(_HOUSEKEEPING_S)

    async def _keep_watch(self) -> None:
        """Look whether Redis has lost something; apart, for Postgres may let it wait."""
        while not self._stopping.is_set():
            try:
                await self._watch.look()
            except Exception as error:  # Redis is away
                _log.warning("watch_failed", why=repr(error))
            await self._wait(_HOUSEKEEPING_S)

    async def _find_events(self) -> list[EventId]:
        events = await self._engine.events.list_events()
        for event in events:
            if event not in self._events:
                await self._engine.journal.create_group(event)
        self._events = events
        return events

    async def _measure_and_trim(self, event: EventId) -> None:
        backlog = await self._engine.journal.backlog(event)
        lag_ms = 0 if backlog.oldest_ms is None else max(0, backlog.now_ms - backlog.oldest_ms)
        self._backlog.set(event, backlog.entries)
        self._lag.set(event, lag_ms / 1000)
        self._letters.set(event, await self._engine.journal.count_dead_letters(event))
        if not backlog.entries:
            self._refusals.pop(event, None)
        keep_from_ms = max(0, backlog.now_ms - self._settings.journal_keep_ms)
        await self._engine.journal.trim(event, f"{keep_from_ms}-0")

    async def _wait(self, seconds: float) -> None:
        """Wait, but not for longer than until the stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
