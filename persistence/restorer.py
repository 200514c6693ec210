"""Rebuilds an event in Redis from Postgres, while the other events sell.

Close it (nothing in it moves any more), save what Redis still has and Postgres lacks, read Postgres
at one instant, compute the event under a new epoch (`engine.restore.rebuild`), stage it, put it in
place by one script, write its new journal, compare both sides, and only then open it. Every step
may be repeated and none is remembered: a restore that was killed is simply run again. One at a time
has the lease, which ends with its connection; one that overslept is refused by the script.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from time import perf_counter

import asyncpg
from msgspec import Struct
from ulid import ULID

from engine import Engine, logs
from engine.errors import EngineError, EventNotFound
from engine.event_image import EventImage
from engine.event_state import read_state
from engine.ids import EventId
from engine.metrics import metrics
from engine.models import Booking, BookingStatus, JournalEntry, Sales, SalesState
from engine.restore.rebuild import StoredEvent, rebuild
from persistence import event_record
from persistence.database import AWAY, Connection, Pool
from persistence.journal.rejections import is_about_money
from persistence.journal.tables import Store
from persistence.loss_detector import LossDetector, stub_of
from persistence.reconcile.comparison import Comparison, Finding

Progress = Callable[[EventId, int, int], None]
"""Told the event, values put into Redis so far, and how many there are in all."""

ATTEMPTS = 3
WRITE_ENTRIES = 500
WRITERS_S = 10
"""How long a restore waits for those that write the event to Postgres."""

_log = logs.get("restorer")


class RestoreRuns(EngineError):
    """Another process restores the event."""

    code = "restore_runs"


class WriterHangs(EngineError):
    """A writer has begun to write entries of the event, and does not end."""

    code = "writer_hangs"


class Restored(Struct, frozen=True, kw_only=True):
    """One event after its restore. `standing`: what still differs, and keeps it closed."""

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


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of one event, and in how many seconds. `why`: it is not open again."""

    event_id: EventId
    seconds: float
    restored: Restored | None = None
    why: str = ""


