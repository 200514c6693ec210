"""What Postgres remembers of events: all of one, for a restore; how far each has come, for a look.

One snapshot an event: the rows of a restore are of one instant, whatever the writer does meanwhile.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from engine.ids import EventId
from engine.models import Booking, Terms
from engine.plans import layout as layouts
from engine.rebuild import Position, Remembered
from persistence.database import Connection, Pool
from persistence.sql import named_queries

QUERIES = named_queries("restore.sql")


class Newest(NamedTuple):
    """The newest entry of an event that Postgres has."""

    epoch: int
    position: Position


async def read_newest(pool: Pool, timeout_s: float = 10.0) -> dict[EventId, Newest]:
    """How far every event has come. Raises what Postgres raises; TimeoutError."""
    async with asyncio.timeout(timeout_s), pool.acquire() as connection:
        rows = await connection.fetch(QUERIES["read_newest"])
    return {
        EventId(row["event_id"]): Newest(row["epoch"], (row["entry_ms"], row["entry_seq"]))
        for row in rows
    }


async def find_between(
    pool: Pool, event: EventId, epoch: int, after: Position, read: Sequence[Position]
) -> list[Position]:
    """What Postgres has after an entry, before the last of `read`, and is none of these."""
    columns = [list(column) for column in zip(*read, strict=True)]
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            QUERIES["find_between"], event, epoch, *after, *max(read), *columns
        )
    return [(row["entry_ms"], row["entry_seq"]) for row in rows]


async def read_event(pool: Pool, event: EventId, now_ms: int | None = None) -> Remembered | None:
    """All that a restore needs, of one instant; without `now_ms` no bookings.

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
        start = len(event) + 1
        blocked = await connection.fetch(QUERIES["list_blocked"], event)
        return Remembered(
            event_id=event,
            terms=terms,
            layout=layouts.decode(row["layout"]),
            gzipped=row["layout"],
            loaded_at_ms=row["loaded_at_ms"],
            epoch=max(row["epoch"], newest["epoch"]),
            newest=(newest["entry_ms"] or 0, 0),
            blocked=frozenset(seat["seat_id"][start:] for seat in blocked),
            bookings=()
            if now_ms is None
            else tuple(await _bookings(connection, event, now_ms - terms.ended_ttl_ms)),
        )


async def _bookings(connection: Connection, event: EventId, since_ms: int) -> list[Booking]:
    rows = connection.cursor(QUERIES["stream_remembered"], event, since_ms, prefetch=1000)
    return [_booking(dict(row)) async for row in rows]


def _booking(row: Mapping[str, object]) -> Booking:
    owed = {
        "refund_minor": row["obligation_minor"] or row["refund_minor"],
        "refund_reason": row["refund_reason"] or row["obligation_reason"],
    }
    areas = msgspec.json.decode(str(row["areas"]))
    return msgspec.convert({**row, "id": row["booking_id"], "areas": areas, **owed}, Booking)
