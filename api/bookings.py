"""Bookings over HTTP: hold, read, extend, release, confirm, cancel. One engine call each."""

from collections.abc import Iterable
from typing import Annotated, Literal, cast

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
from api.http.problems import Problem, checked, invalid
from api.http.responses import Response
from engine import ids
from engine.availability import LoadedLayout
from engine.booking_view import BookingView, view_of
from engine.errors import LeavesSingle, NoSeatsTogether
from engine.ids import BookingId, CustomerId, EventId, SeatId
from engine.models import (
    AreaQuantity,
    BestSelection,
    Booking,
    PaymentReport,
    PaymentSource,
    Selection,
    Together,
)
from engine.plans.builder import PRICE_MINOR_MAX
from engine.plans.quality import kind_of

PATH = f"{V1}/booking"
_LINE = r"^[^\x00-\x1f\x7f]+$(?!\n)"
PLACES_MAX = 50
"""The most seats or areas that one request may name; the limit of an event may be lower."""

PlaceIdText = Annotated[IdText, Meta(extra_json_schema={"pattern": f"^{ids.PLACE_PATTERN}$"})]


class MineQuery(RequestBody, frozen=True):
    """Which of the caller's bookings; without `eventId`, of every event."""

    event_id: OneEvent | UnsetType = UNSET
    limit: Limit = 20
    cursor: Cursor | UnsetType = UNSET


class AreaRequest(RequestBody, frozen=True):
    """A number of places in one standing area."""

    area_id: PlaceIdText
    quantity: Annotated[int, Meta(ge=1, le=PLACES_MAX)]


class AccessibleRequest(RequestBody, frozen=True):
    """Wheelchair places, and seats beside them for companions."""

    wheelchair: Annotated[int, Meta(ge=1, le=PLACES_MAX)]
    companions: Annotated[int, Meta(ge=0, le=PLACES_MAX)] = 0


class BestBody(RequestBody, frozen=True):
    """The best free places, side by side. Without a filter, of the whole event.

    `accessible`: the party is its wheelchair places and companions. `fallback`: how the party may
    be parted if no row has room: one row behind the other, in parts of one section, apart, or all
    standing; left out, it is not parted. `beside`: a pending booking of the caller to sit next to.
    """

    quantity: Annotated[int, Meta(ge=1, le=PLACES_MAX)]
    category_ids: Annotated[tuple[PlaceIdText, ...], Meta(max_length=PLACES_MAX)] = ()
    section_ids: Annotated[tuple[PlaceIdText, ...], Meta(max_length=PLACES_MAX)] = ()
    price_max_minor: Annotated[int, Meta(ge=0, le=PRICE_MINOR_MAX)] | UnsetType = UNSET
    accessible: AccessibleRequest | UnsetType = UNSET
    restricted_view: bool = False
    fallback: Annotated[
        tuple[Literal["rows", "section", "apart", "standing"], ...], Meta(max_length=4)
    ] = ()
    beside: IdText | UnsetType = UNSET


class HoldBody(RequestBody, frozen=True):
    """What to hold, all or nothing: seats, areas, or the best that are free.

    A seat id names its event; areas and `bestAvailable` need `eventId`.
    """

    seat_id: SeatIdText | UnsetType = UNSET
    seat_ids: Annotated[tuple[SeatIdText, ...], Meta(min_length=1, max_length=PLACES_MAX)] = ()
    event_id: EventIdText | UnsetType = UNSET
    areas: Annotated[tuple[AreaRequest, ...], Meta(min_length=1, max_length=PLACES_MAX)] = ()
    best_available: BestBody | UnsetType = UNSET


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
    if call.body.best_available is not UNSET:
        booking = await _hold_best(call, call.body.best_available, request_id)
    else:
        booking = await _hold_picked(call, request_id)
    return Response(encode(view_of(booking)), ((b"location", f"{PATH}/{booking.id}".encode()),))


