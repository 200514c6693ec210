"""Events over HTTP: list, look, create from a plan, add seats, open and close the sales."""

import asyncio
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType
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
    EventList,
    EventView,
    NewEventQuery,
    NoQuery,
    PageQuery,
    SeatIdsBody,
    TermsBody,
    counts_shown,
    encode,
    rfc3339,
    time_shown,
)
from api.http.problems import Problem, checked, invalid
from api.http.responses import Response
from engine import Engine, Event, TermsChange, ids
from engine.errors import EventNotFound, SeatExists
from engine.ids import EventId, SeatId
from engine.models import MILLISECONDS_MAX, LatePayment
from engine.plans import PlanOptions, add_sections, parse_event
from engine.terms import time_zone

T = TypeVar("T")

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
    return tagged_response(call.headers, encode(shown(event)), event.version)


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
    location = (b"location", f"{PATH}/{event}".encode())
    return Response(encode(shown(created)), (location, tag_header(created.version)))


async def add_seats(call: Call[NoQuery, bytes]) -> Response:
    """Add sections, or rows to them, while the event sells. What is there keeps its place."""
    refuse_conditions(call.headers)
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
    refuse_conditions(call.headers)
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


async def set_terms(call: Call[NoQuery, TermsBody]) -> Response:
    """Change the terms of an event: its sales, their window, when it starts, payment, cancelling.

    A term that the body leaves out stays as it is; null unsets it. With `If-Match`, only if the
    event still has that `ETag`.
    """
    change = _change(call.body)
    if not change.fields:
        raise invalid("sales", "name at least one term")
    event = await call.engine.events.set_terms(
        call.event_id,
        change,
        owner_id=call.owner_id,
        if_match=if_match(call.headers),
        if_none_match=if_none_match(call.headers),
    )
    return Response(encode(shown(event)), (tag_header(event.version),))


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
        starts_at=time_shown(event.starts_at_ms),
        time_zone=event.time_zone,
        cancel_until=time_shown(event.cancel_until_ms),
        late_payment=event.late_payment,
        payment_max_ms=event.payment_max_ms,
    )


async def _read(engine: Engine, event: EventId) -> Event | None:
    try:
        return await engine.events.read_event(event)
    except EventNotFound:
        return None  # it is being loaded


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
