"""Events over HTTP: list, read, create from a plan, add seats, change the terms."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from ulid import ULID

from api.http.caching import (
    if_match,
    if_none_match,
    refuse_conditions,
    tag_header,
    tagged_response,
)
from api.http.calls import V1, Call
from api.http.idempotency import id_from_key
from api.http.payloads import (
    CountsView,
    EventIdText,
    IdText,
    Instant,
    NoQuery,
    PageQuery,
    RequestBody,
    SeatIdText,
    View,
    counts_view,
    encode,
)
from api.http.problems import checked, invalid
from api.http.responses import Response
from engine import Engine, Event, TermsChange, ids
from engine.errors import EventNotFound, NotOwner, SeatExists
from engine.events import BLOCK_SEATS_MAX
from engine.ids import EventId, SeatId
from engine.models import (
    MILLISECONDS_MAX,
    EventName,
    LatePayment,
    PaymentMs,
    Sales,
    SalesState,
    SingleSeats,
    TimeZoneText,
)
from engine.plans import PlanOptions, parse_event
from engine.plans.addition import read_addition
from engine.terms import time_zone
from engine.timestamps import rfc3339, rfc3339_or_none

T = TypeVar("T")

PATH = f"{V1}/event"


CUSTOMER_MAX = 10
"""The purchase limit of an event whose plan states none: without one, a single account may hold a
whole house. A plan says 0 for no limit."""


class NewEventQuery(RequestBody, frozen=True):
    """Options of a plan. `prices` and `deriveIds` are for pretix plans only.

    `prices` are in minor units: `5000` for every category, `Stalls=5000,Box=9000`, or JSON,
    `{"Stalls, left": 5000}`. The plan itself may have that object as its field `prices`.
    """

    id: (
        Annotated[EventIdText, Meta(description="The id of the event; without it, a new one.")]
        | UnsetType
    ) = UNSET
    name: Annotated[EventName, Meta(description="Instead of the plan's name.")] | UnsetType = UNSET
    currency: Annotated[IdText, Meta(description="Instead of the plan's currency.")] | UnsetType = (
        UNSET
    )
    prices: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=4000,
                description="Prices of a pretix plan in minor units: `5000`, or `Stalls=5000,…`.",
            ),
        ]
        | UnsetType
    ) = UNSET
    derive_ids: Annotated[
        bool, Meta(description="Make the seat ids of a pretix plan from zone, row and number.")
    ] = False


class SeatIdsBody(RequestBody, frozen=True):
    """Seats of the event in the path."""

    seat_ids: Annotated[tuple[SeatIdText, ...], Meta(min_length=1, max_length=BLOCK_SEATS_MAX)]


class TermsBody(RequestBody, frozen=True):
    """What to change of an event's terms. A term left out stays; null unsets it."""

    sales: Sales | UnsetType = UNSET
    opens_at: Annotated[
        Instant | UnsetType | None, Meta(description="When the sale opens; null: at once.")
    ] = UNSET
    closes_at: Annotated[
        Instant | UnsetType | None,
        Meta(description="When the sale closes, after `opensAt`; null: never."),
    ] = UNSET
    starts_at: Annotated[
        Instant | UnsetType | None,
        Meta(description="When the event starts, after `opensAt`; null: not set."),
    ] = UNSET
    time_zone: Annotated[
        TimeZoneText | UnsetType | None,
        Meta(description="Where the event is, by its IANA name; null: not set."),
    ] = UNSET
    cancel_until: Annotated[
        Instant | UnsetType | None,
        Meta(
            description="Until when customers may cancel, not after `startsAt`; null: they may not."
        ),
    ] = UNSET
    late_payment: Annotated[
        LatePayment | UnsetType | None,
        Meta(
            description="What a payment after its deadline gets, if its places are free: them "
            "(`confirm`) or a `refund`; null: `confirm`."
        ),
    ] = UNSET
    payment_max_ms: Annotated[
        PaymentMs | UnsetType | None,
        Meta(
            description="The longest time after the hold that a slow payment gets, not shorter "
            "than the hold; 0 or null: off, a slow payment does not move the deadline."
        ),
    ] = UNSET
    single_seats: Annotated[
        SingleSeats | UnsetType | None,
        Meta(
            description="A free seat that a booking would leave alone between others: `allow` it, "
            "`avoid` it where the engine chooses, or `refuse` picked seats too; null: `avoid`."
        ),
    ] = UNSET
    accessible_release_at: Annotated[
        Instant | UnsetType | None,
        Meta(
            description="From when on wheelchair places and those of companions are for everybody; "
            "null: never."
        ),
    ] = UNSET


