"""The body of a webhook message: `{"type", "timestamp", "data"}`, as Standard Webhooks recommends.

`data` is the booking's public form plus its customer, as the journal has it at that entry: a later
GET may no longer show this state. `timestamp` is the time of the change; the time of sending is in
the `webhook-timestamp` header.
"""

import msgspec

from engine.booking_view import Message, MessageBooking, view_of
from engine.models import Booking
from engine.ports.webhooks import MessageKind
from engine.timestamps import rfc3339

_decode = msgspec.json.Decoder(Booking).decode
_encode = msgspec.json.Encoder().encode


def encode_message(kind: MessageKind, at_ms: int, booking_json: str) -> bytes:
    """The body for one journal entry. Every attempt sends the same bytes."""
    booking = _decode(booking_json)
    view = msgspec.structs.asdict(view_of(booking))
    data = MessageBooking(**view, customer_id=booking.customer_id)
    return _encode(Message(kind, rfc3339(at_ms), data))
