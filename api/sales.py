"""Sales of one event by category, counted from two reads: the map and the layout."""

from api.events import owned_event
from api.http.calls import Call
from api.http.payloads import NoQuery, View, encode
from api.http.responses import Response
from engine.models import Counts, LayoutCategory


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
    availability, loaded = await call.engine.availability.read_both(event.id)
    counts = loaded.count(availability)
    categories = tuple(
        _view(category, counts[category.id]) for category in loaded.layout.categories
    )
    sales = SalesView(
        event_id=event.id,
        position=availability.position,
        currency=event.currency,
        categories=categories,
        sold_minor=sum(category.sold_minor for category in categories),
    )
    return Response(encode(sales))


def _view(category: LayoutCategory, counts: Counts) -> CategorySales:
    return CategorySales(
        id=category.id,
        name=category.name,
        price_minor=category.price_minor,
        available=counts.available,
        held=counts.held,
        sold=counts.sold,
        blocked=counts.blocked,
        sold_minor=counts.sold * category.price_minor,
    )
