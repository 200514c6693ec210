"""What Postgres remembers of events: all of one, for a restore; how far each has come, for a look.

One snapshot an event: the rows of a restore are of one instant, whatever the writer does meanwhile.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from engine import logs
from engine.ids import BookingId, EventId, local_id
from engine.models import Booking, Terms
from engine.plans import layout as layouts
from engine.positions import Position
from engine.restore.rebuild import StoredEvent
from persistence.database import Connection, Pool, stream
from persistence.sql import named_queries

QUERIES = named_queries("restore.sql")
_MINOR = range(2**63)
_decode = msgspec.json.Decoder(Booking).decode
_log = logs.get("record")


class Newest(NamedTuple):
    """The newest entry of an event that Postgres has."""

    epoch: int
    position: Position


async def read_newest(pool: Pool, timeout_s: float = 10.0) -> dict[EventId, Newest]:
    """How far every event has come. Raises what Postgres raises; TimeoutError."""
    async with asyncio.timeout(timeout_s), pool.acquire() as connection:
        rows = await connection.fetch(QUERIES["read_newest"])
    return {
        EventId(row["event_id"]): Newest(row["epoch"], Position(row["entry_ms"], row["entry_seq"]))
        for row in rows
    }


async def find_between(
    pool: Pool, event: EventId, epoch: int, after: Position, before: Position
) -> list[Position]:
    """What Postgres has after one entry and before another."""
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            QUERIES["find_between"], event, epoch, *after[:2], *before[:2]
        )
    return [Position(row["entry_ms"], row["entry_seq"]) for row in rows]


async def read_event(
    pool: Pool, event: EventId, now_ms: int | None = None, claimed: Sequence[BookingId] = ()
) -> StoredEvent | None:
    """All that a restore needs, of one instant; without `now_ms` no bookings.

    Those that are `claimed` however old: such a claim may have been settled long ago.
    None: Postgres has no such event.
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
        return StoredEvent(
            event_id=event,
            terms=terms,
            layout=layouts.decode(row["layout"]),
            gzipped=row["layout"],
            loaded_at_ms=row["loaded_at_ms"],
            epoch=max(row["epoch"], newest["epoch"]),
            newest=Position(newest["entry_ms"] or 0, 0),
            blocked=frozenset(local_id(seat["seat_id"]) for seat in blocked),
            bookings=()
            if now_ms is None
            else tuple(await _bookings(connection, event, now_ms - terms.ended_ttl_ms, claimed)),
        )


async def _bookings(
    connection: Connection, event: EventId, since_ms: int, claimed: Sequence[BookingId]
) -> list[Booking]:
    query = QUERIES["stream_remembered"]
    rows = stream(connection, query, event, since_ms, claimed)
    bookings = [_booking(dict(row)) async for row in rows]
    held = stream(connection, QUERIES["stream_pending"], event)
    return bookings + [booking async for row in held for booking in _held(row["body"])]


def _held(body: str) -> Iterator[Booking]:
    """The hold of a journal entry, unless nobody can read it or no row could ever say how it ended.

    No script writes such an entry; were it dealt out again, the event would never open.
    """
    try:
        booking = _decode(body)
    except msgspec.MsgspecError as error:
        _log.warning("hold_unreadable", why=str(error))
        return
    texts = (booking.customer_id, booking.currency, *booking.seats)
    if any("\0" in text for text in texts) or booking.amount_minor not in _MINOR:
        _log.warning("hold_unreadable", booking_id=booking.id, why="no row can have its values")
        return
    yield booking


def _booking(row: Mapping[str, object]) -> Booking:
    owed = {
        "refund_minor": row["obligation_minor"] or row["refund_minor"],
        "refund_reason": row["refund_reason"] or row["obligation_reason"],
    }
    areas = msgspec.json.decode(str(row["areas"]))
    return msgspec.convert({**row, "id": row["booking_id"], "areas": areas, **owed}, Booking)
