"""Turns journal entries into columns for `unnest`, one array a column, and rows into bookings.

Plain tuples in the order of the query's columns rather than a mapper: the query is the schema.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from engine.ids import EventId, SeatId, seat_ids
from engine.models import Booking, BookingStatus, JournalEntry, Layout, Terms
from engine.plans import layout as layouts
from engine.positions import Position

Columns = list[list[object]]

JOURNAL = (
    *("event_id", "epoch", "entry_ms", "entry_seq", "kind", "at_ms", "booking_id", "body"),
    "layout",
)
"""The columns of `journal_columns`."""


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event as its entries describe it; unknown settings are left out."""

    event_id: EventId
    terms: Terms
    loaded_at_ms: int
    epoch: int
    layout: Layout
    gzipped: bytes


class StoredBooking(msgspec.Struct, frozen=True):
    """A booking as Postgres has it, the seats it owns there, and what is owed for it."""

    booking: Booking
    sold: frozenset[str]
    obligation_minor: int


def decided_bookings(entries: Iterable[JournalEntry]) -> list[JournalEntry]:
    """The newest entry of each booking that is more than held: the only one it is written from.

    As in `put_bookings`, what is cancelled stays so within its epoch, whatever comes later.
    """
    newest: dict[str, JournalEntry] = {}
    for entry in entries:
        if entry.booking is None or entry.booking.status == BookingStatus.PENDING:
            continue
        known = newest.get(entry.booking.id)
        if known is None or _rank(known) < _rank(entry):
            newest[entry.booking.id] = entry
    return list(newest.values())


def _rank(entry: JournalEntry) -> tuple[int, bool, Position]:
    is_cancelled = entry.booking is not None and entry.booking.status == BookingStatus.CANCELLED
    return entry.epoch, is_cancelled, entry.position


def without(entries: Iterable[JournalEntry], refused: Iterable[JournalEntry]) -> list[JournalEntry]:
    """The entries that are not among those refused."""
    gone = {(entry.event_id, entry.entry_id) for entry in refused}
    return [entry for entry in entries if (entry.event_id, entry.entry_id) not in gone]


def changed_events(entries: Iterable[JournalEntry]) -> list[EventId]:
    """The events that have an entry of their own, in one order for every writer."""
    return sorted({entry.event_id for entry in entries if entry.event is not None})


def journal_columns(entries: Iterable[JournalEntry]) -> Columns:
    """The columns JOURNAL, for COPY or as the arguments of `insert_entries`."""
    return _columns(
        (
            entry.event_id,
            entry.epoch,
            at.ms,
            at.sequence,
            entry.kind,
            entry.at_ms,
            entry.booking.id if entry.booking else None,
            msgspec.json.encode(entry.booking or entry.event).decode(),
            entry.layout,
        )
        for entry in entries
        for at in (entry.position,)
    )


def booking_columns(entries: Iterable[JournalEntry]) -> Columns:
    """The arguments of `put_bookings`. Seat ids hold no space, so a list of them is one text."""
    return _columns(
        (
            booking.id,
            booking.event_id,
            booking.customer_id,
            booking.status,
            " ".join(booking.seats),
            msgspec.json.encode(booking.areas).decode(),
            booking.amount_minor,
            booking.currency,
            booking.held_at_ms,
            booking.expires_at_ms,
            booking.confirmed_at_ms,
            booking.ended_at_ms,
            booking.late,
            booking.refund_minor,
            booking.refund_reason,
            entry.epoch,
            at.ms,
            at.sequence,
        )
        for entry in entries
        if (booking := entry.booking) is not None
        for at in (entry.position,)
    )


def event_values(row: EventRow) -> tuple[object, ...]:
    """The arguments of `put_event`."""
    terms = row.terms
    return (
        row.event_id,
        terms.name,
        terms.currency,
        terms.owner_id,
        terms.sales,
        terms.opens_at_ms,
        terms.closes_at_ms,
        terms.hold_ttl_ms,
        terms.hold_max_ms,
        terms.seats_max,
        terms.customer_max,
        terms.ended_ttl_ms,
        row.loaded_at_ms,
        row.epoch,
        layouts.capacity(row.layout),
        row.layout.version,
        row.gzipped,
        terms.starts_at_ms,
        terms.time_zone,
        terms.cancel_until_ms,
        terms.late_payment,
        terms.payment_max_ms,
    )


def blocked_seats(row: EventRow, blocks: Iterable[tuple[str, str]]) -> list[SeatId]:
    """The seats that are blocked: by the layout, then by what was blocked and unblocked since."""
    blocked = {
        seat.id for place in layouts.rows_of(row.layout) for seat in place.seats if seat.blocked
    }
    for kind, seats in blocks:
        if kind == "seats_blocked":
            blocked.update(seats.split())
        else:
            blocked.difference_update(seats.split())
    return seat_ids(row.event_id, blocked)


def seat_columns(event: EventId, layout: Layout) -> Columns:
    """The arguments of `insert_seats`, behind the event."""
    price = {category.id: category.price_minor for category in layout.categories}
    return _columns(
        (
            f"{event}:{seat.id}",
            section.id,
            row.id,
            seat.number,
            seat.category,
            price[seat.category],
            seat.accessible,
            seat.blocked,
        )
        for section in layout.sections
        for row in section.rows
        for seat in row.seats
    )


def stored_booking(row: dict[str, Any]) -> StoredBooking:
    """A row of `stream_bookings`."""
    values = {**row, "id": row["booking_id"], "areas": msgspec.json.decode(row["areas"])}
    return StoredBooking(
        booking=msgspec.convert(values, Booking),
        sold=frozenset(row["sold"]),
        obligation_minor=row["obligation_minor"] or 0,
    )


def _columns(rows: Iterable[Sequence[object]]) -> Columns:
    return [list(column) for column in zip(*rows, strict=True)]
