"""Rebuilds an event in Redis from Postgres, while the other events stay on sale.

The steps: fence the event, so that nothing in it changes; drain it, which writes the entries that
Postgres lacks; read Postgres in one snapshot; rebuild the event under a new epoch
(`engine.restore.rebuild`); stage it; put it in place by one script; write its new journal; compare
both sides; reopen it. Every step is repeatable and no progress is stored, so a restore that was
killed is run again from the start.

A lease allows one restore of an event at a time. It ends with its connection. A process that was
suspended and lost the lease is fenced off: the scripts refuse a restore that is not the newest.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from time import perf_counter

import asyncpg
from msgspec import Struct
from ulid import ULID

from engine import Engine, logs
from engine.errors import EngineError, EventNotFound, Unavailable
from engine.event_image import EventImage
from engine.event_state import read_state
from engine.ids import EventId
from engine.metrics import metrics
from engine.models import Booking, BookingStatus, JournalEntry, Sales, SalesState
from engine.payments import payments_of
from engine.restore.rebuild import StoredEvent, rebuild
from engine.restore.staging import EventHead
from persistence import event_record
from persistence.database import AWAY, Connection, Pool
from persistence.journal.rejections import is_about_money
from persistence.journal.tables import Store
from persistence.loss_detector import LossDetector, stub_of
from persistence.reconcile.comparison import Comparison, Finding

Progress = Callable[[EventId, int, int], None]
"""Called with the event, the values staged so far, and their total."""

ATTEMPTS = 3
WRITE_ENTRIES = 500
WRITERS_S = 10
"""How long a restore waits for the writers of the event."""

_log = logs.get("restorer")


class RestoreRuns(EngineError):
    """Another process is restoring the event."""

    code = "restore_runs"


class WriterHangs(EngineError):
    """A writer holds a transaction on entries of the event and does not end it."""

    code = "writer_hangs"


class Restored(Struct, frozen=True, kw_only=True):
    """One event after its restore. `standing`: the remaining differences, which keep it fenced."""

    event_id: EventId
    epoch: int
    sales: str
    seat_count: int
    confirmed_count: int
    sold: int
    holds_ended: int
    late_confirmed: int
    refunds_due: int
    standing: tuple[str, ...] = ()


class RestoreOutcome(Struct, frozen=True, kw_only=True):
    """The result of one restore. `why`: the reason why the event is still fenced."""

    event_id: EventId
    seconds: float
    restored: Restored | None = None
    why: str = ""


class Restorer:
    """Restores events, one call each. Any number of processes may call it."""

    def __init__(self, engine: Engine, pool: Pool, progress: Progress | None = None) -> None:
        self._engine = engine
        self._pool = pool
        self._store = Store(pool)
        self._progress = progress or (lambda *_: None)

    async def find_behind(self) -> list[EventId]:
        """Fence the events that are missing or behind; returns every event that needs a restore."""
        await LossDetector(self._engine, self._pool).check()
        heads = await self._engine.restores.read_heads(await event_record.read_newest(self._pool))
        return [
            event
            for event, head in heads.items()
            if isinstance(head, EventHead) and head.sales == SalesState.RESTORING
        ]

    async def restore(self, event: EventId) -> Restored:
        """Restore one event and reopen it, unless both sides still differ.

        Raises: EventNotFound (Postgres has no such event), RestoreRuns, RestoreSuperseded,
        WriterHangs, Unavailable, and the errors of Postgres while it is away. The event stays
        fenced then.
        """
        async with self._lease(event) as lease:
            for attempt in range(1, ATTEMPTS + 1):
                restored = await self._attempt(event, lease)
                if not restored.standing:
                    break
                _log.warning("restored_and_differs", event_id=event, attempt=attempt)
            return restored

    async def outcome(self, event: EventId) -> RestoreOutcome:
        """Restore one event; an expected error becomes the `why` of the result."""
        started, restored = perf_counter(), None
        try:
            restored = await self.restore(event)
            why = "; ".join(restored.standing)
        except (EngineError, asyncpg.PostgresError, *AWAY) as error:
            why = f"{event}: {str(error) or repr(error)}"
        seconds = round(perf_counter() - started, 3)
        return RestoreOutcome(event_id=event, seconds=seconds, restored=restored, why=why)

    async def _attempt(self, event: EventId, lease: Connection) -> Restored:
        restore = str(ULID())
        engine = self._engine.restores
        try:
            image, unsettled = await self._rebuild(event, restore, lease)
            await self._stage(image, restore)
            await engine.restore_event(image, restore)
            await self._write(image.entries)
            standing = await self._differences(event) or await self._came_late(event, unsettled)
            restored = _summary(image, standing)
            if not standing:
                await engine.reopen_event(event, restore, Sales(restored.sales))
                metrics.restored_bookings.inc(len(image.bookings))
                await self._forget_letters(event, restored.epoch)
        finally:
            await engine.forget(event, restore)
        return restored

    async def _rebuild(
        self, event: EventId, restore: str, lease: Connection
    ) -> tuple[EventImage, list[Booking]]:
        """Fence, drain and rebuild the event; returns its image and its unsettled sales.

        The new epoch begins before Postgres is read. So an entry that a writer commits is either
        read here or outdated.
        """
        stored = await self._read_stored(event)
        why = f"restore {restore}"
        fence = await self._engine.restores.fence_event(
            event, why, stub_of(stored), restore=restore, epoch="*"
        )
        if fence is None:
            raise Unavailable(f"{event} cannot be fenced: restore it again")
        for name in fence.set_aside:
            _log.error("key_set_aside", event_id=event, key=name, why="it cannot be read")
        async with self._no_writers(lease, event):
            pass  # an open transaction of a writer would block the drain
        unsettled = await self._drain(event)
        async with self._no_writers(lease, event) as alone:
            epoch = await alone.fetchval(event_record.QUERIES["begin_epoch"], event, fence.epoch)
        now_ms = (await self._engine.journal.backlog(event)).now_ms
        stored = await self._read_stored(event, now_ms, unsettled)
        # Above every entry id of both sides: the clock of this Redis may be behind.
        first_ms = max(now_ms, stored.newest.ms + 1, fence.position.ms + 1)
        image = rebuild(stored, unsettled, epoch=epoch, now_ms=now_ms, first_ms=first_ms)
        return image, unsettled

    async def _read_stored(
        self, event: EventId, now_ms: int | None = None, unsettled: Sequence[Booking] = ()
    ) -> StoredEvent:
        unsettled_ids = [booking.id for booking in unsettled]
        found = await event_record.read_event(self._pool, event, now_ms, unsettled_ids)
        if found is None:
            raise EventNotFound(event)
        return found

    async def _drain(self, event: EventId) -> list[Booking]:
        """Write the entries that only Redis has; returns the sales that Postgres rejects."""
        rejected = await self._write(await self._engine.journal.open_entries(event))
        return _unsettled_sales(rejected) + await self._set_aside(event)

    async def _set_aside(self, event: EventId) -> list[Booking]:
        return _unsettled_sales(
            letter.entry for letter in await self._engine.journal.dead_letters(event)
        )

    async def _came_late(self, event: EventId, unsettled: Sequence[Booking]) -> tuple[str, ...]:
        """The sales that a writer set aside during the restore, which does not include them."""
        known = set(unsettled)
        late = [sale for sale in await self._set_aside(event) if sale not in known]
        return tuple(f"dead_letter {sale.id}: set aside during the restore" for sale in late)

    async def _forget_letters(self, event: EventId, epoch: int) -> None:
        """Remove the dead letters that the restore has settled; a person decides about the rest."""
        journal = self._engine.journal
        for letter in await journal.dead_letters(event):
            booking = letter.entry.booking
            if booking is None or letter.entry.epoch >= epoch:
                continue
            if not is_about_money(booking) or not await self._write([letter.entry]):
                await journal.forget_dead_letter(event, letter)

    async def _write(self, entries: Sequence[JournalEntry]) -> list[JournalEntry]:
        """Write entries, also when a writer writes them at the same time; returns the rejected."""
        rejections = []
        for i in range(0, len(entries), WRITE_ENTRIES):
            rejections += await self._store.write(entries[i : i + WRITE_ENTRIES])
        for entry, error in rejections:
            _log.warning("entry_rejected", entry_id=entry.entry_id, why=str(error))
        return [entry for entry, _ in rejections]

    async def _stage(self, image: EventImage, restore: str) -> None:
        event, done, total = image.event_id, 0, sum(image.staged_counts)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            metrics.restore_progress.labels(event).set(done / total)
            self._progress(event, done, total)

        await self._engine.restores.stage(image, restore, advance)

    async def _differences(self, event: EventId) -> tuple[str, ...]:
        """The violations in Redis and the differences from Postgres, now that it is in place."""
        comparison = Comparison(await read_state(self._engine, event), 0)
        ids = [booking.id for booking in comparison.bookings]
        async for stored in self._store.stream_bookings(event, ids):
            comparison.show(stored)
        comparison.finish()
        return tuple(map(_line, comparison.findings))

    @asynccontextmanager
    async def _lease(self, event: EventId) -> AsyncIterator[Connection]:
        """A transaction that stays open as long as the lease: its lock needs no session."""
        async with self._pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(event_record.QUERIES["keep_lease"])
                if not await connection.fetchval(event_record.QUERIES["take_lease"], event):
                    raise RestoreRuns(f"{event} is being restored by another process")
                yield connection
            finally:
                with suppress(*AWAY):  # the connection may have ended, and the lease with it
                    await transaction.rollback()

    @asynccontextmanager
    async def _no_writers(self, lease: Connection, event: EventId) -> AsyncIterator[Connection]:
        """A transaction in which no other process writes the event. Raises: WriterHangs.

        The lease is checked inside: the next restorer has to wait here for this transaction.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(event_record.QUERIES["limit_wait"], f"{WRITERS_S}s")
            try:
                await connection.execute(event_record.QUERIES["wait_for_writers"], event)
            except asyncpg.LockNotAvailableError as error:
                why = f"a writer has held a transaction on {event} in Postgres for {WRITERS_S} s"
                raise WriterHangs(f"{why}: end that writer, and restore again") from error
            await lease.execute(event_record.QUERIES["check_lease"])
            yield connection


def _unsettled_sales(entries: Iterable[JournalEntry]) -> list[Booking]:
    """The sales that must get their places, or a refund for a payment that came too late."""
    bookings = [entry.booking for entry in entries if entry.booking]
    return [
        booking
        for booking in bookings
        if booking.status == BookingStatus.CONFIRMED
        or (
            any(payment.owed_minor for payment in payments_of(booking))
            and (booking.status != BookingStatus.CANCELLED or booking.payments)
        )
    ]


def _line(finding: Finding) -> str:
    return f"{finding.kind} {finding.subject}: {finding.detail}"


def _summary(image: EventImage, standing: tuple[str, ...]) -> Restored:
    kinds = [entry.kind for entry in image.entries]
    sales = (image.entries[0].event or {})["sales"]
    return Restored(
        event_id=image.event_id,
        epoch=image.entries[0].epoch,
        sales=SalesState.RESTORING if standing else sales,
        seat_count=len(image.seats),
        confirmed_count=len(image.customers),
        sold=int(image.fields["sold"]),
        holds_ended=kinds.count("booking_expired"),
        late_confirmed=kinds.count("booking_confirmed"),
        refunds_due=kinds.count("refund_due") + kinds.count("booking_cancelled"),
        standing=standing,
    )
