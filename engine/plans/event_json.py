"""Our own event JSON: the format of `engine load`, `POST /event` and `POST /event/{id}/seats`.

The structs below are the format: they decode it, and docs/event.schema.json is generated from them
(a test compares). Unknown fields are rejected, so that a misspelt `acessible` is reported, not
ignored. The category of a section or a row applies to its seats that have none.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from engine.ids import PLACE_PATTERN
from engine.models import (
    EventName,
    LatePayment,
    Layout,
    LayoutArea,
    LayoutCategory,
    LayoutSeat,
    PaymentMs,
    Rank,
    Sales,
    SingleSeats,
    TimeZoneText,
)
from engine.plans.builder import COORDINATE_MAX, PLACES_MAX, PRICE_MINOR_MAX, LayoutBuilder
from engine.plans.plan import NO_OPTIONS, Plan, PlanOptions, make_plan
from engine.plans.problems import decode_json

Id = Annotated[str, Meta(pattern=f"^{PLACE_PATTERN}$")]
Label = Annotated[str, Meta(min_length=1, max_length=100)]
Coordinate = Annotated[float, Meta(ge=-COORDINATE_MAX, le=COORDINATE_MAX)]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its offset.")]


class _Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The options of every struct of the format."""


class Category(_Part, frozen=True):
    """A price category."""

    id: Id
    name: Label
    price_minor: Annotated[
        int, Meta(ge=0, le=PRICE_MINOR_MAX, description="In minor units: 4900 is 49.00 EUR.")
    ]
    color: Annotated[str, Meta(pattern="^#[0-9A-Fa-f]{6}$", max_length=7)] | None = None


class Seat(_Part, frozen=True):
    """A seat. `x` and `y` are in any one unit, y downwards, and go together."""

    number: Label
    category: Annotated[
        Id | None, Meta(description="Left out: the category of the row, else of the section.")
    ] = None
    id: Annotated[
        Id | None, Meta(description="Left out: `<section>-<row>-<number>`. Unique in the event.")
    ] = None
    x: Coordinate | UnsetType = UNSET
    y: Coordinate | UnsetType = UNSET
    accessible: Annotated[bool, Meta(description="A wheelchair place.")] = False
    blocked: Annotated[bool, Meta(description="Not for sale.")] = False
    rank: Annotated[
        Rank | UnsetType,
        Meta(description="0 is the best seat. All seats have one, or none; no two the same."),
    ] = UNSET
    companion_of: Annotated[
        Id | None, Meta(description="The id of the wheelchair place whose companion sits here.")
    ] = None
    restricted_view: Annotated[
        bool, Meta(description="Chosen for a customer only where the customer accepts it.")
    ] = False


class Row(_Part, frozen=True):
    """A run of neighbouring seats. A row with an aisle in it may be given as two of the same id."""

    id: Annotated[Label, Meta(description="The label on the row, of any letters.")]
    seats: Annotated[tuple[Seat, ...], Meta(min_length=1)]
    category: Id | None = None
    rank: Annotated[Rank | UnsetType, Meta(description="Of all its seats that have none.")] = UNSET


class Section(_Part, frozen=True):
    """A block of seats. Its name, left out, is its id."""

    id: Id
    rows: Annotated[tuple[Row, ...], Meta(min_length=1)]
    name: Label | None = None
    category: Id | None = None


class FocusPoint(_Part, frozen=True):
    """The focal point, as the middle of the stage. The nearer a seat, the better it is."""

    x: Coordinate
    y: Coordinate


class Area(_Part, frozen=True):
    """A standing area."""

    id: Id
    name: Label
    category: Id
    capacity: Annotated[int, Meta(ge=1, le=PLACES_MAX)]


class EventPlan(_Part, frozen=True):
    """An event: what is sold, at what price, when, and how many a customer may have."""

    name: EventName
    currency: Annotated[
        str, Meta(pattern="^[A-Z]{3}$", max_length=3, description="ISO 4217, as `EUR`.")
    ] = "EUR"
    categories: tuple[Category, ...] = ()
    sections: tuple[Section, ...] = ()
    areas: tuple[Area, ...] = ()
    focus: Annotated[
        FocusPoint | None,
        Meta(
            description="Left out: the middle of the first row. Not used where seats have ranks; "
            "otherwise every seat needs x and y."
        ),
    ] = None
    sales: Sales = Sales.OPEN
    opens_at: Moment | None = None
    closes_at: Moment | None = None
    seats_max: Annotated[int, Meta(ge=1, le=50, description="The most places of one booking.")] = 10
    customer_max: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=1000,
                description="The most places of one customer; 0 is no limit. If absent: 10 for an "
                "event created over HTTP, no limit for `engine load`.",
            ),
        ]
        | UnsetType
    ) = UNSET
    hold_ttl_s: Annotated[
        int, Meta(ge=1, le=86_400, description="How long a hold lasts, in seconds.")
    ] = 900
    starts_at: Moment | None = None
    time_zone: Annotated[
        TimeZoneText | None, Meta(description="Where the event is, by its IANA name.")
    ] = None
    cancel_until: Annotated[
        Moment | None, Meta(description="Until when customers may cancel. Left out: they may not.")
    ] = None
    late_payment: Annotated[
        LatePayment,
        Meta(
            description="What a payment after its deadline gets, if its places are free: them, or "
            "a refund."
        ),
    ] = LatePayment.CONFIRM
    payment_max_ms: Annotated[
        PaymentMs,
        Meta(
            description="The longest time after the hold that a slow payment gets, not shorter "
            "than the hold; 0 is off: a slow payment does not move the deadline."
        ),
    ] = 0
    single_seats: Annotated[
        SingleSeats,
        Meta(
            description="A free seat that a booking would leave alone between others: `allow` it, "
            "`avoid` it where the engine chooses places, or `refuse` picked seats that leave one."
        ),
    ] = SingleSeats.AVOID
    accessible_release_at: Annotated[
        Moment | None,
        Meta(
            description="From when on wheelchair places and those of companions are for everybody."
        ),
    ] = None


