"""What Postgres refuses of a batch, and whose fault it is: named, so that all others are written.

A value it cannot take says nothing of itself. A seat that is another's, and a sale that a restore
did not know, are looked for here.
"""

from collections.abc import Collection, Sequence
from gzip import BadGzipFile
from typing import NamedTuple

import asyncpg
import msgspec

from engine import logs
from engine.ids import BookingId
from engine.models import Booking, BookingStatus, JournalEntry
from engine.payments import payments_of
from persistence.database import Connection, Pool
from persistence.journal import columns
from persistence.sql import named_queries

ERRORS = (
    *(asyncpg.DataError, asyncpg.IntegrityConstraintViolationError),
    *(msgspec.MsgspecError, BadGzipFile, EOFError, LookupError, ValueError),  # not an entry of ours
    OverflowError,  # what is too large for a column of COPY
)
"""What is raised for rows that are refused, not for a Postgres that is away or busy."""

_BINDING = (BookingStatus.CONFIRMED, BookingStatus.CANCELLED)

ONE_OWNER = "booking_seats_one_owner"
"""The unique index that refuses a second sale of a seat."""

_QUERIES = named_queries("journal/queries.sql")

_log = logs.get("refusals")


class Rejected(Exception):
    """Postgres is there and refuses the rows: a value it cannot take, or a seat that is sold."""

    def __init__(
        self,
        why: str,
        entries: Sequence[JournalEntry] = (),
        *,
        seat_sold_twice: bool = False,
        outdated: bool = False,
    ) -> None:
        super().__init__(why)
        self.entries = entries
        """Those at fault, or among which they are; none: nobody knows."""
        self.seat_sold_twice = seat_sold_twice
        self.outdated = outdated
        """It says what a restore has decided without it; no later try can help."""


class Rejection(NamedTuple):
    """An entry that was not written, and why."""

    entry: JournalEntry
    error: Rejected


def is_about_money(claim: Booking) -> bool:
    """Whether somebody has paid for it, or is to be paid back."""
    return claim.refund_minor > 0 or claim.status in _BINDING or bool(claim.payments)


async def find_contested(pool: Pool, decided: Sequence[JournalEntry]) -> list[JournalEntry]:
    """The sales among them of seats that are another's: what `ONE_OWNER` would refuse.

    `decided` is what `decided_bookings` answers. Of two sales of a seat in it the older has it.
    """
    bookings = [entry.booking for entry in decided if entry.booking]
    seats = [seat for booking in bookings for seat in booking.seats]
    events = list({booking.event_id for booking in bookings})
    ids = [booking.id for booking in bookings]
    async with pool.acquire() as connection:
        owners = await connection.fetch(_QUERIES["find_owners"], events, seats)
        rows = await connection.fetch(_QUERIES["find_cancelled"], ids)
    cancelled = {row["booking_id"] for row in rows}  # their sales come too late to take a seat
    sales = {b.id: _sold_seats(b) for b in bookings if b.id not in cancelled}
    owned = {
        row["seat_id"]: row["booking_id"]
        for row in owners
        if row["seat_id"] in sales.get(row["booking_id"], (row["seat_id"],))
    }
    contested = []
    for entry in sorted(decided, key=lambda entry: (entry.epoch, entry.position)):
        id_ = BookingId(entry.booking.id if entry.booking else "")
        wanted = sales.get(id_, ())
        if any(owned.get(seat, id_) != id_ for seat in wanted):
            contested.append(entry)
        else:
            owned |= dict.fromkeys(wanted, id_)
    return contested


def _sold_seats(booking: Booking) -> Collection[str]:
    return booking.seats if booking.status == BookingStatus.CONFIRMED else ()


async def current_entries(
    connection: Connection, entries: Sequence[JournalEntry], arrays: columns.Columns
) -> tuple[Sequence[JournalEntry], Sequence[JournalEntry]]:
    """What the journal keeps, and of it what is not of a time before a restore.

    The restore has decided what came of those. One that is about money and that Postgres has not
    is left out where that is settled, as if it had been refused: a webhook must not hear of it.
    What is found holds until the transaction ends: a restore waits for it.

    Raises Rejected for those about money that are not settled: the restore did not know them.
    """
    events = sorted({entry.event_id for entry in entries})
    await connection.execute(_QUERIES["share_epochs"], events)
    rows = await connection.fetch(_QUERIES["read_epochs"], events)
    epochs = {row["event_id"]: row["epoch"] for row in rows}
    if all(entry.epoch >= epochs.get(entry.event_id, 0) for entry in entries):
        return entries, entries
    rows = await connection.fetch(_QUERIES["find_outdated"], *arrays[:4], arrays[6])
    outdated, settled, unknown = set[int](), set[int](), []
    for row in rows:
        entry = entries[row["number"] - 1]
        outdated.add(row["number"] - 1)
        if entry.booking is None or row["known"] or not is_about_money(entry.booking):
            continue
        became = (row["status"], row["owed_minor"], row["refund_reason"])
        recorded = {payment.id for payment in payments_of(entry.booking)} <= {*row["payment_ids"]}
        if not (recorded and _is_settled(entry.booking, *became)):
            unknown.append(entry)
        else:
            settled.add(row["number"] - 1)
    if unknown:
        raise Rejected("it came after a restore that did not know it", unknown, outdated=True)
    for number in settled:
        booking_id = arrays[6][number]
        entry_id, kind = entries[number].entry_id, entries[number].kind
        _log.info("entry_settled", booking_id=booking_id, entry_id=entry_id, kind=kind)
    kept = [entry for number, entry in enumerate(entries) if number not in settled]
    return kept, [entry for number, entry in enumerate(entries) if number not in outdated]


def _is_settled(claim: Booking, status: str | None, owed_minor: int, reason: str | None) -> bool:
    """Whether the customer has what the claim says, or is owed his money, without it.

    For a free booking nothing can be owed: that a refund would have had a reason says the same.
    """
    if claim.refund_minor:
        return owed_minor >= claim.refund_minor
    if claim.status == BookingStatus.CONFIRMED:
        is_refunded = owed_minor > 0 or (not claim.amount_minor and reason is not None)
        return status in _BINDING or is_refunded
    return status == claim.status
