"""Sales of one event by category, counted from two reads: the map and the layout."""

import asyncio
from collections import Counter

from api.events import owned_event
from api.http.calls import Call
from api.http.payloads import NoQuery, View, encode
from api.http.responses import Response
from engine.availability import AvailabilityReader, LoadedLayout
from engine.errors import Unavailable
from engine.ids import EventId
from engine.models import Availability, LayoutCategory

_TRIES = 5
_STATUS = {"a": "available", "h": "held", "s": "sold", "b": "blocked"}


class CategorySales(View, frozen=True):
    """Places of one category by status; `soldMinor` is the price of the sold ones."""

    id: str
    name: str
    price_minor: int
    available: int
    held: int
    sold: int
    blocked: int
    sold_minor: int


class SalesView(View, frozen=True):
    """All categories at one position, in the order of the layout."""

    event_id: str
    position: str
    currency: str
    categories: tuple[CategorySales, ...]
    sold_minor: int


async def read_sales(call: Call[NoQuery, None]) -> Response:
    """The sales of an event by category, at the layout's prices."""
    event = await owned_event(call, call.event_id)
    availability, loaded = await _read(call.engine.availability, event.id)
    counts = await asyncio.to_thread(_count, availability, loaded)  # of a large event 0.3 s
    categories = tuple(_view(category, counts) for category in loaded.layout.categories)
    sales = SalesView(
        event_id=event.id,
        position=availability.position,
        currency=event.currency,
        categories=categories,
        sold_minor=sum(category.sold_minor for category in categories),
    )
    return Response(encode(sales))


async def _read(reader: AvailabilityReader, event: EventId) -> tuple[Availability, LoadedLayout]:
    """Map and layout of one version; retries, as seats may be added between the two reads."""
    for _ in range(_TRIES):
        availability = await reader.read_map(event)
        loaded = await reader.read_layout(event, availability.layout_version)
        if loaded.layout.version == availability.layout_version:
            return availability, loaded
    raise Unavailable("the layout changes faster than it can be read")


def _count(availability: Availability, loaded: LoadedLayout) -> Counter[tuple[str, str]]:
    """Places by category and status."""
    counts: Counter[tuple[str, str]] = Counter()
    for _, row in loaded.rows:
        for index, seat in enumerate(row.seats, row.index):
            counts[seat.category, _STATUS[availability.map[index]]] += 1
    category_of = {area.id: area.category for area in loaded.layout.areas}
    for area in availability.areas:
        category = category_of[area.area_id]
        counts[category, "available"] += area.available
        counts[category, "held"] += area.held
        counts[category, "sold"] += area.sold
    return counts


def _view(category: LayoutCategory, counts: Counter[tuple[str, str]]) -> CategorySales:
    sold = counts[category.id, "sold"]
    return CategorySales(
        id=category.id,
        name=category.name,
        price_minor=category.price_minor,
        available=counts[category.id, "available"],
        held=counts[category.id, "held"],
        sold=sold,
        blocked=counts[category.id, "blocked"],
        sold_minor=sold * category.price_minor,
    )
