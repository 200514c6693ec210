"""Available seats over HTTP: the seed's `GET /booking`, spread over the house."""

import time

from msgspec import UNSET

from api import seat_picker
from api.http.calls import Call
from api.http.paging import Part, over_events
from api.http.payloads import SeatList, SeatsQuery, SeatView, encode
from api.http.problems import invalid
from api.http.responses import Response
from api.seat_picker import Walk
from engine.availability import LoadedLayout
from engine.ids import EventId
from engine.models import Availability, SalesState


async def list_seats(call: Call[SeatsQuery, None]) -> Response:
    """Available seats, neighbours together; every request begins somewhere else in the house.

    Without `eventId`: of every event that is on sale.
    """
    query = call.query

    async def read(event: EventId, where: str, limit: int) -> Part[SeatView]:
        found = await call.engine.availability.read_map(event)
        if query.event_id is UNSET and not _on_sale(found):
            return [], None
        loaded = await call.engine.availability.read_layout(event, found.layout_version)
        runs = seat_picker.runs_of(loaded.layout, query.section or "", query.category or "")
        walk = _walk(where) if where else seat_picker.begin(found.map, runs)
        indexes, rest = seat_picker.page(found.map, runs, walk, limit)
        return _shown(event, loaded, indexes), None if rest is None else str(rest)

    return Response(encode(SeatList(*await over_events(call.engine, query, read))))


def _shown(event: EventId, loaded: LoadedLayout, indexes: list[int]) -> list[SeatView]:
    layout = loaded.layout
    prices = {category.id: category.price_minor for category in layout.categories}
    places = (loaded.place_at[index] for index in indexes if index in loaded.place_at)
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


def _walk(where: str) -> Walk:
    try:
        return Walk.parse(where)
    except ValueError as error:
        raise invalid("cursor", str(error)) from error


def _on_sale(found: Availability) -> bool:
    """By this process' clock: only for what a list shows, the hold itself asks Redis' clock."""
    now_ms = time.time() * 1000
    opened = found.opens_at_ms <= now_ms
    return found.sales is SalesState.OPEN and opened and not 0 < found.closes_at_ms <= now_ms
