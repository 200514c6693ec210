"""The only runner of SQL: the named queries of `queries.sql`, and what belongs in one transaction.

`write` may be given the same entries twice, late, or in any order, by several writers at once:
the journal keeps an entry once, a booking only moves forward, and an event is folded from all
the entries the journal has of it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from engine.ids import EventId
from engine.models import Booking, BookingStatus, JournalEntry, Terms
from engine.plans import layout as layouts
from persistence.database import Connection, Pool, stream
from persistence.journal import columns
from persistence.journal.columns import EventRow, StoredBooking
from persistence.journal.rejections import (
    ERRORS,
    ONE_OWNER,
    Rejected,
    Rejection,
    current_entries,
    find_contested,
)
from persistence.sql import named_queries

_ONE_ENTRY = "journal_pkey"

_Put = Callable[[Connection, columns.Columns], Awaitable[None]]


class _Repeated(Exception):
    """The journal has an entry of these already, or it is among them twice."""


QUERIES = named_queries("journal/queries.sql")


class Store:
    """What the writer and the reconciler do with Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(self, entries: Sequence[JournalEntry]) -> list[Rejection]:
        """Write journal entries and what follows from them; those that Postgres refuses.

        All others are written, in one transaction if it refuses none. Any error says that
        Postgres is away, busy or wrong, and the same entries may be tried again.
        """
        unreadable = [entry for entry in entries if entry.booking is None and entry.event is None]
        refusals = [Rejection(entry, Rejected(entry.kind)) for entry in unreadable]
        parts = [columns.without(entries, unreadable)]
        while parts:
            part = parts.pop()
            try:
                await self._write_whole(part)
            except Rejected as error:
                refused = error.entries
                if error.seat_sold_twice:
                    refused = await find_contested(self._pool, error.entries)
                if not refused and len(part) > 1:  # one of them, and nobody says which
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                    continue
                refused = refused or part
                refusals += [Rejection(entry, error) for entry in refused]
                parts.append(columns.without(part, refused))
        return refusals

    async def _write_whole(self, entries: Sequence[JournalEntry]) -> None:
        if not entries:
            return
        try:
            await self._write(entries, _copy)
        except _Repeated:
            await self._write(entries, _insert)

    async def _write(self, entries: Sequence[JournalEntry], put: _Put) -> None:
        async with self._transaction() as connection:
            arrays = columns.journal_columns(entries)
            kept, current = await current_entries(connection, entries, arrays)
            if not kept:
                return
            if len(kept) < len(entries):
                arrays = columns.journal_columns(kept)
            await put(connection, arrays)
            await _queue(connection, kept)
            for event in columns.changed_events(entries):
                await _fold_event(connection, event)
            await _put_bookings(connection, columns.decided_bookings(current))

    async def put_bookings(
        self, bookings: Sequence[Booking], epoch: int, entry_id: str
    ) -> set[str]:
        """Repair: write bookings as they were when the journal stood at an entry.

        Returns the ids that took it: a booking that has seen a newer entry stays as it is.
        Raises as `write`.
        """
        entries = [
            JournalEntry(
                event_id=booking.event_id,
                entry_id=entry_id,
                kind="booking_repaired",
                at_ms=0,
                epoch=epoch,
                booking=booking,
            )
            for booking in bookings
        ]
        async with self._transaction() as connection:
            return await _put_bookings(connection, entries)

    async def put_event(self, row: EventRow) -> None:
        """Repair: write an event and its seats. Raises as `write`."""
        async with self._transaction() as connection:
            await _put_event(connection, row)

    async def list_events(self) -> set[EventId]:
        """The events Postgres knows."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(QUERIES["list_events"])
        return {EventId(row["event_id"]) for row in rows}

    async def stream_bookings(
        self, event: EventId, booking_ids: Sequence[str]
    ) -> AsyncIterator[StoredBooking]:
        """The event's live bookings and those of `booking_ids`, from one snapshot, by a cursor."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            async for row in stream(connection, QUERIES["stream_bookings"], event, booking_ids):
                yield columns.stored_booking(dict(row))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                yield connection
        except ERRORS as error:
            constraint = getattr(error, "constraint_name", None)
            if constraint == _ONE_ENTRY:
                raise _Repeated from error
            raise Rejected(str(error)) from error


