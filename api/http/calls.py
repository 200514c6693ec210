"""What an endpoint is given, and the row of the route table it stands in.

An endpoint sees a checked call: the caller may make it, the ids in the path have their form, the
query and the body are decoded. It sees no ASGI and gives back an answer that is ready to send.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct

from api.accounts.mail import Mailer
from api.accounts.passwords import Passwords
from api.http.caching import Gzipped
from api.http.limits import LimitClass, RateLimits
from api.http.payloads import NoQuery
from api.http.permissions import Permission
from api.http.responses import Response
from api.http.tokens import Caller, tokens_of
from api.signatures import STRIPE_HEADER, PaymentSignatures
from api.snapshots import Snapshots
from api.stores import Stores
from engine import Engine, Settings
from engine.bookings import Bookings
from engine.ids import BookingId, CustomerId, EventId
from engine.limits import LimitCheck

V1 = "/api/v1"

QueryT = TypeVar("QueryT")
BodyT = TypeVar("BodyT")


class Services:
    """What the calls of one app share. The app's start connects the engine."""

    engine: Engine
    document: Gzipped

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self.settings = settings
        self.stores = stores
        self.tokens = tokens_of(settings)
        self.payment_signatures = PaymentSignatures(settings.payment_webhook_secret)
        self.stripe_signatures = PaymentSignatures(
            settings.stripe_webhook_secret, STRIPE_HEADER, "STRIPE_WEBHOOK_SECRET"
        )
        self.passwords = Passwords(settings.password_threads, settings.passwords_waiting_max)
        self.mailer = Mailer(settings)
        self.body_bytes_max = settings.body_bytes_max
        self.limits = RateLimits(settings)
        self.snapshots = Snapshots()
        self.in_flight_count = 0
        self.in_flight_max = settings.requests_in_flight_max
        self.ready_parts = tuple(part for part in settings.ready_parts.split(",") if part)


class Call(Struct, Generic[QueryT, BodyT], frozen=True, gc=False, kw_only=True):
    """One request, checked. `privileged` lifts the check of ownership."""

    services: Services
    caller: Caller
    privileged: bool
    path: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    query: QueryT
    body: BodyT
    meter: LimitCheck | None = None

    @property
    def bookings(self) -> Bookings:
        """The bookings of the engine, for calls that take their rate limits along."""
        return self.engine.bookings.under(self.meter) if self.meter else self.engine.bookings

    @property
    def engine(self) -> Engine:
        """The engine of the app."""
        return self.services.engine

    @property
    def event_id(self) -> EventId:
        """The event in the path."""
        return EventId(self.path["event_id"])

    @property
    def booking_id(self) -> BookingId:
        """The booking in the path."""
        return BookingId(self.path["booking_id"])

    @property
    def customer(self) -> CustomerId | None:
        """Whose bookings the call may touch; None: anybody's."""
        return None if self.privileged else self.caller.customer_id

    @property
    def owner_id(self) -> str:
        """Whose events the call may change; "": anybody's."""
        return "" if self.privileged else self.caller.customer_id


Endpoint = Callable[[Call[Any, Any]], Awaitable[Response]]


class Route(Struct, frozen=True, kw_only=True):
    """One row of the route table: all that routing, checking and describing a call needs.

    `privilege` is the permission that does for `permission` and lifts the check of ownership. A
    body that is a `plan` reaches the endpoint as it came, and may be far larger than others;
    a `raw` one as well, as a signature is over its very bytes.
    A body that may be a `form` comes as JSON or as a browser's form sends it; a `bare` one may be
    left out.
    `refusals` are the codes of `api.http.problems` that this call may answer with, besides those
    of every call.

    `repeatable`: calling it twice does what calling it once does, so an Idempotency-Key needs no
    record. `takes` and `gives` name the headers it reads and answers with, beside those that
    follow from the rest (see `api.openapi`). `answers` has statuses of success beside `status`,
    or of an answer that is no problem. A row that is not `described` is left out of the document.
    """

    method: str
    path: str
    endpoint: Endpoint
    answer: type
    status: int = 200
    permission: Permission | None = None
    privilege: Permission | None = None
    query: type[Struct] = NoQuery
    body: type | None = None
    plan: bool = False
    raw: bool = False
    form: bool = False
    bare: bool = False
    limit: LimitClass | None = None
    refusals: tuple[str, ...] = ()
    repeatable: bool = False
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    answers: dict[int, type] = {}
    produces: str = "application/json"
    described: bool = True

    @property
    def keyed(self) -> bool:
        """Whether the first answer to an Idempotency-Key is kept and given again."""
        return self.method == "POST" and self.permission is not None and not self.repeatable

    @property
    def limit_class(self) -> LimitClass:
        """Its buckets; unless it says otherwise, those of looking or of managing."""
        if self.limit is not None:
            return self.limit
        return LimitClass.READ if self.method == "GET" else LimitClass.MANAGE

    @property
    def name(self) -> str:
        """The endpoint's name, which is the `route` label of the metrics."""
        return self.endpoint.__name__
