"""Bookings over HTTP: hold, read, extend, release, confirm, cancel. One engine call each."""

from typing import Annotated, cast

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.calls import V1, Call
from api.http.idempotency import request_id_of
from api.http.paging import Part, over_events
from api.http.payloads import (
    Cursor,
    EventIdText,
    IdText,
    Limit,
    NoQuery,
    OneEvent,
    RequestBody,
    SeatIdText,
    encode,
)
from api.http.problems import checked, invalid
from api.http.responses import Response
from engine import ids
from engine.booking_view import BookingView, view_of
from engine.ids import CustomerId, EventId, SeatId
from engine.models import AreaQuantity, Booking, PaymentReport, PaymentSource, Selection

PATH = f"{V1}/booking"
_LINE = r"^[^\x00-\x1f\x7f]+$(?!\n)"
PLACES_MAX = 50
"""The most seats or areas that one request may name; the limit of an event may be lower."""

AreaIdText = Annotated[IdText, Meta(extra_json_schema={"pattern": f"^{ids.PLACE_PATTERN}$"})]


class MineQuery(RequestBody, frozen=True):
    """Which of the caller's bookings; without `eventId`, of every event."""

    event_id: OneEvent | UnsetType = UNSET
    limit: Limit = 20
    cursor: Cursor | UnsetType = UNSET


class AreaRequest(RequestBody, frozen=True):
    """A number of places in one standing area."""

    area_id: AreaIdText
    quantity: Annotated[int, Meta(ge=1, le=PLACES_MAX)]


class HoldBody(RequestBody, frozen=True):
    """What to hold, all or nothing. A seat id names its event; areas need `eventId`."""

    seat_id: SeatIdText | UnsetType = UNSET
    seat_ids: Annotated[tuple[SeatIdText, ...], Meta(min_length=1, max_length=PLACES_MAX)] = ()
    event_id: EventIdText | UnsetType = UNSET
    areas: Annotated[tuple[AreaRequest, ...], Meta(min_length=1, max_length=PLACES_MAX)] = ()


class ConfirmBody(RequestBody, frozen=True):
    """Left out by a customer. With `boxOffice`, the organiser has taken the money, and says how."""

    box_office: bool = False
    note: Annotated[str, Meta(min_length=1, max_length=200, pattern=_LINE)] | UnsetType = UNSET


class BookingList(Struct, frozen=True):
    """One page of bookings; `next` is the cursor of the next page, or null."""

    data: list[BookingView]
    next: str | None


async def hold_seats(call: Call[NoQuery, HoldBody]) -> Response:
    """Hold every seat and standing place of the body for the caller, or none of them."""
    request_id = request_id_of(call.headers)
    selection = _selection(call.body, call.caller.customer_id)
    booking = await call.bookings.hold_seats(selection, request_id=request_id)
    return Response(encode(view_of(booking)), ((b"location", f"{PATH}/{booking.id}".encode()),))


async def list_bookings(call: Call[MineQuery, None]) -> Response:
    """The caller's pending and confirmed bookings, the newest of an event first."""

    async def read(event: EventId, position: str, limit: int) -> Part[BookingView]:
        cursor = (
            checked("cursor", ids.split_booking, f"{event}:{position}")[1] if position else None
        )
        page = await call.engine.bookings.list_bookings(
            event, call.caller.customer_id, limit, cursor
        )
        return [view_of(booking) for booking in page.bookings], page.next

    return Response(encode(BookingList(*await over_events(call.engine, call.query, read))))


async def read_booking(call: Call[NoQuery, None]) -> Response:
    """One booking. A booking of another customer is not found."""
    return _response(await call.engine.bookings.read_booking(call.booking_id, call.customer))


async def extend_booking(call: Call[NoQuery, None]) -> Response:
    """Move the deadline of a pending booking to one hold TTL from now, up to the event's cap."""
    return _response(await call.bookings.extend_booking(call.booking_id, call.customer))


async def release_booking(call: Call[NoQuery, None]) -> Response:
    """Release a pending booking. Repeatable."""
    return _response(await call.bookings.release_booking(call.booking_id, call.customer))


async def confirm_booking(call: Call[NoQuery, ConfirmBody]) -> Response:
    """Confirm that a booking is paid; its places are then sold. Repeatable.

    With a payment provider, only its notices confirm, or the organiser with `boxOffice`; a customer
    can confirm a booking that costs nothing. A payment after the deadline gets the same places if
    they are still free. Otherwise a refund obligation is recorded and the response is `refund_due`.
    """
    return _response(
        await call.bookings.confirm_booking(call.booking_id, call.customer, _reported(call))
    )


async def cancel_booking(call: Call[NoQuery, None]) -> Response:
    """Cancel a confirmed booking; the amount paid becomes a refund obligation. Repeatable.

    The organiser of the event can always do so, the customer until the time that the event names.
    """
    return _response(await call.bookings.cancel_booking(call.booking_id, call.customer))


def _reported(call: Call[NoQuery, ConfirmBody]) -> PaymentReport:
    body = call.body
    if body.box_office:
        if body.note is UNSET:
            raise invalid("note", "a payment at the box office needs a note for the journal")
        return PaymentReport(source=PaymentSource.BOX_OFFICE, note=body.note)
    if body.note is not UNSET:
        raise invalid("note", "only with boxOffice")
    is_checked = not call.services.settings.customers_confirm
    return PaymentReport(source=PaymentSource.FREE if is_checked else PaymentSource.UNCHECKED)


def _response(booking: Booking) -> Response:
    return Response(encode(view_of(booking)))


def _selection(body: HoldBody, customer: CustomerId) -> Selection:
    field, seats = "seatIds", body.seat_ids
    if body.seat_id is not UNSET:
        if seats:
            raise invalid("seatIds", "give either seatId or seatIds")
        field, seats = "seatId", (body.seat_id,)
    areas = _areas(body) if body.areas else ()
    if not seats and not areas:
        raise invalid("seatIds", "give seats, areas or both")
    if len(set(seats)) < len(seats):
        raise invalid(field, "duplicate seat")
    events = {checked(field, ids.split_seat, seat)[0] for seat in seats}
    if body.event_id is not UNSET:
        events.add(checked("eventId", ids.event_id, body.event_id))
    if len(events) != 1:
        detail = "a booking is for a single event" if events else "areas need an eventId"
        raise invalid("eventId", detail)
    return Selection(
        event_id=events.pop(),
        customer_id=customer,
        seats=cast("tuple[SeatId, ...]", seats),
        areas=areas,
    )


def _areas(body: HoldBody) -> tuple[AreaQuantity, ...]:
    areas = tuple(_area(f"areas[{i}]", area) for i, area in enumerate(body.areas))
    if len({area.area_id for area in areas}) < len(areas):
        raise invalid("areas", "duplicate area")
    return areas


def _area(field: str, area: AreaRequest) -> AreaQuantity:
    return AreaQuantity(checked(f"{field}.areaId", ids.area_id, area.area_id), area.quantity)