async def _hold_picked(call: Call[NoQuery, HoldBody], request_id: str | None) -> Booking:
    selection = _selection(call.body, call.caller.customer_id)
    try:
        return await call.bookings.hold_seats(selection, request_id=request_id)
    except LeavesSingle as refused:
        event = selection.event_id
        loaded = await call.engine.availability.read_layout(event)
        alone, picked, starts = ([int(item) for item in text.split()] for text in refused.found)
        runs = [range(start, start + len(picked)) for start in starts]
        kinds = _kinds_at(loaded, picked)
        told = {
            "seatIds": _seats_at(event, loaded, alone),
            "suggestions": [
                _seats_at(event, loaded, run) for run in runs if _kinds_at(loaded, run) <= kinds
            ],
        }
        raise Problem(refused.code, refused.says, told) from refused


def _kinds_at(loaded: LoadedLayout, indexes: Iterable[int]) -> set[tuple[str, str]]:
    """The categories and kinds of the seats at these indexes of the map."""
    places = (loaded.place(index) for index in indexes)
    return {(place.seat.category, kind_of(place.seat)) for place in places if place}


def _seats_at(event: EventId, loaded: LoadedLayout, indexes: Iterable[int]) -> list[str]:
    """The seats at these indexes of the map."""
    places = (loaded.place(index) for index in indexes)
    return [f"{event}:{place.seat.id}" for place in places if place]


async def _hold_best(
    call: Call[NoQuery, HoldBody], wanted: BestBody, request_id: str | None
) -> Booking:
    selection = _best_selection(call.body, wanted, call.caller.customer_id)
    try:
        return await call.bookings.hold_best(selection, request_id=request_id)
    except NoSeatsTogether as refused:
        availability, loaded = await call.engine.availability.read_both(selection.event_id)
        free = {category: found.available for category, found in loaded.count(availability).items()}
        told = {"largest": int(refused.found[0]), "freeByCategory": free}
        raise Problem(refused.code, refused.says, told) from refused


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


def _best_selection(body: HoldBody, wanted: BestBody, customer: CustomerId) -> BestSelection:
    if body.seat_id is not UNSET or body.seat_ids or body.areas:
        raise invalid("bestAvailable", "give seats and areas, or bestAvailable")
    if body.event_id is UNSET:
        raise invalid("eventId", "bestAvailable needs an eventId")
    event = checked("eventId", ids.event_id, body.event_id)
    wheelchair = 0
    if wanted.accessible is not UNSET:
        wheelchair = wanted.accessible.wheelchair
        if wheelchair + wanted.accessible.companions != wanted.quantity:
            detail = "wheelchair places and companions are not the quantity"
            raise invalid("bestAvailable.accessible", detail)
        if wanted.fallback:
            raise invalid("bestAvailable.fallback", "an accessible party is not parted")
    beside = None
    if wanted.beside is not UNSET:
        beside = BookingId(wanted.beside)
        if checked("bestAvailable.beside", ids.split_booking, beside)[0] != event:
            raise invalid("bestAvailable.beside", "a booking of another event")
        if wheelchair or wanted.fallback:
            raise invalid("bestAvailable.beside", "not with accessible or fallback")
    return BestSelection(
        event_id=event,
        customer_id=customer,
        quantity=wanted.quantity,
        category_ids=_distinct("bestAvailable.categoryIds", wanted.category_ids),
        section_ids=_distinct("bestAvailable.sectionIds", wanted.section_ids),
        price_max_minor=None if wanted.price_max_minor is UNSET else wanted.price_max_minor,
        wheelchair=wheelchair,
        restricted_view=wanted.restricted_view,
        fallback=tuple(Together(word) for word in wanted.fallback),
        beside=beside,
    )


def _distinct(field: str, named: tuple[str, ...]) -> tuple[str, ...]:
    """Ids of places, which contain no space."""
    for name in named:
        checked(field, ids.area_id, name)
    if len(set(named)) < len(named):
        raise invalid(field, "named twice")
    return named


def _areas(body: HoldBody) -> tuple[AreaQuantity, ...]:
    areas = tuple(_area(f"areas[{i}]", area) for i, area in enumerate(body.areas))
    if len({area.area_id for area in areas}) < len(areas):
        raise invalid("areas", "duplicate area")
    return areas


def _area(field: str, area: AreaRequest) -> AreaQuantity:
    return AreaQuantity(checked(f"{field}.areaId", ids.area_id, area.area_id), area.quantity)
