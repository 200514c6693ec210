"""Converts journal entries to columns for `unnest`, one array per column, and rows to bookings.

These are plain tuples in the order of the query's columns instead of a mapper: the query is the
schema.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from engine.ids import EventId
from engine.models import Booking, BookingStatus, JournalEntry, Layout, Payment, Terms
from engine.payments import payments_of
from engine.positions import Position

Columns = list[list[object]]

JOURNAL = (
    "event_id",
    "epoch",
    "entry_ms",
    "entry_seq",
    "kind",
    "at_ms",
    "booking_id",
    "body",
    "layout",
)
"""The columns of `journal_columns`."""


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event as its entries describe it, without unknown settings.

    `gzipped` is the layout as it was loaded, None if it stays. `layout_version` and `capacity` are
    those of the layout with all that was added since.
    """

    event_id: EventId
    terms: Terms
    loaded_at_ms: int
    epoch: int
    capacity: int
    layout_version: str
    gzipped: bytes | None


class StoredBooking(msgspec.Struct, frozen=True):
    """A booking as Postgres has it, the seats it owns there, and what is owed of each payment.

    None: it is settled.
    """

    booking: Booking
    sold: frozenset[str]
    obligations: dict[str, int | None]


def decided_bookings(entries: Iterable[JournalEntry]) -> list[JournalEntry]:
    """The newest entry of each booking that is no longer just held; its row is written from it.

    As in `put_bookings`, a cancelled booking stays cancelled within its epoch, whatever follows.
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


def without(
    entries: Iterable[JournalEntry], rejected: Iterable[JournalEntry]
) -> list[JournalEntry]:
    """The entries without the rejected ones."""
    gone = {(entry.event_id, entry.entry_id) for entry in rejected}
    return [entry for entry in entries if (entry.event_id, entry.entry_id) not in gone]


def first_changes(entries: Iterable[JournalEntry]) -> dict[EventId, JournalEntry]:
    """The first event entry of each event that has any, in the same order for every writer."""
    first: dict[EventId, JournalEntry] = {}
    for entry in sorted(entries, key=lambda entry: (entry.event_id, entry.epoch, entry.position)):
        if entry.event is not None:
            first.setdefault(entry.event_id, entry)
    return first


def journal_columns(entries: Iterable[JournalEntry]) -> Columns:
    """The columns named in JOURNAL, for COPY or as the arguments of `insert_entries`."""
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
    """The arguments of `put_bookings`. A seat id contains no space, so a list is one text."""
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
            booking.together,
            entry.epoch,
            at.ms,
            at.sequence,
        )
        for entry in entries
        if (booking := entry.booking) is not None
        for at in (entry.position,)
    )


def newest_payments(entries: Iterable[JournalEntry]) -> list[tuple[JournalEntry, Payment]]:
    """Every payment of these entries, of each the newest that is said of it."""
    newest: dict[tuple[str, str], tuple[JournalEntry, Payment]] = {}
    for entry in sorted(entries, key=_rank):
        if entry.booking is not None:
            for payment in payments_of(entry.booking):
                newest[entry.booking.id, payment.id] = entry, payment
    return list(newest.values())


def payment_columns(payments: Iterable[tuple[JournalEntry, Payment]]) -> Columns:
    """The arguments of `put_payments`."""
    return _columns(
        (
            booking.id,
            payment.id,
            booking.event_id,
            booking.customer_id,
            payment.amount_minor,
            payment.currency,
            payment.source,
            payment.outcome,
            payment.note,
            payment.provider_id,
            payment.reason,
            payment.owed_minor,
            payment.refunded_minor,
            payment.disputed_at_ms,
            payment.at_ms,
            entry.epoch,
            at.ms,
            at.sequence,
        )
        for entry, payment in payments
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
        row.capacity,
        row.layout_version,
        row.gzipped,
        terms.starts_at_ms,
        terms.time_zone,
        terms.cancel_until_ms,
        terms.late_payment,
        terms.payment_max_ms,
        terms.single_seats,
        terms.accessible_release_at_ms,
    )


def seat_columns(event: EventId, layout: Layout) -> Columns:
    """The arguments of `insert_seats` after the event."""
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
    return StoredBooking(
        booking=booking_of_row(row),
        sold=frozenset(row["sold"]),
        obligations=msgspec.json.decode(row["obligations"] or "{}"),
    )


def booking_of_row(row: Mapping[str, Any], **over: object) -> Booking:
    """A row of `bookings`, with its payments as `payments_of_bookings` has them."""
    parts = {name: msgspec.json.decode(row[name] or "[]") for name in ("areas", "payments")}
    return msgspec.convert({**row, "id": row["booking_id"], **parts, **over}, Booking)


def _columns(rows: Iterable[Sequence[object]]) -> Columns:
    return [list(column) for column in zip(*rows, strict=True)]