class EventView(View, frozen=True):
    """An event with its counts. A term that is null, 0 or empty is not set: `customerMax` 0 is no
    purchase limit."""

    id: str
    name: str
    currency: str
    sales: SalesState
    seats_max: int
    hold_ttl_ms: int
    capacity: int
    counts: CountsView
    layout_version: str
    position: str
    late_payment: LatePayment
    single_seats: SingleSeats
    opens_at: str | None = None
    closes_at: str | None = None
    starts_at: str | None = None
    time_zone: str = ""
    cancel_until: str | None = None
    payment_max_ms: int = 0
    accessible_release_at: str | None = None
    customer_max: int = 0


class NewEventView(EventView, frozen=True):
    """An event that was created. `notes` tell what of its plan was passed over or assumed."""

    notes: tuple[str, ...] = ()


class EventList(Struct, frozen=True):
    """One page of events; `next` is the cursor of the next page, or null."""

    data: list[EventView]
    next: str | None


async def list_events(call: Call[PageQuery, None]) -> Response:
    """Every event with its counts, sorted by id."""
    start = checked("cursor", ids.event_id, call.query.cursor) if call.query.cursor else ""
    ahead = [event for event in await call.engine.events.list_events() if event >= start]
    limit = call.query.limit
    found = await asyncio.gather(*(_read(call.engine, event) for event in ahead[:limit]))
    data = [view_of(event) for event in found if event]
    return Response(encode(EventList(data, ahead[limit] if len(ahead) > limit else None)))


async def read_event(call: Call[NoQuery, None]) -> Response:
    """One event with its counts."""
    event = await call.engine.events.read_event(call.event_id)
    return tagged_response(call.headers, encode(view_of(event)), event.version)


async def create_event(call: Call[NewEventQuery, bytes]) -> Response:
    """Create an event, owned by the caller, from the event JSON format or a pretix seating plan.

    Without `customerMax` in the plan, a customer may hold and buy at most 10 places.
    """
    query = call.query
    text = query.id or id_from_key(call) or str(ULID()).lower()
    event = checked("id", ids.event_id, text)
    options = PlanOptions(
        derive_ids=query.derive_ids,
        prices=query.prices or None,
        currency=query.currency or None,
        name=query.name or None,
        customer_max=CUSTOMER_MAX,
    )
    plan = await asyncio.to_thread(parse_event, call.body, options)
    terms = msgspec.structs.replace(plan.terms, owner_id=call.caller.customer_id)
    created = await call.engine.events.load_event(event, plan.layout, terms)
    view = NewEventView(**msgspec.structs.asdict(view_of(created)), notes=plan.notes)
    location = (b"location", f"{PATH}/{event}".encode())
    return Response(encode(view), (location, tag_header(created.version)))


async def add_seats(call: Call[NoQuery, bytes]) -> Response:
    """Add sections, or rows to sections, during the sale. Existing seats keep their index."""
    refuse_conditions(call.headers)
    gzipped = await call.engine.availability.read_encoded_layout(call.event_id)
    try:
        addition = await read_addition(gzipped, call.body)
    except SeatExists as refused:  # a plan has seat ids without their event
        raise SeatExists(*ids.seat_ids(call.event_id, refused.found)) from refused
    event = await call.engine.events.add_seats(call.event_id, addition, owner_id=call.owner_id)
    return Response(encode(view_of(event)))


async def block_seats(call: Call[NoQuery, SeatIdsBody]) -> Response:
    """Take available seats off sale, all of them or none. Repeatable."""
    return await _block(call, blocked=True)


async def unblock_seats(call: Call[NoQuery, SeatIdsBody]) -> Response:
    """Put blocked seats back on sale, all of them or none. Repeatable."""
    return await _block(call, blocked=False)


async def _block(call: Call[NoQuery, SeatIdsBody], *, blocked: bool) -> Response:
    refuse_conditions(call.headers)
    for seat in call.body.seat_ids:
        if checked("seatIds", ids.split_seat, seat)[0] != call.event_id:
            await call.engine.events.read_event(
                call.event_id
            )  # raises EventNotFound first, if there is no such event
            raise invalid("seatIds", f"{seat} is not a seat of {call.event_id}")
    event = await call.engine.events.block_seats(
        call.event_id,
        [SeatId(seat) for seat in call.body.seat_ids],
        blocked=blocked,
        owner_id=call.owner_id,
    )
    return Response(encode(view_of(event)))


