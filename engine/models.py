"""What the engine talks about: frozen structs, one word per concept (see docs/glossary.md).

msgspec structs rather than dataclasses: the same class decodes a record from Redis, a journal
entry and a plan, checked in C. `gc=False` spares the collector those a hold makes, or a stadium has
50,000 of: nothing they hold leads back to them. Times are milliseconds since the epoch by Redis'
clock, money is in minor units.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from engine.ids import CUSTOMER_PATTERN, AreaId, BookingId, CustomerId, EventId, SeatId

MILLISECONDS_MAX = 10**14
Milliseconds = Annotated[int, Meta(ge=0, le=MILLISECONDS_MAX)]

_END = r"(?![\s\S])"
"""The end of a text in a pattern, in Python and in ECMAScript; `$` passes a newline before it."""

EventName = Annotated[
    str,
    Meta(min_length=1, max_length=200, pattern=rf"^[^\x00-\x1f\x7f\ud800-\udfff]*{_END}"),
]
"""No control characters, no lone surrogates: Postgres takes no NUL, UTF-8 no half of a pair."""
OwnerId = Annotated[str, Meta(max_length=128, pattern=f"^({CUSTOMER_PATTERN})?{_END}")]
"""A customer's id, or "" for an event that is nobody's."""


class BookingStatus(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"
    RELEASED = "released"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Sales(StrEnum):
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


class SalesState(StrEnum):
    """How an event is sold now: as its organiser chose, or closed until it is restored."""

    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"
    RESTORING = "restoring"


class PaymentSource(StrEnum):
    """Who reported a payment: the provider, the organiser at the box office, the customer alone
    (`unchecked`), or the customer where nothing is to be paid (`free`)."""

    PROVIDER = "provider"
    BOX_OFFICE = "box_office"
    UNCHECKED = "unchecked"
    FREE = "free"


class PaymentOutcome(StrEnum):
    """What came of a payment. The first two bought the places; the last four have not succeeded,
    as far as their notices have arrived; any other is owed."""

    CONFIRMED = "confirmed"
    LATE_CONFIRMED = "late_confirmed"
    REFUND_DUE = "refund_due"
    PAID_TWICE = "paid_twice"
    AMOUNT_DIFFERS = "amount_differs"
    BOOKING_CANCELLED = "booking_cancelled"
    PROCESSING = "processing"
    PAYMENT_FAILED = "payment_failed"
    REFUNDED = "refunded"
    DISPUTED = "disputed"


class Payment(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One payment for a booking, as its record keeps it; money in minor units.

    `owed_minor` must go back by the organiser, `refunded_minor` is back by the provider. A payment
    that was unchecked and that the provider reported later has its id there as `provider_id`.
    """

    id: str
    amount_minor: int
    currency: str
    source: PaymentSource
    outcome: PaymentOutcome
    at_ms: int = 0
    note: str | None = None
    provider_id: str | None = None
    owed_minor: int = 0
    reason: str | None = None
    refunded_minor: int = 0
    disputed_at_ms: int | None = None


class PaymentReport(Struct, frozen=True, kw_only=True):
    """What a caller says of a payment; what is left out is the booking's."""

    source: PaymentSource = PaymentSource.UNCHECKED
    id: str = ""
    amount_minor: int | None = None
    currency: str = ""
    note: str = ""


class AreaQuantity(Struct, frozen=True):
    """Places of one standing area."""

    area_id: AreaId
    quantity: int


class Booking(Struct, frozen=True, gc=False, kw_only=True):
    """A claim on seats and standing places: one id from hold to ticket."""

    id: BookingId
    event_id: EventId
    customer_id: CustomerId
    status: BookingStatus
    seats: tuple[SeatId, ...]
    areas: tuple[AreaQuantity, ...]
    amount_minor: int
    currency: str
    held_at_ms: int
    expires_at_ms: int
    confirmed_at_ms: int | None = None
    ended_at_ms: int | None = None
    late: bool = False
    refund_minor: int = 0
    refund_reason: str | None = None
    payments: tuple[Payment, ...] = ()

    @property
    def place_count(self) -> int:
        """Seats and standing places together."""
        return len(self.seats) + sum(area.quantity for area in self.areas)


class Counts(Struct, frozen=True):
    """Places by status; their sum is the capacity (promise G4)."""

    available: int
    held: int
    sold: int
    blocked: int


class Event(Struct, frozen=True, kw_only=True):
    """One show at one time, as Redis has it. 0 as a limit or a time means: none."""

    id: EventId
    name: str
    currency: str
    owner_id: str
    sales: SalesState
    opens_at_ms: int
    closes_at_ms: int
    hold_ttl_ms: int
    hold_max_ms: int
    seats_max: int
    customer_max: int
    ended_ttl_ms: int
    capacity: int
    layout_version: str
    epoch: int
    position: str
    loaded_at_ms: int
    counts: Counts


