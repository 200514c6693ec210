"""Writes journal entries to the tables of Postgres, one transaction per batch, by `queries.sql`.

`write` is idempotent: the same entries may be written twice, late or in any order, by several
writers at once. The journal keeps an entry once, a booking only moves forward, and an event is
folded from its entries (`folding`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
from msgspec import Struct

from engine.ids import EventId
from engine.models import Booking, BookingStatus, JournalEntry
from persistence.database import Connection, Pool, stream
from persistence.journal import columns, folding
from persistence.journal.columns import StoredBooking
from persistence.journal.folding import Fields
from persistence.journal.rejections import (
    ERRORS,
    ONE_OWNER,
    Rejected,
    Rejection,
    current_entries,
    find_contested,
)
from persistence.sql import named_queries

FORGET_BOOKINGS = 500
"""How many bookings `forget_unpaid` deletes in one transaction."""

_ONE_ENTRY = "journal_pkey"

_Put = Callable[[Connection, columns.Columns], Awaitable[None]]


class _Repeated(Exception):
    """The journal has one of the entries already, or the batch has it twice."""


QUERIES = named_queries("journal/queries.sql")


class MoneySums(Struct, frozen=True, kw_only=True):
    """The money of an event in one currency, in minor units: paid = sold + owed + back."""

    currency: str
    paid_minor: int
    sold_minor: int
    owed_minor: int
    back_minor: int

    @property
    def is_balanced(self) -> bool:
        """Whether every cent that was paid is for sold places, is owed, or is back."""
        return self.paid_minor == self.sold_minor + self.owed_minor + self.back_minor

    def __str__(self) -> str:
        return (
            f"{self.paid_minor:,} {self.currency} (minor units) paid: {self.sold_minor:,} sold, "
            f"{self.owed_minor:,} owed, {self.back_minor:,} paid back"
        )


class Store:
    """The reads and writes of the writer, the reconciler and the restorer."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(self, entries: Sequence[JournalEntry]) -> list[Rejection]:
        """Write journal entries and the rows they change; returns those that Postgres rejects.

        All others are written, in one transaction if none is rejected. Any error means that
        Postgres is away, busy or faulty, and the same entries can be retried.
        """
        unreadable = [entry for entry in entries if entry.booking is None and entry.event is None]
        rejections = [Rejection(entry, Rejected(entry.kind)) for entry in unreadable]
        parts = [columns.without(entries, unreadable)]
        while parts:
            part = parts.pop()
            try:
                await self._write_whole(part)
            except Rejected as error:
                rejected = error.entries
                if error.seat_sold_twice:
                    rejected = await find_contested(self._pool, error.entries)
                if not rejected and len(part) > 1:  # Postgres does not say which one
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                    continue
                rejected = rejected or part
                rejections += [Rejection(entry, error) for entry in rejected]
                parts.append(columns.without(part, rejected))
        return rejections

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
            for first in columns.first_changes(entries).values():
                await folding.fold_event(connection, first)
            moved = await _put_bookings(connection, columns.decided_bookings(current))
            await _put_payments(connection, current, moved)

    async def put_bookings(
        self, bookings: Sequence[Booking], epoch: int, entry_id: str
    ) -> set[str]:
        """Repair: write bookings in their state as of one entry of the journal.

        Returns the ids that were written: a booking with a newer entry is not changed.
        Raises Rejected, and otherwise as `write`.
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
            moved = await _put_bookings(connection, entries)
            await _put_payments(connection, entries, moved)
            return moved

    async def forget_unpaid(self, keep_ms: int) -> bool:
        """Delete bookings that ended unpaid over `keep_ms` ago, with their journal entries.

        At most FORGET_BOOKINGS of them; whether there may be more. An entry of one that comes
        later writes it again: it has the whole booking.
        """
        async with self._transaction() as connection:
            rows = await connection.fetch(QUERIES["find_unpaid"], keep_ms, FORGET_BOOKINGS)
            ids = [row["booking_id"] for row in rows]
            if ids:
                await connection.execute(QUERIES["forget_entries"], ids)
                await connection.execute(QUERIES["forget_bookings"], ids)
        return len(ids) == FORGET_BOOKINGS

    async def put_event(
        self, event: EventId, settings: Fields, gzipped: bytes, blocked: Mapping[str, bool]
    ) -> None:
        """Repair: write an event and its seats as Redis has them. Raises as `put_bookings`."""
        async with self._transaction() as connection:
            await folding.put_event(connection, event, settings, gzipped, blocked)

    async def list_events(self) -> set[EventId]:
        """The events that Postgres has."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(QUERIES["list_events"])
        return {EventId(row["event_id"]) for row in rows}

    async def stream_bookings(
        self, event: EventId, booking_ids: Sequence[str]
    ) -> AsyncIterator[StoredBooking]:
        """The event's confirmed bookings and those of `booking_ids`, streamed from one snapshot."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            async for row in stream(connection, QUERIES["stream_bookings"], event, booking_ids):
                yield columns.stored_booking(dict(row))

    async def find_unaccounted(self, event: EventId) -> list[tuple[str, str]]:
        """Payments and sales of the event that do not add up: the booking, and what is wrong."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(QUERIES["find_unaccounted"], event)
        return [
            (row["booking_id"], f"{row['payment_id'] or 'its payments'}: {row['detail']}")
            for row in rows
        ]

    async def sum_payments(self, event: EventId) -> list[MoneySums]:
        """What was paid for the event and what became of it, for each currency."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(QUERIES["sum_payments"], event)
        return [MoneySums(**row) for row in rows]

    async def list_payments(self, event: EventId) -> set[tuple[str, str, int, str]]:
        """Every payment of the event: its booking, its id, its amount in minor units, currency."""
        async with self._pool.acquire() as connection:
            return {tuple(row) for row in await connection.fetch(QUERIES["list_payments"], event)}

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
    """Copy new entries into the journal, at half the cost of `_insert`; fails on a known entry."""
    rows = zip(*arrays, strict=True)
    await connection.copy_records_to_table("journal", records=rows, columns=columns.JOURNAL)


async def _insert(connection: Connection, arrays: columns.Columns) -> None:
    """Insert the entries that the journal does not have."""
    await connection.execute(QUERIES["insert_entries"], *arrays)


async def _queue(connection: Connection, entries: Sequence[JournalEntry]) -> None:
    """Have webhooks told, if there are any; of a hold there is nothing to tell."""
    told = [
        e
        for e in entries
        if e.booking and (e.booking.status != BookingStatus.PENDING or e.kind == "refund_due")
    ]
    if told:
        await connection.execute(QUERIES["queue_entries"], *columns.journal_columns(told)[:5])


async def _put_bookings(connection: Connection, entries: Sequence[JournalEntry]) -> set[str]:
    """Move bookings to their newest entries; returns the ids that moved. Raises Rejected."""
    if not entries:
        return set()
    rows = await connection.fetch(QUERIES["put_bookings"], *columns.booking_columns(entries))
    moved = {row["booking_id"] for row in rows}
    known = [row["booking_id"] for row in rows if row["known"]]
    try:
        for name, ids in (("free_seats", known), ("take_seats", moved)):
            if ids:
                await connection.execute(QUERIES[name], list(ids))
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != ONE_OWNER:
            raise
        raise Rejected(str(error), entries, seat_sold_twice=True) from error
    return moved


async def _put_payments(
    connection: Connection, entries: Sequence[JournalEntry], moved: Collection[str]
) -> None:
    """Move payments to their newest entries, and owe or settle what follows from them.

    Those of bookings that are held, or that moved: of any other, Postgres knows better.
    """
    newest = columns.newest_payments(
        entry
        for entry in entries
        if entry.booking
        and (entry.booking.status == BookingStatus.PENDING or entry.booking.id in moved)
    )
    if not newest:
        return
    await connection.execute(QUERIES["put_payments"], *columns.payment_columns(newest))
    owing = {
        entry.booking.id
        for entry, payment in newest
        if entry.booking and (payment.owed_minor or payment.refunded_minor)
    }
    if owing:
        await connection.execute(QUERIES["owe_payments"], list(owing))
        await connection.execute(QUERIES["settle_refunded"], list(owing))