class Restorer:
    """Restores events, one call each; any number of processes may try."""

    def __init__(self, engine: Engine, pool: Pool, progress: Progress | None = None) -> None:
        self._engine = engine
        self._pool = pool
        self._store = Store(pool)
        self._progress = progress or (lambda *_: None)

    async def find_behind(self) -> list[EventId]:
        """Close what is gone or behind; every event that waits for a restore."""
        await LossDetector(self._engine, self._pool).look()
        heads = await self._engine.restores.read_heads(await event_record.read_newest(self._pool))
        return [event for event, head in heads.items() if head.sales == SalesState.RESTORING]

    async def restore(self, event: EventId) -> Restored:
        """Restore one event and open it, unless something differs in the end.

        Raises: EventNotFound (Postgres has no such event), RestoreRuns, RestoreSuperseded,
        WriterHangs, Unavailable, and what Postgres raises while it is away. The event stays
        closed then.
        """
        async with self._lease(event) as lease:
            for attempt in range(1, ATTEMPTS + 1):
                restored = await self._attempt(event, lease)
                if not restored.standing:
                    break
                _log.warning("restored_and_differs", event_id=event, attempt=attempt)
            return restored

    async def outcome(self, event: EventId) -> Outcome:
        """Restore one event and tell what became of it, whatever that is."""
        started, restored = perf_counter(), None
        try:
            restored = await self.restore(event)
            why = "; ".join(restored.standing)
        except (EngineError, asyncpg.PostgresError, *AWAY) as error:
            why = f"{event}: {str(error) or repr(error)}"
        seconds = round(perf_counter() - started, 3)
        return Outcome(event_id=event, seconds=seconds, restored=restored, why=why)

    async def _attempt(self, event: EventId, lease: Connection) -> Restored:
        restore = str(ULID())
        engine = self._engine.restores
        try:
            rebuilt, claims = await self._rebuild(event, restore, lease)
            await self._stage(rebuilt, restore)
            await engine.restore_event(rebuilt, restore)
            await self._write(rebuilt.entries)
            standing = await self._differences(event) or await self._came_late(event, claims)
            restored = _told(rebuilt, standing)
            if not standing:
                await engine.reopen_event(event, restore, Sales(restored.sales))
                metrics.restored_bookings.inc(len(rebuilt.bookings))
                await self._forget_letters(event, restored.epoch)
        finally:
            await engine.forget(event, restore)
        return restored

    async def _rebuild(
        self, event: EventId, restore: str, lease: Connection
    ) -> tuple[EventImage, list[Booking]]:
        """Close the event, drain it, and compute it anew; the claims that were settled so.

        The new epoch begins before Postgres is read: what a writer commits is read or outdated.
        """
        remembered = await self._remembered(event)
        why = f"restore {restore}"
        await self._engine.restores.fence_event(
            event, why, stub_of(remembered), restore=restore, epoch="*"
        )
        async with self._no_writers(lease, event):
            pass  # what one of them has begun to write, the drain would wait for
        claims = await self._drain(event)
        head = (await self._engine.restores.read_heads([event]))[event]
        async with self._no_writers(lease, event) as alone:
            epoch = await alone.fetchval(event_record.QUERIES["begin_epoch"], event, head.epoch)
        now_ms = (await self._engine.journal.backlog(event)).now_ms
        remembered = await self._remembered(event, now_ms, claims)
        # Above every id either side ever gave: the clock of this Redis may be behind.
        first_ms = max(now_ms, remembered.newest.ms + 1, head.position.ms + 1)
        rebuilt = rebuild(remembered, claims, epoch=epoch, now_ms=now_ms, first_ms=first_ms)
        return rebuilt, claims

    async def _remembered(
        self, event: EventId, now_ms: int | None = None, claims: Sequence[Booking] = ()
    ) -> StoredEvent:
        claimed = [claim.id for claim in claims]
        found = await event_record.read_event(self._pool, event, now_ms, claimed)
        if found is None:
            raise EventNotFound(event)
        return found

    async def _drain(self, event: EventId) -> list[Booking]:
        """Write what only Redis has; the claims that Postgres refuses."""
        refused = await self._write(await self._engine.journal.open_entries(event))
        return _claims(refused) + await self._set_aside(event)

    async def _set_aside(self, event: EventId) -> list[Booking]:
        return _claims(letter.entry for letter in await self._engine.journal.dead_letters(event))

    async def _came_late(self, event: EventId, claims: Sequence[Booking]) -> tuple[str, ...]:
        """What a writer has set aside while the event was restored, without it."""
        known = set(claims)
        late = [claim for claim in await self._set_aside(event) if claim not in known]
        return tuple(f"dead_letter {claim.id}: it came while it was restored" for claim in late)

    async def _forget_letters(self, event: EventId, epoch: int) -> None:
        """What was set aside before and is settled now; what is not is left for a person."""
        journal = self._engine.journal
        for letter in await journal.dead_letters(event):
            booking = letter.entry.booking
            if booking is None or letter.entry.epoch >= epoch:
                continue
            if not is_about_money(booking) or not await self._write([letter.entry]):
                await journal.forget_dead_letter(event, letter)

    async def _write(self, entries: Sequence[JournalEntry]) -> list[JournalEntry]:
        """Write entries that a writer may be writing too; those that are refused."""
        refusals = []
        for i in range(0, len(entries), WRITE_ENTRIES):
            refusals += await self._store.write(entries[i : i + WRITE_ENTRIES])
        for entry, error in refusals:
            _log.warning("entry_rejected", entry_id=entry.entry_id, why=str(error))
        return [entry for entry, _ in refusals]

    async def _stage(self, rebuilt: EventImage, restore: str) -> None:
        event, done, total = rebuilt.event_id, 0, sum(rebuilt.staged_counts)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            metrics.restore_progress.labels(event).set(done / total)
            self._progress(event, done, total)

        await self._engine.restores.stage(rebuilt, restore, advance)

    async def _differences(self, event: EventId) -> tuple[str, ...]:
        """What breaks a promise in Redis, or differs from Postgres, now that it is in place."""
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
                why = f"a writer has begun to write {event} to Postgres and not ended"
                raise WriterHangs(
                    f"{why} in {WRITERS_S} s: end the one that hangs, and restore again"
                ) from error
            await lease.execute(event_record.QUERIES["check_lease"])
            yield connection


def _claims(entries: Iterable[JournalEntry]) -> list[Booking]:
    """Who is to have places, or the money back for a payment that came too late."""
    ended = (BookingStatus.EXPIRED, BookingStatus.RELEASED)
    bookings = [entry.booking for entry in entries if entry.booking]
    return [
        booking
        for booking in bookings
        if booking.status == BookingStatus.CONFIRMED
        or (booking.status in ended and booking.refund_minor)
    ]


def _line(finding: Finding) -> str:
    return f"{finding.kind} {finding.subject}: {finding.detail}"


def _told(rebuilt: EventImage, standing: tuple[str, ...]) -> Restored:
    kinds = [entry.kind for entry in rebuilt.entries]
    sales = (rebuilt.entries[0].event or {})["sales"]
    return Restored(
        event_id=rebuilt.event_id,
        epoch=rebuilt.entries[0].epoch,
        sales=SalesState.RESTORING if standing else sales,
        seat_count=len(rebuilt.seats),
        confirmed_count=len(rebuilt.customers),
        sold=int(rebuilt.fields["sold"]),
        holds_ended=kinds.count("booking_expired"),
        late_confirmed=kinds.count("booking_confirmed"),
        refunds_due=kinds.count("refund_due") + kinds.count("booking_cancelled"),
        standing=standing,
    )