class Terms(Struct, frozen=True, kw_only=True):
    """How an event is sold: what a plan does not say. `hold_max_ms` 0 means twice the TTL."""

    name: EventName
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3)] = "EUR"
    owner_id: OwnerId = ""
    sales: Sales = Sales.OPEN
    opens_at_ms: Milliseconds = 0
    closes_at_ms: Milliseconds = 0
    hold_ttl_ms: Annotated[int, Meta(ge=1000, le=86_400_000)] = 900_000
    hold_max_ms: Milliseconds = 0
    seats_max: Annotated[int, Meta(ge=1, le=50)] = 10
    customer_max: Annotated[int, Meta(ge=0, le=1000)] = 0
    ended_ttl_ms: Annotated[int, Meta(ge=1000)] = 86_400_000


class SalesChange(Struct, frozen=True, kw_only=True):
    """What to change of an event's sales; None keeps what is there."""

    sales: Sales | None = None
    opens_at_ms: Milliseconds | None = None
    closes_at_ms: Milliseconds | None = None


class Selection(Struct, frozen=True, gc=False, kw_only=True):
    """What one customer asks to hold, in one event: all of it or none.

    Raises ValueError for nothing, for anything named twice, for a seat of another event and for
    a quantity below 1: the scripts count what they are given.
    """

    event_id: EventId
    customer_id: CustomerId
    seats: tuple[SeatId, ...] = ()
    areas: tuple[AreaQuantity, ...] = ()

    def __post_init__(self) -> None:
        if not self.seats and not self.areas:
            raise ValueError("a selection names seats or areas")
        if len(set(self.seats)) < len(self.seats):
            raise ValueError("a seat is named twice")
        start = f"{self.event_id}:"
        for seat in self.seats:
            if not seat.startswith(start):
                raise ValueError(f"a seat is not one of {self.event_id}")
        if self.areas:
            self._check_areas()

    def _check_areas(self) -> None:
        if len({area.area_id for area in self.areas}) < len(self.areas):
            raise ValueError("an area is named twice")
        if any(area.quantity < 1 for area in self.areas):
            raise ValueError("a quantity is below 1")


class LayoutCategory(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A price category; its position in the layout is its number."""

    id: str
    name: str
    price_minor: int
    color: str | None = None


class LayoutSeat(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """`id` is the seat id without the event; `category` is a category's id."""

    id: str
    number: str
    category: str
    x: float | UnsetType = UNSET
    y: float | UnsetType = UNSET
    accessible: bool = False
    blocked: bool = False


class LayoutRow(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """`index` is the place of its first seat in the map; its seats follow one another."""

    id: str
    index: int
    seats: tuple[LayoutSeat, ...]


class LayoutSection(Struct, frozen=True, kw_only=True):
    """A block of seats."""

    id: str
    name: str
    rows: tuple[LayoutRow, ...]


class LayoutArea(Struct, frozen=True, kw_only=True):
    """Standing room with a capacity."""

    id: str
    name: str
    category: str
    capacity: int


class Layout(Struct, frozen=True, kw_only=True):
    """Where every seat is and what it costs. Never changes under one `version`."""

    version: str
    currency: str
    categories: tuple[LayoutCategory, ...]
    sections: tuple[LayoutSection, ...]
    areas: tuple[LayoutArea, ...]


class AreaCounts(Struct, frozen=True):
    """A standing area's places by status."""

    area_id: AreaId
    capacity: int
    held: int
    sold: int

    @property
    def available(self) -> int:
        """Places nobody holds or has bought."""
        return self.capacity - self.held - self.sold


class Availability(Struct, frozen=True, kw_only=True):
    """The whole event at one journal position. `map` has one letter a seat, by index:
    `a`vailable, `h`eld, `s`old, `b`locked, and `/` between rows."""

    event_id: EventId
    layout_version: str
    position: str
    sales: SalesState
    opens_at_ms: int
    closes_at_ms: int
    counts: Counts
    map: str
    areas: tuple[AreaCounts, ...]


class JournalEntry(Struct, frozen=True, kw_only=True):
    """One change of state. Booking entries carry the whole booking as it was after the change."""

    event_id: EventId
    entry_id: str
    kind: str
    at_ms: int
    epoch: int
    booking: Booking | None = None
    event: dict[str, str] | None = None
    layout: bytes | None = None


class Expired(Struct, frozen=True):
    """What one `expire_bookings` call did. `late_ms` has one number a booking it released."""

    now_ms: int
    next_deadline_ms: int | None
    late_ms: tuple[int, ...]
    forgotten_count: int


class Page(Struct, frozen=True):
    """Part of a list of bookings; `next` is the cursor of the rest, or None."""

    bookings: tuple[Booking, ...]
    next: str | None
