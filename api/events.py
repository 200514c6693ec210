"""Events over HTTP: list, look, create from a plan, add seats, open and close the sales."""

import asyncio
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType
from ulid import ULID

from api.http.caching import tagged_response
from api.http.calls import V1, Call
from api.http.idempotency import id_from_key
from api.http.payloads import (
    EventList,
    EventView,
    NewEventQuery,
    NoQuery,
    PageQuery,
    SalesBody,
    SeatIdsBody,
    counts_shown,
    encode,
    rfc3339,
    time_shown,
)
from api.http.problems import Problem, checked, invalid
from api.http.responses import Response
from engine import Engine, Event, SalesChange, ids
from engine.errors import EventNotFound, SeatExists
from engine.ids import EventId, SeatId
from engine.models import MILLISECONDS_MAX
from engine.plans import PlanOptions, add_sections, parse_event

PATH = f"{V1}/event"


async def list_events(call: Call[PageQuery, None]) -> Response:
    """Every event with its counts, in the order of their ids."""
    start = checked("cursor", ids.event_id, call.query.cursor) if call.query.cursor else ""
    ahead = [event for event in await call.engine.events.list_events() if event >= start]
    limit = call.query.limit
    found = await asyncio.gather(*(_read(call.engine, event) for event in ahead[:limit]))
    data = [shown(event) for event in found if event]
    return Response(encode(EventList(data, ahead[limit] if len(ahead) > limit else None)))


async def read_event(call: Call[NoQuery, None]) -> Response:
    """One event with its counts."""
    event = await call.engine.events.read_event(call.event_id)
    return tagged_response(call.headers, encode(shown(event)))


async def create_event(call: Call[NewEventQuery, bytes]) -> Response:
    """Create an event of the caller's from our own event JSON or a pretix seating plan."""
    query = call.query
    named = query.id or id_from_key(call) or str(ULID()).lower()
    event = checked("id", ids.event_id, named)
    options = PlanOptions(
        derive_ids=query.derive_ids,
        prices=query.prices or None,
        currency=query.currency or None,
        name=query.name or None,
    )
    plan = await asyncio.to_thread(parse_event, call.body, options)
    terms = msgspec.structs.replace(plan.terms, owner_id=call.caller.customer_id)
    created = await call.engine.events.load_event(event, plan.layout, terms)
    return Response(encode(shown(created)), ((b"location", f"{PATH}/{event}".encode()),))


async def add_seats(call: Call[NoQuery, bytes]) -> Response:
    """Add sections, or rows to them, while the event sells. What is there keeps its place."""
    known = (await call.engine.availability.read_layout(call.event_id)).layout
    try:
        layout = await asyncio.to_thread(add_sections, known, call.body)
    except SeatExists as refused:  # a plan knows seats without their event
        raise SeatExists(*ids.seat_ids(call.event_id, refused.found)) from refused
    try:
        event = await call.engine.events.add_seats(
            call.event_id, layout, known, owner_id=call.owner_id
        )
    except ValueError as error:
        raise Problem("plan_invalid", str(error), {"problems": [str(error)]}) from error
    return Response(encode(shown(event)))


async def block_seats(call: Call[NoQuery, SeatIdsBody]) -> Response:
    """Take available seats off sale, all of them or none. Repeatable."""
    return await _block(call, blocked=True)


async def unblock_seats(call: Call[NoQuery, SeatIdsBody]) -> Response:
    """Put blocked seats back on sale, all of them or none. Repeatable."""
    return await _block(call, blocked=False)


async def _block(call: Call[NoQuery, SeatIdsBody], *, blocked: bool) -> Response:
    for seat in call.body.seat_ids:
        if checked("seatIds", ids.split_seat, seat)[0] != call.event_id:
            await call.engine.events.read_event(call.event_id)  # an unknown event is the first flaw
            raise invalid("seatIds", f"{seat} is not a seat of {call.event_id}")
    event = await call.engine.events.block_seats(
        call.event_id,
        [SeatId(seat) for seat in call.body.seat_ids],
        blocked=blocked,
        owner_id=call.owner_id,
    )
    return Response(encode(shown(event)))


async def set_sales(call: Call[NoQuery, SalesBody]) -> Response:
    """Open, pause, close or schedule the sales of an event."""
    body = call.body
    change = SalesChange(
        sales=None if body.sales is UNSET else body.sales,
        opens_at_ms=_milliseconds("opensAt", body.opens_at),
        closes_at_ms=_milliseconds("closesAt", body.closes_at),
    )
    if change == SalesChange():
        raise invalid("sales", "name sales, opensAt or closesAt")
    event = await call.engine.events.set_sales(call.event_id, change, owner_id=call.owner_id)
    return Response(encode(shown(event)))


def shown(event: Event) -> EventView:
    """An event as the API tells it."""
    return EventView(
        id=event.id,
        name=event.name,
        currency=event.currency,
        sales=event.sales,
        seats_max=event.seats_max,
        customer_max=event.customer_max,
        hold_ttl_ms=event.hold_ttl_ms,
        capacity=event.capacity,
        counts=counts_shown(event.counts),
        layout_version=event.layout_version,
        position=event.position,
        opens_at=time_shown(event.opens_at_ms),
        closes_at=time_shown(event.closes_at_ms),
    )


async def _read(engine: Engine, event: EventId) -> Event | None:
    try:
        return await engine.events.read_event(event)
    except EventNotFound:
        return None  # it is being loaded


def _milliseconds(field: str, moment: datetime | UnsetType | None) -> int | None:
    """None keeps what is there, 0 takes the limit away."""
    if moment is UNSET:
        return None
    milliseconds = 0 if moment is None else round(moment.timestamp() * 1000)
    if milliseconds < 0:
        raise invalid(field, "before 1970")
    if milliseconds > MILLISECONDS_MAX:
        raise invalid(field, f"after {rfc3339(MILLISECONDS_MAX)}")
    return milliseconds