async def _copy(connection: Connection, arrays: columns.Columns) -> None:
    """Put new entries into the journal, at half the cost of `_insert`; a known one ends it."""
    rows = zip(*arrays, strict=True)
    await connection.copy_records_to_table("journal", records=rows, columns=columns.JOURNAL)


async def _insert(connection: Connection, arrays: columns.Columns) -> None:
    """Put those entries into the journal that it does not have."""
    await connection.execute(QUERIES["insert_entries"], *arrays)


async def _queue(connection: Connection, entries: Sequence[JournalEntry]) -> None:
    """Have webhooks told, if there are any; of a hold there is nothing to tell."""
    told = [e for e in entries if e.booking and e.booking.status != BookingStatus.PENDING]
    if told:
        await connection.execute(QUERIES["queue_entries"], *columns.journal_columns(told)[:5])


async def _put_bookings(connection: Connection, entries: Sequence[JournalEntry]) -> set[str]:
    """Move bookings to their newest entries; which ones did. Raises Rejected."""
    if not entries:
        return set()
    rows = await connection.fetch(QUERIES["put_bookings"], *columns.booking_columns(entries))
    moved = {row["booking_id"] for row in rows}
    known = [row["booking_id"] for row in rows if row["known"]]
    bookings = [entry.booking for entry in entries if entry.booking]
    owing = [b.id for b in bookings if b.refund_minor and b.id in moved]
    try:
        for name, ids in (("free_seats", known), ("take_seats", moved), ("owe_refunds", owing)):
            if ids:
                await connection.execute(QUERIES[name], list(ids))
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != ONE_OWNER:
            raise
        raise Rejected(str(error), entries, seat_sold_twice=True) from error
    return moved


async def _fold_event(connection: Connection, event: EventId) -> None:
    """Make the event's row from all its journal entries, however they came."""
    await connection.execute(QUERIES["lock_event"], event)
    entries = await connection.fetch(QUERIES["read_event_entries"], event)
    gzipped = await connection.fetchval(QUERIES["read_layout"], event)
    settings: dict[str, object] = {}
    blocks: list[tuple[str, str]] = []
    for entry in entries:
        said = msgspec.json.decode(entry["body"], type=dict[str, object])
        if entry["kind"] == "event_loaded":
            blocks = []
        if entry["kind"] in ("seats_blocked", "seats_unblocked"):
            blocks.append((entry["kind"], str(said["seats"])))
        else:
            settings |= said
    if gzipped is None or "name" not in settings:
        return  # another writer has the entry that loaded it, and folds it then
    row = event_row(event, settings, entries[-1]["epoch"], gzipped)
    await _put_event(connection, row)
    await connection.execute(QUERIES["set_blocked"], event, columns.blocked_seats(row, blocks))


async def _put_event(connection: Connection, row: EventRow) -> None:
    known = await connection.fetchval(QUERIES["read_layout_version"], row.event_id)
    await connection.execute(QUERIES["put_event"], *columns.event_values(row))
    if known == row.layout.version:
        return
    await connection.execute(QUERIES["drop_seats"], row.event_id)
    arrays = columns.seat_columns(row.event_id, row.layout)
    if arrays:
        await connection.execute(QUERIES["insert_seats"], row.event_id, *arrays)


def event_row(event: EventId, settings: dict[str, object], epoch: int, gzipped: bytes) -> EventRow:
    """An event from the settings Redis has and its gzipped layout."""
    return EventRow(
        event_id=event,
        terms=msgspec.convert(settings, Terms, strict=False),
        loaded_at_ms=int(str(settings["loaded_at_ms"])),
        epoch=epoch,
        layout=layouts.decode(gzipped),
        gzipped=gzipped,
    )
