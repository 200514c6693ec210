"""What a webhook is sent: `{"type", "timestamp", "data"}`, as Standard Webhooks recommends.

`data` is the booking as the API tells it, with its customer: full rather than thin, as the
journal has it at that very moment, which a later GET would no longer show. `timestamp` is when
it happened; when it was sent is in the `webhook-timestamp` header.
"""

from datetime import UTC, datetime

import msgspec

from engine.models import Booking
from engine.ports.webhooks import Message, MessageArea, MessageBooking, MessageKind

_decode = msgspec.json.Decoder(Booking).decode
_encode = msgspec.json.Encoder().encode


def encode_message(kind: MessageKind, at_ms: int, booking_json: str) -> bytes:
    """The body for one journal entry; the same bytes each time it is sent."""
    booking = _decode(booking_json)
    told = MessageBooking(
        id=booking.id,
        event_id=booking.event_id,
        customer_id=booking.customer_id,
        status=booking.status,
        seat_ids=booking.seats,
        areas=tuple(MessageArea(area.area_id, area.quantity) for area in booking.areas),
        amount_minor=booking.amount_minor,
        currency=booking.currency,
        held_at=_rfc3339(booking.held_at_ms),
        expires_at=_rfc3339(booking.expires_at_ms),
        late=booking.late,
        confirmed_at=_rfc3339(booking.confirmed_at_ms) if booking.confirmed_at_ms else None,
        ended_at=_rfc3339(booking.ended_at_ms) if booking.ended_at_ms else None,
        refund_minor=booking.refund_minor,
        refund_reason=booking.refund_reason,
    )
    return _encode(Message(kind, _rfc3339(at_ms), told))


def _rfc3339(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