async def set_terms(call: Call[NoQuery, TermsBody]) -> Response:
    """Change the terms of an event: its sales, their window, when it starts, payment, cancelling.

    A term that the body leaves out stays as it is; null unsets it. With `If-Match`, only if the
    event still has that `ETag`.
    """
    change = _change(call.body)
    if not change.fields:
        raise invalid("sales", "give at least one term")
    event = await call.engine.events.set_terms(
        call.event_id,
        change,
        owner_id=call.owner_id,
        if_match=if_match(call.headers),
        if_none_match=if_none_match(call.headers),
    )
    return Response(encode(view_of(event)), (tag_header(event.version),))


def _change(body: TermsBody) -> TermsChange:
    return TermsChange(
        sales=None if body.sales is UNSET else body.sales,
        opens_at_ms=_milliseconds("opensAt", body.opens_at),
        closes_at_ms=_milliseconds("closesAt", body.closes_at),
        starts_at_ms=_milliseconds("startsAt", body.starts_at),
        time_zone=_time_zone(body.time_zone),
        cancel_until_ms=_milliseconds("cancelUntil", body.cancel_until),
        late_payment=_or_default(body.late_payment, LatePayment.CONFIRM),
        payment_max_ms=_or_default(body.payment_max_ms, 0),
        single_seats=_or_default(body.single_seats, SingleSeats.AVOID),
        accessible_release_at_ms=_milliseconds("accessibleReleaseAt", body.accessible_release_at),
    )


def _or_default(value: T | UnsetType | None, default: T) -> T | None:
    """None keeps the term, the default unsets it."""
    if value is UNSET:
        return None
    return default if value is None else value


def _time_zone(name: str | UnsetType | None) -> str | None:
    if name is UNSET or name is None:
        return _or_default(name, "")
    try:
        return time_zone(name)
    except ValueError as error:
        raise invalid("timeZone", str(error)) from error


async def owned_event(call: Call[Any, Any], event_id: EventId) -> Event:
    """The event, if the caller may act for it. Raises EventNotFound, NotOwner.

    For reads: the Lua scripts check the owner themselves.
    """
    event = await call.engine.events.read_event(event_id)
    if call.owner_id not in ("", event.owner_id):
        raise NotOwner
    return event


async def check_owner(call: Call[Any, Any], event_id: EventId) -> None:
    """Check that the caller may see what Postgres has of an event. Raises EventNotFound, NotOwner.

    Money is still owed when Redis has lost the event, so the owner in Postgres counts then.
    """
    try:
        await owned_event(call, event_id)
    except EventNotFound:
        owner_id = await call.services.stores.payments.find_owner(event_id)
        if owner_id is None:
            raise
        if call.owner_id not in ("", owner_id):
            raise NotOwner from None


def view_of(event: Event) -> EventView:
    """The public form of an event."""
    return EventView(
        id=event.id,
        name=event.name,
        currency=event.currency,
        sales=event.sales,
        seats_max=event.seats_max,
        customer_max=event.customer_max,
        hold_ttl_ms=event.hold_ttl_ms,
        capacity=event.capacity,
        counts=counts_view(event.counts),
        layout_version=event.layout_version,
        position=event.position,
        opens_at=rfc3339_or_none(event.opens_at_ms),
        closes_at=rfc3339_or_none(event.closes_at_ms),
        starts_at=rfc3339_or_none(event.starts_at_ms),
        time_zone=event.time_zone,
        cancel_until=rfc3339_or_none(event.cancel_until_ms),
        late_payment=event.late_payment,
        payment_max_ms=event.payment_max_ms,
        single_seats=event.single_seats,
        accessible_release_at=rfc3339_or_none(event.accessible_release_at_ms),
    )


async def _read(engine: Engine, event: EventId) -> Event | None:
    try:
        return await engine.events.read_event(event)
    except EventNotFound:
        return None  # it is still being loaded


def _milliseconds(field: str, moment: datetime | UnsetType | None) -> int | None:
    """None keeps the term, 0 unsets it."""
    if moment is UNSET:
        return None
    milliseconds = 0 if moment is None else round(moment.timestamp() * 1000)
    if milliseconds < 0:
        raise invalid(field, "before 1970")
    if milliseconds > MILLISECONDS_MAX:
        raise invalid(field, f"after {rfc3339(MILLISECONDS_MAX)}")
    return milliseconds
