"""The only runner of SQL: the named queries of `queries.sql`, and what belongs in one transaction.

`write` may be given the same entries twice, late, or in any order, by several writers at once:
the journal keeps an entry once, a booking only moves forward, and an event is folded from all
the entries the journal has of it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from gzip import BadGzipFile

import asyncpg
import msgspec

from engine.ids import EventId
from engine.models import Booking, BookingStatus, JournalEntry, Terms
from engine.plans import layout as layouts
from persistence import batch
from persistence.batch import EventRow, StoredBooking
from persistence.database import Connection, Pool
from persistence.sql import named_queries

_REFUSED = (
    *(asyncpg.DataError, asyncpg.IntegrityConstraintViolationError),
    *(msgspec.MsgspecError, BadGzipFile, EOFError, LookupError, ValueError),  # not an entry of ours
)


_BINDING = (BookingStatus.CONFIRMED, BookingStatus.CANCELLED)

ONE_OWNER = "booking_seats_one_owner"
"""The unique index that refuses a second sale of a seat."""


class Unwritable(Exception):
    """Postgres is there and refuses the rows: a value it cannot take, or a seat that is sold."""

    def __init__(self, why: str, *, seat_sold_twice: bool = False, outdated: bool = False) -> None:
        super().__init__(why)
        self.seat_sold_twice = seat_sold_twice
        self.outdated = outdated
        """It says what a restore has decided without it; no later try can help."""


QUERIES = named_queries("queries.sql")


class Store:
    """What the writer and the reconciler do with Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(self, entries: Sequence[JournalEntry]) -> None:
        """Write journal entries and what follows from them, in one transaction.

        Raises Unwritable when these rows are refused; any other error says that Postgres is
        away, busy or wrong, and the same entries may be tried again.
        """
        if not entries:
            return
        for entry in entries:
            if entry.booking is None and entry.event is None:
                raise Unwritable(entry.kind)
        async with self._transaction() as connection:
            columns = batch.journal_columns(entries)
            current = await _current(connection, entries, columns)
            await connection.execute(QUERIES["insert_entries"], *columns)
            for event in batch.changed_events(entries):
                await _fold_event(connection, event)
            await _put_bookings(connection, batch.newest_bookings(current))

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
            async for row in connection.cursor(
                QUERIES["stream_bookings"], event, booking_ids, prefetch=1000
            ):
                yield batch.stored_booking(dict(row))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                yield connection
        except _REFUSED as error:
            constraint = getattr(error, "constraint_name", None)
            raise Unwritable(str(error), seat_sold_twice=constraint == ONE_OWNER) from error


async def _current(
    connection: Connection, entries: Sequence[JournalEntry], columns: batch.Columns
) -> list[JournalEntry]:
    """The entries without those of a time before a restore: it has decided what came of them.

    Raises Unwritable for one that it cannot have known and that is about money.
    """
    rows = await connection.fetch(QUERIES["find_outdated"], *columns[:4])
    outdated = {row["number"] - 1: row["known"] for row in rows}
    for number, known in outdated.items():
        booking = entries[number].booking
        if booking and not known and (booking.refund_minor or booking.status in _BINDING):
            why = f"{entries[number].kind} of {booking.id} came after a restore"
            raise Unwritable(why, outdated=True)
    return [entry for number, entry in enumerate(entries) if number not in outdated]


async def _put_bookings(connection: Connection, entries: Sequence[JournalEntry]) -> set[str]:
    if not entries:
        return set()
    rows = await connection.fetch(QUERIES["put_bookings"], *batch.booking_columns(entries))
    moved = [row["booking_id"] for row in rows]
    for name in ("free_seats", "take_seats", "owe_refunds"):
        await connection.execute(QUERIES[name], moved)
    return set(moved)


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
    await connection.execute(QUERIES["set_blocked"], event, batch.blocked_seats(row, blocks))


async def _put_event(connection: Connection, row: EventRow) -> None:
    known = await connection.fetchval(QUERIES["read_layout_version"], row.event_id)
    await connection.execute(QUERIES["put_event"], *batch.event_values(row))
    if known == row.layout.version:
        return
    await connection.execute(QUERIES["drop_seats"], row.event_id)
    columns = batch.seat_columns(row.event_id, row.layout)
    if columns:
        await connection.execute(QUERIES["insert_seats"], row.event_id, *columns)


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
