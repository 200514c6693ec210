"""Available seats over HTTP: `GET /booking`. `api.seat_picker` spreads them over the venue."""

import time
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from api import seat_picker
from api.http.calls import Call
from api.http.paging import Part, over_events
from api.http.payloads import Cursor, IdText, Limit, OneEvent, RequestBody, View, encode
from api.http.problems import invalid
from api.http.responses import Response
from api.seat_picker import Walk
from engine.availability import LoadedLayout
from engine.ids import EventId
from engine.models import Availability, SalesState


class SeatsQuery(RequestBody, frozen=True):
    """Which available seats; without `eventId`, of every event that is on sale."""

    event_id: OneEvent | UnsetType = UNSET
    section: Annotated[IdText, Meta(description="Only this section.")] | UnsetType = UNSET
    category: Annotated[IdText, Meta(description="Only this category.")] | UnsetType = UNSET
    limit: Limit = 10
    cursor: Cursor | UnsetType = UNSET


class SeatView(View, frozen=True):
    """An available seat and its price."""

    id: str
    event_id: str
    section: str
    row: str
    number: str
    category: str
    price_minor: int
    currency: str
    accessible: bool = False


class SeatList(Struct, frozen=True):
    """One page of seats; `next` is the cursor of the next page, or null."""

    data: list[SeatView]
    next: str | None


async def list_seats(call: Call[SeatsQuery, None]) -> Response:
    """Available seats, neighbours together; each request starts at another place in the venue.

    Without `eventId`: seats of every event that is on sale.
    """
    query = call.query

    async def read(event: EventId, position: str, limit: int) -> Part[SeatView]:
        availability = await call.engine.availability.read_map(event)
        if query.event_id is UNSET and not _on_sale(availability):
            return [], None
        loaded = await call.engine.availability.read_layout(event, availability.layout_version)
        runs = await seat_picker.runs_of(loaded.layout, query.section or "", query.category or "")
        walk = _walk(position) if position else seat_picker.begin(availability.map, runs)
        indexes, rest = seat_picker.page(availability.map, runs, walk, limit)
        return _views(event, loaded, indexes), None if rest is None else str(rest)

    return Response(encode(SeatList(*await over_events(call.engine, query, read))))


def _views(event: EventId, loaded: LoadedLayout, indexes: list[int]) -> list[SeatView]:
    layout = loaded.layout
    prices = {category.id: category.price_minor for category in layout.categories}
    places = (place for index in indexes if (place := loaded.place(index)))
    return [
        SeatView(
            id=f"{event}:{place.seat.id}",
            event_id=event,
            section=place.section_id,
            row=place.row_id,
            number=place.seat.number,
            category=place.seat.category,
            price_minor=prices[place.seat.category],
            currency=layout.currency,
            accessible=place.seat.accessible,
        )
        for place in places
    ]


def _walk(position: str) -> Walk:
    try:
        return Walk.parse(position)
    except ValueError as error:
        raise invalid("cursor", str(error)) from error


def _on_sale(availability: Availability) -> bool:
    """By this process' clock, which is enough for a list: the hold itself uses Redis' clock."""
    now_ms = time.time() * 1000
    opened = availability.opens_at_ms <= now_ms
    ended = 0 < availability.closes_at_ms <= now_ms
    return availability.sales is SalesState.OPEN and opened and not ended
