"""Converts a booking to the JSON that Redis and the journal have, and back."""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.ids import AreaId, BookingId, CustomerId, EventId, local_ids, seat_ids
from engine.models import AreaQuantity, Booking, BookingStatus, Payment, Together
from engine.payments import payment_said


class BookingRecord(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The fields that `lua/lib/bookings.lua` writes. `seats` and `areas` are space-separated."""

    customer: CustomerId
    status: BookingStatus
    places: int
    seats: str
    areas: str
    amount_minor: int
    currency: str
    held_at_ms: int
    expires_at_ms: int
    confirmed_at_ms: int | None = None
    ended_at_ms: int | None = None
    late: bool = False
    refund_minor: int = 0
    refund_reason: str | None = None
    payment: str = ""
    """Of a sale without a list of payments: the source and the id of its one payment."""
    payments: tuple[Payment, ...] = ()
    together: Together | None = None


_decode = msgspec.json.Decoder(BookingRecord, strict=False).decode
_encode = msgspec.json.Encoder().encode


def booking_of(event: EventId, ulid: str, json: bytes) -> Booking:
    """The booking in its JSON."""
    record = _decode(json)
    # Without what few have: with more than 15 keywords CPython makes a dict for a call.
    booking = Booking(
        id=BookingId(f"{event}:{ulid}"),
        event_id=event,
        customer_id=record.customer,
        status=record.status,
        seats=tuple(seat_ids(event, record.seats.split())),
        areas=tuple([_area(text) for text in record.areas.split()]) if record.areas else (),
        amount_minor=record.amount_minor,
        currency=record.currency,
        held_at_ms=record.held_at_ms,
        expires_at_ms=record.expires_at_ms,
        confirmed_at_ms=record.confirmed_at_ms,
        ended_at_ms=record.ended_at_ms,
        late=record.late,
        refund_minor=record.refund_minor,
        refund_reason=record.refund_reason,
    )
    if record.together:
        booking = replace(booking, together=record.together)
    if record.payments:
        return replace(booking, payments=record.payments)
    if record.status == BookingStatus.CONFIRMED:
        return replace(booking, payments=(payment_said(booking, record.payment),))
    return booking


def json_of(booking: Booking) -> bytes:
    """The JSON of a booking: what `booking_of` reads."""
    listed, said = booking.payments, ""
    if booking.status == BookingStatus.CONFIRMED and len(listed) == 1:
        said = f"{listed[0].source} {listed[0].id}"
        if listed == (payment_said(booking, ""),):
            listed, said = (), ""
        elif listed == (payment_said(booking, said),):
            listed = ()
        else:
            said = ""
    record = BookingRecord(
        customer=booking.customer_id,
        status=booking.status,
        places=booking.place_count,
        seats=" ".join(local_ids(booking.event_id, booking.seats)),
        areas=" ".join(f"{area.area_id}={area.quantity}" for area in booking.areas),
        amount_minor=booking.amount_minor,
        currency=booking.currency,
        held_at_ms=booking.held_at_ms,
        expires_at_ms=booking.expires_at_ms,
        confirmed_at_ms=booking.confirmed_at_ms,
        ended_at_ms=booking.ended_at_ms,
        late=booking.late,
        refund_minor=booking.refund_minor,
        refund_reason=booking.refund_reason,
        payment=said,
        payments=listed,
        together=booking.together,
    )
    return _encode(record)


def _area(text: str) -> AreaQuantity:
    area, _, quantity = text.partition("=")
    return AreaQuantity(AreaId(area), int(quantity))
