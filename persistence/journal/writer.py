"""The writer, an agent: drains the journal of every event into Postgres (write-behind).

An entry's life: read (handed to this writer) -> written (its transaction committed) ->
acknowledged; or, once Postgres has rejected it TRIES_MAX times: read -> dead letter, set aside for
`engine reconcile --repair` and a person.

A batch is one transaction, acknowledged after its commit. An entry that is lost in between is
redelivered, and `tables` writes it idempotently. So the writer keeps no state that matters, and any
number of writers may run. A rejected entry is redelivered later. A seat's next sale that was read
before the cancellation waits for it. For any other error (Postgres or Redis away, busy or broken)
the step is retried with backoff, while the heartbeat goes on.
"""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence

from engine import Engine, Settings, logs
from engine.agent import Agent
from engine.ids import EventId
from engine.metrics import metrics
from engine.models import JournalEntry
from engine.positions import position_of
from persistence.database import FAILURES, Pool
from persistence.journal.columns import without
from persistence.journal.rejections import Rejection
from persistence.journal.tables import Store
from persistence.loss_detector import LossDetector

TRIES_MAX = 5
"""How often a writer tries an entry before it is set aside as a dead letter."""

RUSH_ENTRIES = 32
RUSH_FACTOR = 5
"""Once RUSH_ENTRIES are there at the first read, the writer waits RUSH_FACTOR times longer for the
batch to fill: each batch has a fixed cost, which the sale pays where both share the processors."""

_BLOCK_MS = 200
_NO_EVENTS_S = 0.05
_HOUSEKEEPING_S = 0.5
_FORGET_S = 5.0
_FORGET_PAUSE_S = 0.1

_log = logs.get("writer")


