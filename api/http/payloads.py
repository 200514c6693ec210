"""The bodies and queries of the API: what comes in is checked here, what goes out is made here.

Field names are camelCase, money is in minor units, times are RFC 3339 in UTC with milliseconds.
An unknown field is refused: nobody slips a price, a status or a customer into a body.
"""

from datetime import datetime
from functools import lru_cache
from time import gmtime, strftime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from engine import ids
from engine.events import BLOCK_SEATS_MAX
from engine.models import AreaQuantity, BookingStatus, Counts, EventName, Sales, SalesState

PLACES_MAX = 50
"""The most places one request may name; an event's own limit may be lower."""

encode = msgspec.json.Encoder().encode

IdText = Annotated[str, Meta(min_length=1, max_length=200)]
EventIdText = Annotated[IdText, Meta(extra_json_schema={"pattern": f"^{ids.EVENT_PATTERN}$"})]
AreaIdText = Annotated[IdText, Meta(extra_json_schema={"pattern": f"^{ids.PLACE_PATTERN}$"})]
SeatIdText = Annotated[
    IdText, Meta(extra_json_schema={"pattern": f"^{ids.EVENT_PATTERN}:{ids.PLACE_PATTERN}$"})
]
"""Their form is told here, and checked by `engine.ids`, which says what is wrong in its words."""
Limit = Annotated[int, Meta(ge=1, le=100)]
Cursor = Annotated[str, Meta(min_length=1, max_length=200)]
Instant = Annotated[datetime, Meta(tz=True)]


@lru_cache(4096)
def _to_the_second(unix_s: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(unix_s))


def rfc3339(at_ms: int) -> str:
    """Milliseconds since the epoch as `2030-06-01T19:30:00.000Z`."""
    unix_s, milliseconds = divmod(at_ms, 1000)
    return f"{_to_the_second(unix_s)}.{milliseconds:03d}Z"


def time_shown(at_ms: int | None) -> str | None:
    """A time that may be missing: None and 0 mean that there is none."""
    return rfc3339(at_ms) if at_ms else None


class RequestBody(
    Struct, frozen=True, gc=False, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What comes in."""


class NoQuery(RequestBody, frozen=True):
    """A route without parameters."""


class PageQuery(RequestBody, frozen=True):
    """Part of a list: at most `limit` items, from where the last part's `next` says."""

    limit: Limit = 20
    cursor: Cursor | UnsetType = UNSET


class SeatsQuery(RequestBody, frozen=True):
    """Which available seats. Without an event: of every event that is on sale."""

    event_id: EventIdText | UnsetType = UNSET
    section: IdText | UnsetType = UNSET
    category: IdText | UnsetType = UNSET
    limit: Limit = 10
    cursor: Cursor | UnsetType = UNSET


class MineQuery(RequestBody, frozen=True):
    """Which of one's own bookings."""

    event_id: EventIdText | UnsetType = UNSET
    limit: Limit = 20
    cursor: Cursor | UnsetType = UNSET


class NewEventQuery(RequestBody, frozen=True):
    """What is said beside a plan. `prices` and `deriveIds` are for pretix plans only."""

    id: EventIdText | UnsetType = UNSET
    name: EventName | UnsetType = UNSET
    currency: IdText | UnsetType = UNSET
    prices: Annotated[str, Meta(min_length=1, max_length=4000)] | UnsetType = UNSET
    derive_ids: bool = False


class LayoutQuery(RequestBody, frozen=True):
    """With the version in its address, a layout may be kept for ever."""

    version: IdText | UnsetType = UNSET


class AreaRequest(RequestBody, frozen=True):
    """Places of one standing area."""

    area_id: AreaIdText
    quantity: Annotated[int, Meta(ge=1, le=PLACES_MAX)]


class HoldBody(RequestBody, frozen=True):
    """What to hold: all of it or none. Seats name their event, areas need `eventId`."""

    seat_id: SeatIdText | UnsetType = UNSET
    seat_ids: Annotated[tuple[SeatIdText, ...], Meta(min_length=1, max_length=PLACES_MAX)] = ()
    event_id: EventIdText | UnsetType = UNSET
    areas: Annotated[tuple[AreaRequest, ...], Meta(min_length=1, max_length=PLACES_MAX)] = ()


class SeatIdsBody(RequestBody, frozen=True):
    """Seats of the event in the path."""

    seat_ids: Annotated[tuple[SeatIdText, ...], Meta(min_length=1, max_length=BLOCK_SEATS_MAX)]


class SalesBody(RequestBody, frozen=True):
    """What to change of an event's sales; a time of null takes the limit away."""

    sales: Sales | UnsetType = UNSET
    opens_at: Instant | UnsetType | None = UNSET
    closes_at: Instant | UnsetType | None = UNSET


class View(Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """What goes out."""


class AreaView(View, frozen=True):
    """Places of one standing area."""

    area_id: str
    quantity: int


def areas_shown(areas: tuple[AreaQuantity, ...]) -> tuple[AreaView, ...]:
    """Standing places as the API tells them."""
    return tuple(AreaView(area_id=area.area_id, quantity=area.quantity) for area in areas)


class BookingView(View, frozen=True):
    """A booking. `late`: it was paid after its deadline and got its places all the same.

    `paymentProcessing`: a payment that takes days is on its way, and `expiresAt` waits for it.
    """

    id: str
    event_id: str
    status: BookingStatus
    seat_ids: tuple[str, ...]
    areas: tuple[AreaView, ...]
    amount_minor: int
    currency: str
    held_at: str
    expires_at: str
    late: bool
    confirmed_at: str | None = None
    ended_at: str | None = None
    refund_minor: int = 0
    refund_reason: str | None = None
    payment_processing: bool = False


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


class CountsView(View, frozen=True):
    """Places by status, standing places included."""

    available: int
    held: int
    sold: int
    blocked: int


def counts_shown(counts: Counts) -> CountsView:
    """Counts as the API tells them."""
    return CountsView(
        available=counts.available, held=counts.held, sold=counts.sold, blocked=counts.blocked
    )


class EventView(View, frozen=True):
    """An event with its counts. `customerMax` left out: no purchase limit."""

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


class AvailabilityView(View, frozen=True):
    """The whole event at one position; see `engine.models.Availability` for the map."""

    event_id: str
    layout_version: str
    position: str
    sales: SalesState
    counts: CountsView
    map: str
    areas: tuple[AreaView, ...]
    opens_at: str | None = None
    closes_at: str | None = None


class PartView(View, frozen=True, omit_defaults=True):
    """A part's `state`: `up`, `down` or, while Redis cannot say, `unknown`; `why`, if not up.

    What is not `required` is told of and not waited for.
    """

    state: str
    heartbeat_age_s: float | None = None
    why: str = ""
    required: bool = True


class HealthView(View, frozen=True):
    """`status`: `alive`; or `ready`, `unready`, `draining`."""

    status: str
    parts: dict[str, PartView] = {}


class SeatList(Struct, frozen=True):
    """Part of a list; `next` is the cursor of the rest, or null."""

    data: list[SeatView]
    next: str | None


class BookingList(Struct, frozen=True):
    """Part of a list, as SeatList."""

    data: list[BookingView]
    next: str | None


class EventList(Struct, frozen=True):
    """Part of a list, as SeatList."""

    data: list[EventView]
    next: str | None
