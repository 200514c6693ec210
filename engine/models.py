"""The engine's data types: frozen structs, one word per concept (see docs/glossary.md).

msgspec structs rather than dataclasses: the same class decodes and checks a value from Redis, a
journal entry and a plan, in C. `gc=False` keeps the structs of a hold and the 50,000 seats of a
stadium out of the garbage collector; they cannot be part of a cycle. Times are Unix milliseconds by
Redis' clock; money is in minor units.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import asdict

from engine.ids import CUSTOMER_PATTERN, AreaId, BookingId, CustomerId, EventId, SeatId
from engine.positions import Position, position_of

MILLISECONDS_MAX = 10**14
PAYMENT_MS_MAX = 14 * 86_400_000
"""The longest time that an event may give a payment."""
Milliseconds = Annotated[int, Meta(ge=0, le=MILLISECONDS_MAX)]

_END = r"(?![\s\S])"
"""The end of the text in Python and ECMAScript patterns; `$` also matches before a newline."""

EventName = Annotated[
    str,
    Meta(min_length=1, max_length=200, pattern=rf"^[^\x00-\x1f\x7f\ud800-\udfff]*{_END}"),
]
"""No control characters, no lone surrogates: Postgres rejects NUL, UTF-8 lone surrogates."""
OwnerId = Annotated[str, Meta(max_length=128, pattern=f"^({CUSTOMER_PATTERN})?{_END}")]
"""A customer's id, or "" for an event without an owner."""


TimeZoneName = Annotated[str, Meta(max_length=64, pattern=rf"^[A-Za-z0-9_+/-]*{_END}")]
"""A name of the IANA database (`engine.terms` checks that it is there), or "" if none is set."""
TimeZoneText = Annotated[TimeZoneName, Meta(min_length=1)]
"""A name that a caller gives: null unsets it, not ""."""
PaymentMs = Annotated[int, Meta(ge=0, le=PAYMENT_MS_MAX)]
RANK_MAX = 10_000_000
Rank = Annotated[int, Meta(ge=0, le=RANK_MAX, description="The organiser's: 0 is the best seat.")]


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


class LatePayment(StrEnum):
    """What a payment after its deadline gets if its places are free: the places, or a refund."""

    CONFIRM = "confirm"
    REFUND = "refund"


class SingleSeats(StrEnum):
    """What an event does about a free seat that a booking would leave alone between others."""

    ALLOW = "allow"
    AVOID = "avoid"
    """The engine chooses other places where it can; who picks seats may pick them."""
    REFUSE = "refuse"
    """Picked seats too are refused, where others would do."""


class SalesState(StrEnum):
    """Whether an event sells: as its organiser set, or `restoring` while it is fenced."""

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
    together: "Together | None" = None
    """How the party sits, if the engine chose the places."""

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
    """One show at one time, as Redis has it. A limit or time of 0 means none.

    An event that an older release loaded may lack the fields that have a default.
    """

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
    starts_at_ms: int = 0
    time_zone: str = ""
    cancel_until_ms: int = 0
    late_payment: LatePayment = LatePayment.CONFIRM
    payment_max_ms: int = 0
    single_seats: SingleSeats = SingleSeats.AVOID
    accessible_release_at_ms: int = 0

    @property
    def version(self) -> str:
        """What a conditional change compares: every change of the event moves it."""
        return f"{self.epoch}-{self.position}"


class Terms(Struct, frozen=True, kw_only=True):
    """How an event is sold; the layout has the rest. `hold_max_ms` 0 means twice the hold TTL.

    `engine.terms` has the rules between them. A time of 0 is not set: `cancel_until_ms` 0 leaves
    cancelling to the organiser; `payment_max_ms` 0 is off, and a slow payment moves no deadline.
    """

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
    starts_at_ms: Milliseconds = 0
    time_zone: TimeZoneName = ""
    cancel_until_ms: Milliseconds = 0
    late_payment: LatePayment = LatePayment.CONFIRM
    payment_max_ms: PaymentMs = 0
    single_seats: SingleSeats = SingleSeats.AVOID
    accessible_release_at_ms: Milliseconds = 0


class TermsChange(Struct, frozen=True, kw_only=True):
    """A change of an event's terms; None leaves a term as it is, 0 or "" unsets it."""

    sales: Sales | None = None
    opens_at_ms: Milliseconds | None = None
    closes_at_ms: Milliseconds | None = None
    starts_at_ms: Milliseconds | None = None
    time_zone: TimeZoneName | None = None
    cancel_until_ms: Milliseconds | None = None
    late_payment: LatePayment | None = None
    payment_max_ms: PaymentMs | None = None
    single_seats: SingleSeats | None = None
    accessible_release_at_ms: Milliseconds | None = None

    @property
    def fields(self) -> dict[str, int | str]:
        """The terms that change, as the event hash names them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Versions(Struct, frozen=True):
    """Which versions of an event a conditional change names; `any` is every version."""

    named: tuple[str, ...] = ()
    any: bool = False


class Selection(Struct, frozen=True, gc=False, kw_only=True):
    """The places of one event that a customer asks to hold, all or none.

    Raises ValueError if it is empty, if it has a seat or area twice, for a seat of another event
    and for a quantity below 1: the scripts rely on it.
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
    """A price category. Its number is its index in `Layout.categories`."""

    id: str
    name: str
    price_minor: int
    color: Annotated[str | None, Meta(description="Left out if there is none.")] = None


