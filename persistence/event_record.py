"""Reads events from Postgres: everything of one event for a restore, its newest entry for a check.

A restore reads an event in one snapshot: a writer that commits meanwhile does not change the rows.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from engine import logs
from engine.errors import EngineError
from engine.ids import BookingId, EventId, local_id
from engine.models import Booking, Layout, Terms
from engine.payments import with_payments
from engine.plans import layout as layouts
from engine.positions import Position
from engine.restore.rebuild import StoredEvent
from persistence.database import Connection, Pool, stream
from persistence.journal.columns import booking_of_row
from persistence.sql import named_queries

QUERIES = named_queries("restore.sql")
_MINOR = range(2**63)
_decode = msgspec.json.Decoder(Booking).decode
_log = logs.get("event_record")


class LayoutIncomplete(EngineError):
    """The journal in Postgres lacks an entry that added seats to an event."""

    code = "layout_incomplete"

    def __init__(self, event: EventId, version: str) -> None:
        super().__init__(f"the journal of {event} lacks the entry that made layout {version}")


class Newest(NamedTuple):
    """The newest entry of an event that Postgres has."""

    epoch: int
    position: Position


async def read_newest(pool: Pool, timeout_s: float = 10.0) -> dict[EventId, Newest]:
    """The newest entry of every event. Raises the errors of Postgres, and TimeoutError."""
    async with asyncio.timeout(timeout_s), pool.acquire() as connection:
        rows = await connection.fetch(QUERIES["read_newest"])
    return {
        EventId(row["event_id"]): Newest(row["epoch"], Position(row["entry_ms"], row["entry_seq"]))
        for row in rows
    }


async def find_between(
    pool: Pool, event: EventId, epoch: int, after: Position, before: Position
) -> list[Position]:
    """The entries that Postgres has between two others, both excluded."""
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            QUERIES["find_between"], event, epoch, *after[:2], *before[:2]
        )
    return [Position(row["entry_ms"], row["entry_seq"]) for row in rows]


async def read_event(
    pool: Pool, event: EventId, now_ms: int | None = None, unsettled: Sequence[BookingId] = ()
) -> StoredEvent | None:
    """Everything a restore needs, in one snapshot; without `now_ms` no bookings.

    The `unsettled` bookings are read however old they are: such a sale may have been settled long
    ago. None: Postgres has no such event.
    """
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        row = await connection.fetchrow(QUERIES["read_event"], event)
        if row is None:
            return None
        terms = msgspec.convert(dict(row), Terms)
        newest = (await connection.fetch(QUERIES["read_newest_of"], event))[0]
        blocked = await connection.fetch(QUERIES["list_blocked"], event)
        additions = await connection.fetch(QUERIES["read_additions"], event)
        layout, gzipped = await asyncio.to_thread(_layout_of, dict(row), [*map(dict, additions)])
        return StoredEvent(
            event_id=event,
            terms=terms,
            layout=layout,
            gzipped=gzipped,
            loaded_at_ms=row["loaded_at_ms"],
            epoch=max(row["epoch"], newest["epoch"]),
            newest=Position(newest["entry_ms"] or 0, 0),
            blocked=frozenset(local_id(seat["seat_id"]) for seat in blocked),
            bookings=()
            if now_ms is None
            else tuple(await _bookings(connection, event, now_ms - terms.ended_ttl_ms, unsettled)),
        )


def _layout_of(
    row: Mapping[str, Any], additions: Sequence[Mapping[str, Any]]
) -> tuple[Layout, bytes]:
    """The event's layout: as it was loaded, with what was added since, which leads back to it."""
    layout, gzipped, version = layouts.decode(row["layout"]), row["layout"], row["layout_version"]
    if layout.version == version:
        return layout, gzipped
    by_version = {addition["version"]: addition for addition in additions}
    added = []
    while version != layout.version:
        addition = by_version.pop(version, None)
        if addition is None:
            raise LayoutIncomplete(row["event_id"], version)
        added.append(layouts.decode(addition["layout"]))
        version = addition["known_version"]
    for each in reversed(added):
        layout = layouts.extended(layout, each)
    return layout, layouts.encode(layout)


async def _bookings(
    connection: Connection, event: EventId, since_ms: int, unsettled: Sequence[BookingId]
) -> list[Booking]:
    query = QUERIES["stream_stored"]
    rows = stream(connection, query, event, since_ms, unsettled)
    bookings = [_booking(dict(row)) async for row in rows]
    held = stream(connection, QUERIES["stream_pending"], event)
    return bookings + [booking async for row in held for booking in _held(row["body"])]


def _held(body: str) -> Iterator[Booking]:
    """The hold of a journal entry, unless it is unreadable or no row could hold its later states.

    No script writes such an entry. If it were restored, the event could never be reopened.
    """
    try:
        booking = _decode(body)
    except msgspec.MsgspecError as error:
        _log.warning("hold_unreadable", why=str(error))
        return
    texts = (booking.customer_id, booking.currency, *booking.seats)
    if any("\0" in text for text in texts) or booking.amount_minor not in _MINOR:
        _log.warning(
            "hold_unreadable", booking_id=booking.id, why="Postgres cannot store its values"
        )
        return
    yield booking


def _booking(row: Mapping[str, object]) -> Booking:
    """A booking with all of its payments, also those that Redis did not know of."""
    booking = booking_of_row(row)
    owed = [payment.reason for payment in booking.payments if payment.owed_minor]
    return with_payments(booking, booking.payments, booking.refund_reason or (owed or [None])[0])
