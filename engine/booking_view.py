"""The public form of a booking: what the API returns and what webhook messages carry.

Field names are camelCase, times are RFC 3339. Every field is always there: a client of a typed
language reads one shape.
"""

from msgspec import Struct
from msgspec.structs import replace

from engine.models import AreaQuantity, Booking, BookingStatus, Together
from engine.payments import is_processing
from engine.ports.webhooks import MessageKind
from engine.timestamps import rfc3339, rfc3339_or_none


class AreaView(Struct, frozen=True, gc=False, rename="camel"):
    """A number of places in one standing area."""

    area_id: str
    quantity: int


class BookingView(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A booking. `late`: its payment came after the deadline, and its places were still free.

    `paymentProcessing`: a payment takes days, and `expiresAt` waits for it. `together`: how the
    party sits, if the engine chose the places.
    """

    id: str
    event_id: str
    status: BookingStatus
    seat_ids: tuple[str, ...]
    areas: tuple[AreaView, ...]
    amount_minor: int
    currency: str
    held_at: str
    expires_at: str
    late: bool
    confirmed_at: str | None = None
    ended_at: str | None = None
    refund_minor: int = 0
    refund_reason: str | None = None
    payment_processing: bool = False
    together: Together | None = None


class MessageBooking(BookingView, frozen=True, gc=False, kw_only=True):
    """A booking at the moment a message is about, with its customer."""

    customer_id: str


class Message(Struct, frozen=True):
    """The body of a request to a webhook, as Standard Webhooks recommends."""

    type: MessageKind
    timestamp: str
    data: MessageBooking


def view_of(booking: Booking) -> BookingView:
    """The public form of a booking."""
    view = BookingView(
        id=booking.id,
        event_id=booking.event_id,
        status=booking.status,
        seat_ids=booking.seats,
        areas=tuple([_area(area) for area in booking.areas]) if booking.areas else (),
        amount_minor=booking.amount_minor,
        currency=booking.currency,
        held_at=rfc3339(booking.held_at_ms),
        expires_at=rfc3339(booking.expires_at_ms),
        late=booking.late,
        confirmed_at=rfc3339_or_none(booking.confirmed_at_ms),
        ended_at=rfc3339_or_none(booking.ended_at_ms),
        refund_minor=booking.refund_minor,
        refund_reason=booking.refund_reason,
        payment_processing=is_processing(booking),
    )
    # With more than 15 keywords CPython makes a dict for a call.
    return replace(view, together=booking.together) if booking.together else view


def _area(area: AreaQuantity) -> AreaView:
    return AreaView(area.area_id, area.quantity)
