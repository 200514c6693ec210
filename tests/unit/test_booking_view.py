"""The one public form of a booking: the same fields in the API and in webhook messages."""

from datetime import UTC, datetime

import msgspec
import pytest

from engine.booking_view import view_of
from engine.ids import AreaId, BookingId, CustomerId, EventId, SeatId
from engine.models import AreaQuantity, Booking, BookingStatus
from engine.ports.webhooks import MessageKind
from engine.timestamps import rfc3339, rfc3339_or_none
from persistence.delivery.messages import encode_message

HELD = Booking(
    id=BookingId("gala:01JDTESTTESTTESTTESTTESTTE"),
    event_id=EventId("gala"),
    customer_id=CustomerId("ann"),
    status=BookingStatus.PENDING,
    seats=(SeatId("gala:A-1-1"),),
    areas=(AreaQuantity(AreaId("pit"), 2),),
    amount_minor=9800,
    currency="EUR",
    held_at_ms=1_906_572_600_007,
    expires_at_ms=1_906_573_500_007,
)
CANCELLED = msgspec.structs.replace(
    HELD,
    status=BookingStatus.CANCELLED,
    confirmed_at_ms=1_906_572_700_000,
    ended_at_ms=1_906_572_800_000,
    late=True,
    refund_minor=9800,
    refund_reason="cancelled",
)


@pytest.mark.parametrize("booking", [HELD, CANCELLED], ids=lambda booking: booking.status)
def test_webhook_data_is_the_api_body_with_the_customer_at_its_end(booking: Booking) -> None:
    body = msgspec.json.encode(view_of(booking))
    data = body[:-1] + b',"customerId":"ann"}'
    record = msgspec.json.encode(booking).decode()
    message = encode_message(MessageKind.BOOKING_CONFIRMED, 1, record)
    start = b'{"type":"booking.confirmed","timestamp":"1970-01-01T00:00:00.001Z","data":'
    assert data != body
    assert message == start + data + b"}"


def test_view_has_every_field_and_null_where_nothing_has_happened() -> None:
    held, cancelled = msgspec.to_builtins(view_of(HELD)), msgspec.to_builtins(view_of(CANCELLED))
    assert list(held) == list(cancelled)
    assert {name for name, value in held.items() if value is None} == {
        "confirmedAt",
        "endedAt",
        "refundReason",
        "together",
    }


@pytest.mark.parametrize("at_ms", [0, 999, 951_782_400_000, 1_906_572_600_007, 10**14])
def test_rfc3339_is_the_iso_form_in_utc_with_milliseconds(at_ms: int) -> None:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    iso = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert rfc3339(at_ms) == iso
    assert rfc3339_or_none(at_ms) == (iso if at_ms else None)