class LayoutSeat(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A seat. `id` is its local id; `category` is the id of a category."""

    id: str
    number: str
    category: str
    x: float | UnsetType = UNSET
    y: float | UnsetType = UNSET
    accessible: Annotated[bool, Meta(description="Left out if false.")] = False
    blocked: Annotated[bool, Meta(description="Left out if false.")] = False
    rank: Rank | UnsetType = UNSET
    companion_of: Annotated[
        str,
        Meta(description="The wheelchair place whose companion it is for. Left out if none."),
    ] = field(default="", name="companionOf")
    restricted_view: Annotated[bool, Meta(description="Left out if false.")] = field(
        default=False, name="restrictedView"
    )


class QualityBy(StrEnum):
    """What the quality of a seat is."""

    FOCUS = "focus"
    RANK = "rank"
    ROW = "row"


class Quality(Struct, frozen=True, kw_only=True):
    """How seats are judged: by their distance to a point, by rank, or by their row in the plan.

    A seat that is `step` farther away, or `step` ranks behind, is one step worse.
    """

    by: QualityBy
    x: float = 0.0
    y: float = 0.0
    step: float = 1.0


class LayoutRow(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A run of neighbouring seats. `index` is the map index of the first; the others follow it."""

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
    """Where every seat is and what it costs. A `version` never changes."""

    version: str
    currency: str
    categories: tuple[LayoutCategory, ...]
    sections: tuple[LayoutSection, ...]
    areas: tuple[LayoutArea, ...]
    quality: Quality | None = None
    """None of a layout that an older release built: its rows are judged in their order."""


class Together(StrEnum):
    """How a party sits that got the best places there were."""

    ROW = "row"
    """Side by side."""
    ROWS = "rows"
    """In two halves, one row behind the other."""
    SECTION = "section"
    """In parts in one section."""
    APART = "apart"
    """In parts anywhere."""
    STANDING = "standing"
    """All of it in a standing area."""


class BestSelection(Struct, frozen=True, gc=False, kw_only=True):
    """The best places of one event that a customer asks for: how many, of what, and how together.

    `wheelchair` of the `quantity` are wheelchair places, the others then are companions beside
    them. `fallback` says how the party may be parted, ROW excepted; without it, it is not. `beside`
    is a pending booking of the customer. Raises ValueError for a quantity below 1, and for more
    wheelchair places than places.
    """

    event_id: EventId
    customer_id: CustomerId
    quantity: int
    category_ids: tuple[str, ...] = ()
    section_ids: tuple[str, ...] = ()
    price_max_minor: int | None = None
    wheelchair: int = 0
    restricted_view: bool = False
    fallback: tuple[Together, ...] = ()
    beside: BookingId | None = None

    def __post_init__(self) -> None:
        if self.quantity < 1 or not 0 <= self.wheelchair <= self.quantity:
            raise ValueError("a party has at least one place, and no more wheelchair places")
        if self.beside and not self.beside.startswith(f"{self.event_id}:"):
            raise ValueError(f"the booking is not one of {self.event_id}")


class AreaCounts(Struct, frozen=True):
    """A standing area's places by status."""

    area_id: AreaId
    capacity: int
    held: int
    sold: int

    @property
    def available(self) -> int:
        """Places that are neither held nor sold."""
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
    """One change of state. The entry of a booking has the whole booking after the change.

    `layout` is gzipped: of a load the whole one; of an addition to the layout of the
    `known_version` in `event`, a layout with only what is new.
    """

    event_id: EventId
    entry_id: str
    kind: str
    at_ms: int
    epoch: int
    booking: Booking | None = None
    event: dict[str, str] | None = None
    layout: bytes | None = None

    @property
    def position(self) -> Position:
        """Where the entry stands among those of its event and epoch."""
        return position_of(self.entry_id)


class Expired(Struct, frozen=True):
    """What one `expire_bookings` call did. `late_ms` has one number for each expired booking."""

    now_ms: int
    next_deadline_ms: int | None
    late_ms: tuple[int, ...]
    forgotten_count: int


class Page(Struct, frozen=True):
    """One page of a list of bookings; `next` is the cursor of the next page, or None."""

    bookings: tuple[Booking, ...]
    next: str | None
