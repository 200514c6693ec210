"""Finds the entries that Postgres rejects in a batch, so that the others can be written.

Postgres does not name the entry whose value it cannot store; `tables` finds it by halving the
batch. Two other causes are found here by a query: a sale of a seat that another booking owns, and a
sale that a restore did not know.
"""

from collections.abc import Collection, Sequence
from gzip import BadGzipFile
from typing import NamedTuple

import asyncpg

from engine import logs
from engine.agent import UNREADABLE
from engine.ids import BookingId
from engine.models import Booking, BookingStatus, JournalEntry
from engine.payments import payments_of
from persistence.database import Connection, Pool
from persistence.journal import columns
from persistence.sql import named_queries

ERRORS: tuple[type[Exception], ...] = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    *UNREADABLE,  # no script writes such an entry
    BadGzipFile,
    OverflowError,  # a value too large for a column of COPY
)
"""The errors of rejected rows, as opposed to a Postgres that is away or busy."""

_BINDING = (BookingStatus.CONFIRMED, BookingStatus.CANCELLED)

ONE_OWNER = "booking_seats_one_owner"
"""The unique index that rejects a second sale of a seat."""

_QUERIES = named_queries("journal/queries.sql")

_log = logs.get("rejections")


class Rejected(Exception):
    """Postgres rejects the rows: a value that it cannot store, or a seat that is sold."""

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
        """The entries at fault, or candidates for it; empty if unknown."""
        self.seat_sold_twice = seat_sold_twice
        self.outdated = outdated
        """A restore has decided about the booking without this entry; no retry can help."""


class Rejection(NamedTuple):
    """An entry that was not written, and why."""

    entry: JournalEntry
    error: Rejected


def is_about_money(claim: Booking) -> bool:
    """Whether the entry is about money: paid, or to be paid back."""
    return claim.refund_minor > 0 or claim.status in _BINDING or bool(claim.payments)


async def find_contested(pool: Pool, decided: Sequence[JournalEntry]) -> list[JournalEntry]:
    """The sales of seats that another booking owns: those that `ONE_OWNER` would reject.

    `decided` is the result of `decided_bookings`. Of two sales of one seat, the older gets it.
    """
    bookings = [entry.booking for entry in decided if entry.booking]
    seats = [seat for booking in bookings for seat in booking.seats]
    events = list({booking.event_id for booking in bookings})
    ids = [booking.id for booking in bookings]
    async with pool.acquire() as connection:
        owners = await connection.fetch(_QUERIES["find_owners"], events, seats)
        rows = await connection.fetch(_QUERIES["find_cancelled"], ids)
    # A sale that is written after its cancellation takes no seat.
    cancelled = {row["booking_id"] for row in rows}
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
    """The entries that the journal keeps, and those of them that are of the current epoch.

    A restore has decided about the bookings of entries of an older epoch. Such an entry that is
    about money, that Postgres lacks and that is settled already is left out of the journal, so that
    no webhook reports it. The answer holds until the transaction ends, because a restore waits for
    it.

    Raises Rejected for entries about money that are not settled: the restore did not know them.
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


def _is_settled(booking: Booking, status: str | None, owed_minor: int, reason: str | None) -> bool:
    """Whether the customer already has what the entry says, or the refund is owed.

    For a free booking nothing can be owed, so the reason of a refund stands for the refund.
    """
    if booking.refund_minor:
        return owed_minor >= booking.refund_minor
    if booking.status == BookingStatus.CONFIRMED:
        is_refunded = owed_minor > 0 or (not booking.amount_minor and reason is not None)
        return status in _BINDING or is_refunded
    return status == booking.status