class MoreSeats(_Part, frozen=True):
    """What `POST /event/{id}/seats` takes: sections, new or known, areas, and their categories."""

    categories: tuple[Category, ...] = ()
    sections: tuple[Section, ...] = ()
    areas: tuple[Area, ...] = ()


def parse_event_json(
    body: bytes, options: PlanOptions = NO_OPTIONS, *, allow_empty: bool = False
) -> Plan:
    """Read an event in our own format. Raises PlanError."""
    event = decode_json(body, EventPlan)
    builder = LayoutBuilder(ranks=options.ranks)
    _add_places(builder, event)
    if event.focus and not options.focus:
        builder.set_focus("focus", event.focus.x, event.focus.y)
    stated: dict[str, object] = {
        "name": event.name,
        "currency": event.currency,
        "sales": event.sales,
        "opens_at_ms": milliseconds(event.opens_at),
        "closes_at_ms": milliseconds(event.closes_at),
        "seats_max": event.seats_max,
        "hold_ttl_ms": event.hold_ttl_s * 1000,
        "starts_at_ms": milliseconds(event.starts_at),
        "time_zone": event.time_zone or "",
        "cancel_until_ms": milliseconds(event.cancel_until),
        "late_payment": event.late_payment,
        "payment_max_ms": event.payment_max_ms,
        "single_seats": event.single_seats,
        "accessible_release_at_ms": milliseconds(event.accessible_release_at),
    }
    if event.customer_max is not UNSET:
        stated["customer_max"] = event.customer_max
    return make_plan(builder, stated, options, allow_empty=allow_empty)


def add_sections(layout: Layout, body: bytes) -> Layout:
    """The layout extended by `body` (a MoreSeats): its rows at the end of the map, and its areas.

    A section that exists gets the new rows; existing seats keep their index.
    Raises: PlanError; SeatExists for seats and areas that the layout has.
    """
    more = decode_json(body, MoreSeats)
    builder = LayoutBuilder(layout)
    _add_places(builder, more)
    return builder.build(layout.currency)


def event_schema() -> str:
    """The format as a JSON Schema: the text of docs/event.schema.json."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema | msgspec.json.schema(EventPlan), indent=2) + "\n"


def _add_places(builder: LayoutBuilder, plan: EventPlan | MoreSeats) -> None:
    for number, category in enumerate(plan.categories):
        builder.add_category(
            f"categories[{number}]",
            LayoutCategory(
                id=category.id,
                name=category.name,
                price_minor=category.price_minor,
                color=category.color,
            ),
        )
    for number, section in enumerate(plan.sections):
        where = f"sections[{number}]"
        builder.add_section(where, section.id, section.name or section.id)
        for row_number, row in enumerate(section.rows):
            row_where = f"{where}.rows[{row_number}]"
            builder.add_row(row_where, section.id, row.id, [*_seats(row_where, section, row)])
    for number, area in enumerate(plan.areas):
        builder.add_area(
            f"areas[{number}]",
            LayoutArea(id=area.id, name=area.name, category=area.category, capacity=area.capacity),
        )


def _seats(where: str, section: Section, row: Row) -> Iterator[tuple[str, LayoutSeat]]:
    for number, seat in enumerate(row.seats):
        yield (
            f"{where}.seats[{number}]",
            LayoutSeat(
                id=seat.id or "",
                number=seat.number,
                category=seat.category or row.category or section.category or "",
                x=seat.x,
                y=seat.y,
                accessible=seat.accessible,
                blocked=seat.blocked,
                rank=row.rank if seat.rank is UNSET else seat.rank,
                companion_of=seat.companion_of or "",
                restricted_view=seat.restricted_view,
            ),
        )


def milliseconds(moment: datetime | None) -> int:
    """A time of a plan in Unix milliseconds; 0 for none."""
    epoch = datetime.fromtimestamp(0, UTC)
    return (moment - epoch) // timedelta(milliseconds=1) if moment else 0
