"""Bookings over HTTP: hold, look, extend, release, cancel. One engine call each."""

from typing import cast

from msgspec import UNSET

from api.http.calls import Call
from api.http.idempotency import request_id_of
from api.http.paging import Part, over_events
from api.http.payloads import (
    AreaRequest,
    BookingList,
    BookingView,
    HoldBody,
    MineQuery,
    NoQuery,
    areas_shown,
    encode,
    rfc3339,
    time_shown,
)
from api.http.problems import checked, invalid
from api.http.responses import Response
from engine import ids
from engine.ids import CustomerId, EventId, SeatId
from engine.models import AreaQuantity, Booking, Selection
from engine.payments import is_processing

PATH = "/api/v1/booking"


async def hold_seats(call: Call[NoQuery, HoldBody]) -> Response:
    """Hold every seat and standing place of the body for the caller, or none of them."""
    request_id = request_id_of(call.headers)
    selection = _asked(call.body, call.caller.customer_id)
    booking = await call.bookings.hold_seats(selection, request_id=request_id)
    return Response(encode(shown(booking)), ((b"location", f"{PATH}/{booking.id}".encode()),))


async def list_bookings(call: Call[MineQuery, None]) -> Response:
    """The caller's pending and confirmed bookings, the newest of an event first."""

    async def read(event: EventId, where: str, limit: int) -> Part[BookingView]:
        cursor = checked("cursor", ids.split_booking, f"{event}:{where}")[1] if where else None
        page = await call.engine.bookings.list_bookings(
            event, call.caller.customer_id, limit, cursor
        )
        return [shown(booking) for booking in page.bookings], page.next

    return Response(encode(BookingList(*await over_events(call.engine, call.query, read))))


async def read_booking(call: Call[NoQuery, None]) -> Response:
    """One booking. Somebody else's is not found."""
    return _answer(await call.engine.bookings.read_booking(call.booking_id, call.customer))


async def extend_booking(call: Call[NoQuery, None]) -> Response:
    """Move the deadline of a pending booking to one hold TTL from now, up to the event's cap."""
    return _answer(await call.bookings.extend_booking(call.booking_id, call.customer))


async def release_booking(call: Call[NoQuery, None]) -> Response:
    """Give up a pending booking; repeatable."""
    return _answer(await call.bookings.release_booking(call.booking_id, call.customer))


async def cancel_booking(call: Call[NoQuery, None]) -> Response:
    """Undo a confirmed booking; what was paid becomes a refund obligation. Repeatable.

    The organiser of the event may do so always, the customer until the time the event names.
    """
    return _answer(await call.bookings.cancel_booking(call.booking_id, call.customer))


def shown(booking: Booking) -> BookingView:
    """A booking as the API tells it."""
    return BookingView(
        id=booking.id,
        event_id=booking.event_id,
        status=booking.status,
        seat_ids=booking.seats,
        areas=areas_shown(booking.areas),
        amount_minor=booking.amount_minor,
        currency=booking.currency,
        held_at=rfc3339(booking.held_at_ms),
        expires_at=rfc3339(booking.expires_at_ms),
        late=booking.late,
        confirmed_at=time_shown(booking.confirmed_at_ms),
        ended_at=time_shown(booking.ended_at_ms),
        refund_minor=booking.refund_minor,
        refund_reason=booking.refund_reason,
        payment_processing=is_processing(booking),
    )


def _answer(booking: Booking) -> Response:
    return Response(encode(shown(booking)))


def _asked(body: HoldBody, customer: CustomerId) -> Selection:
    field, seats = "seatIds", body.seat_ids
    if body.seat_id is not UNSET:
        if seats:
            raise invalid("seatIds", "either seatId or seatIds")
        field, seats = "seatId", (body.seat_id,)
    areas = _areas(body) if body.areas else ()
    if not seats and not areas:
        raise invalid("seatIds", "name seats, areas or both")
    if len(set(seats)) < len(seats):
        raise invalid(field, "a seat is named twice")
    events = {checked(field, ids.split_seat, seat)[0] for seat in seats}
    if body.event_id is not UNSET:
        events.add(checked("eventId", ids.event_id, body.event_id))
    if len(events) != 1:
        what = "one booking is for one event" if events else "areas need their event"
        raise invalid("eventId", what)
    return Selection(
        event_id=events.pop(),
        customer_id=customer,
        seats=cast("tuple[SeatId, ...]", seats),
        areas=areas,
    )


def _areas(body: HoldBody) -> tuple[AreaQuantity, ...]:
    areas = tuple(_area(f"areas[{i}]", wish) for i, wish in enumerate(body.areas))
    if len({area.area_id for area in areas}) < len(areas):
        raise invalid("areas", "an area is named twice")
    return areas


def _area(field: str, wish: AreaRequest) -> AreaQuantity:
    return AreaQuantity(checked(f"{field}.areaId", ids.area_id, wish.area_id), wish.quantity)
