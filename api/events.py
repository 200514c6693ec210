"""Events over HTTP: list, read, create from a plan, add seats, open and close the sales."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from ulid import ULID

from api.http.caching import tagged_response
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
from api.http.problems import Problem, checked, invalid
from api.http.responses import Response
from engine import Engine, Event, SalesChange, ids
from engine.errors import EventNotFound, NotOwner, SeatExists
from engine.events import BLOCK_SEATS_MAX
from engine.ids import EventId, SeatId
from engine.models import MILLISECONDS_MAX, EventName, Sales, SalesState
from engine.plans import PlanOptions, add_sections, parse_event
from engine.timestamps import rfc3339, rfc3339_or_none

PATH = f"{V1}/event"


CUSTOMER_MAX = 10
"""The purchase limit of an event whose plan states none: without one, a single account may hold a
whole house. A plan says 0 for no limit."""


class NewEventQuery(RequestBody, frozen=True):
    """Options of a plan. `prices` and `deriveIds` are for pretix plans only."""

    id: EventIdText | UnsetType = UNSET
    name: EventName | UnsetType = UNSET
    currency: IdText | UnsetType = UNSET
    prices: Annotated[str, Meta(min_length=1, max_length=4000)] | UnsetType = UNSET
    derive_ids: bool = False


class SeatIdsBody(RequestBody, frozen=True):
    """Seats of the event in the path."""

    seat_ids: Annotated[tuple[SeatIdText, ...], Meta(min_length=1, max_length=BLOCK_SEATS_MAX)]


class SalesBody(RequestBody, frozen=True):
    """What to change of an event's sales; a time of null removes the limit."""

    sales: Sales | UnsetType = UNSET
    opens_at: Instant | UnsetType | None = UNSET
    closes_at: Instant | UnsetType | None = UNSET


class EventView(View, frozen=True):
    """An event with its counts. Without `customerMax` there is no purchase limit."""

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
    opens_at: str | None = None
    closes_at: str | None = None
    customer_max: int = 0


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
    return tagged_response(call.headers, encode(view_of(event)))


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
    return Response(encode(view_of(created)), ((b"location", f"{PATH}/{event}".encode()),))


async def add_seats(call: Call[NoQuery, bytes]) -> Response:
    """Add sections, or rows to sections, during the sale. Existing seats keep their index."""
    current = (await call.engine.availability.read_layout(call.event_id)).layout
    try:
        layout = await asyncio.to_thread(add_sections, current, call.body)
    except SeatExists as refused:  # a plan has seat ids without their event
        raise SeatExists(*ids.seat_ids(call.event_id, refused.found)) from refused
    try:
        event = await call.engine.events.add_seats(
            call.event_id, layout, current, owner_id=call.owner_id
        )
    except ValueError as error:
        raise Problem("plan_invalid", str(error), {"problems": [str(error)]}) from error
    return Response(encode(view_of(event)))


async def block_seats(call: Call[NoQuery, SeatIdsBody]) -> Response:
    """Take available seats off sale, all of them or none. Repeatable."""
    return await _block(call, blocked=True)


async def unblock_seats(call: Call[NoQuery, SeatIdsBody]) -> Response:
    """Put blocked seats back on sale, all of them or none. Repeatable."""
    return await _block(call, blocked=False)


async def _block(call: Call[NoQuery, SeatIdsBody], *, blocked: bool) -> Response:
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


async def set_sales(call: Call[NoQuery, SalesBody]) -> Response:
    """Open, pause, close or schedule the sales of an event."""
    body = call.body
    change = SalesChange(
        sales=None if body.sales is UNSET else body.sales,
        opens_at_ms=_milliseconds("opensAt", body.opens_at),
        closes_at_ms=_milliseconds("closesAt", body.closes_at),
    )
    if change == SalesChange():
        raise invalid("sales", "give sales, opensAt or closesAt")
    event = await call.engine.events.set_sales(call.event_id, change, owner_id=call.owner_id)
    return Response(encode(view_of(event)))


async def owned_event(call: Call[Any, Any], event_id: EventId) -> Event:
    """The event, if the caller may act for it. Raises EventNotFound, NotOwner.

    For reads and for what is in Postgres: the Lua scripts check the owner themselves.
    """
    event = await call.engine.events.read_event(event_id)
    if call.owner_id not in ("", event.owner_id):
        raise NotOwner
    return event


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
    )


async def _read(engine: Engine, event: EventId) -> Event | None:
    try:
        return await engine.events.read_event(event)
    except EventNotFound:
        return None  # it is still being loaded


def _milliseconds(field: str, moment: datetime | UnsetType | None) -> int | None:
    """None keeps the current limit, 0 removes it."""
    if moment is UNSET:
        return None
    milliseconds = 0 if moment is None else round(moment.timestamp() * 1000)
    if milliseconds < 0:
        raise invalid(field, "before 1970")
    if milliseconds > MILLISECONDS_MAX:
        raise invalid(field, f"after {rfc3339(MILLISECONDS_MAX)}")
    return milliseconds