class Writer(Agent):
    """Runs until it is stopped; may be killed at any moment."""

    name = "writer"
    up = metrics.writer_up
    essential = frozenset({"_step"})
    failures = FAILURES
    drain_s = 5.0

    def __init__(self, engine: Engine, pool: Pool, settings: Settings) -> None:
        super().__init__(engine)
        self._store = Store(pool)
        self._losses = LossDetector(engine, pool)
        self._settings = settings
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(2).hex()}"
        self._events: list[EventId] = []
        self._batches: list[list[JournalEntry]] = []  # read, and not yet acknowledged
        self._ahead: asyncio.Task[list[JournalEntry]] | None = None  # the next read, begun early
        self._rejections: dict[EventId, Counter[str]] = {}  # how often, by entry
        self._next_claim_s = 0.0
        self._backlog = metrics.PerEvent(metrics.journal_backlog)
        self._lag = metrics.PerEvent(metrics.journal_lag)
        self._letters = metrics.PerEvent(metrics.dead_letters)

    def _loops(self) -> Iterable[Coroutine[None, None, None]]:
        return (
            self._follow(),
            self._repeat(self._keep_house, _HOUSEKEEPING_S),
            self._repeat(self._losses.check, _HOUSEKEEPING_S),  # apart: Postgres may delay it
            self._repeat(self._forget, _FORGET_S),
        )

    async def _follow(self) -> None:
        """Write until the stop, then what the journal has at that moment."""
        try:
            await self._repeat(self._step)
            await self._find_events()  # an event that was just loaded is drained too
            while await self._step():
                pass
        except FAILURES as error:  # stopped while Postgres or Redis is away
            _log.warning("left_to_the_next_writer", why=repr(error))
        finally:
            if self._ahead:
                self._ahead.cancel()
                await asyncio.gather(self._ahead, return_exceptions=True)

    async def _step(self) -> bool:
        try:
            return await self._write_next()
        except FAILURES:
            self._events = []  # housekeeping finds them again: Redis may have come back empty
            raise

    async def _write_next(self) -> bool:
        """Write the batches in hand, or what arrives within a moment. False: there was nothing."""
        size = self._settings.writer_batch_entries_max
        if not self._batches:
            found = await self._claim() or await self._take()
            self._batches = [found[i : i + size] for i in range(0, len(found), size)]
        has_written = bool(self._batches)
        await self._losses.check_read(self._settings.journal_keep_ms)
        if has_written and len(self._batches[-1]) == size and self._ahead is None:
            self._ahead = asyncio.create_task(self._read())
        while self._batches:
            await self._write(self._batches[0])
            del self._batches[0]
        return has_written

    async def _claim(self) -> list[JournalEntry]:
        """Entries of a writer that went silent, and this writer's own rejected entries."""
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
        """The entries that were read while the last batch was written, or a new read."""
        ahead, self._ahead = self._ahead, None
        return await (ahead or self._read())

    async def _read(self) -> list[JournalEntry]:
        """New entries. After the first ones, a short wait lets the batch fill."""
        block_ms = 0 if self._stopping.is_set() else _BLOCK_MS
        if not self._events:
            await self._pause(_NO_EVENTS_S)
            return []
        count = self._settings.writer_batch_entries_max
        journal = self._engine.journal
        await self._losses.before_reading(self._events)
        found = await journal.read(self._events, self._consumer, count=count, block_ms=block_ms)
        if 0 < len(found) < count and not self._stopping.is_set():
            factor = RUSH_FACTOR if len(found) >= RUSH_ENTRIES else 1
            await self._pause(self._settings.writer_batch_wait_ms * factor / 1000)
            left = count - len(found)
            found += await journal.read(self._events, self._consumer, count=left, block_ms=0)
        self._losses.note_read(found)
        return found

    async def _write(self, batch: list[JournalEntry]) -> None:
        """Write and acknowledge the batch without the rejected entries, which are redelivered."""
        with metrics.batch_duration.time():
            rejections = await self._store.write(batch)
        written = without(batch, [rejection.entry for rejection in rejections])
        metrics.batch_entries.observe(len(written))
        metrics.entries_written.inc(len(written))
        await self._acknowledge(written)
        for event in {rejection.entry.event_id for rejection in rejections}:
            await self._count(event, [r for r in rejections if r.entry.event_id == event])

    async def _count(self, event: EventId, rejections: Sequence[Rejection]) -> None:
        """Count the rejections that no older entry explains; set aside after TRIES_MAX."""
        counts = self._rejections.setdefault(event, Counter())
        waiting = await self._out_of_order(event, rejections)
        for entry, error in rejections:
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
                _log.warning("entry_rejected", tries=counts[entry.entry_id], **named)
                continue
            await self._engine.journal.dead_letter(entry, str(error))
            reason = "seat_sold_twice" if error.seat_sold_twice else "refused"
            metrics.set_aside.labels(reason).inc()
            _log.error("entry_set_aside", reason=reason, **named)

    async def _out_of_order(self, event: EventId, rejections: Sequence[Rejection]) -> set[str]:
        """The sales whose seat an older entry may still free: one that some writer has in hand.

        That entry is older, pending and not rejected itself. Its writer writes it, or goes silent
        and another writer claims it. So no sale waits forever.
        """
        sold = {r.entry.entry_id for r in rejections if r.error.seat_sold_twice}
        if not sold:
            return set()
        besides = self._rejections[event].keys() | {r.entry.entry_id for r in rejections}
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
        """Find new events, measure and trim, whatever the write loop waits for."""
        events = await self._find_events()
        for event in events:
            await self._measure_and_trim(event)
        for gauge in (self._backlog, self._lag, self._letters):
            gauge.keep(events)

    async def _forget(self) -> None:
        """Delete what ended unpaid long ago, in batches, between which the entries have a turn."""
        while await self._store.forget_unpaid(self._settings.unpaid_keep_s * 1000):
            await self._pause(_FORGET_PAUSE_S)
            if self._stopping.is_set():
                return

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
            self._rejections.pop(event, None)
        keep_from_ms = max(0, backlog.now_ms - self._settings.journal_keep_ms)
        await self._engine.journal.trim(event, f"{keep_from_ms}-0")
