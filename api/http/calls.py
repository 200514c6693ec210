"""What an endpoint is given, and the row of the route table that it belongs to.

An endpoint gets a checked call: the caller has the permission, the ids in the path are well-formed,
the query and the body are decoded. It sees no ASGI, and returns a response that is ready to send.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct
from starlette.types import Scope

from api.http.decoding import Body
from api.http.limits import LimitClass, address_of
from api.http.payloads import NoQuery
from api.http.permissions import Permission
from api.http.responses import Response
from api.http.tokens import Caller
from api.services import Services
from engine import Engine
from engine.bookings import Bookings
from engine.ids import BookingId, CustomerId, EventId
from engine.limits import LimitCheck

V1 = "/api/v1"
"""Every call of the API, except health, metrics and documents, has its path below this one."""

QueryT = TypeVar("QueryT")
BodyT = TypeVar("BodyT")


class Call(Struct, Generic[QueryT, BodyT], frozen=True, gc=False, kw_only=True):
    """One checked request. `privileged` lifts the ownership check."""

    services: Services
    caller: Caller
    privileged: bool
    path: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    query: QueryT
    body: BodyT
    scope: Scope
    limit_check: LimitCheck | None = None

    @property
    def client_address(self) -> str:
        """The address of the client: what a limit per client counts."""
        return address_of(self.scope)

    @property
    def bookings(self) -> Bookings:
        """The engine's bookings; their scripts check the rate limits of this call too."""
        bookings = self.engine.bookings
        return bookings.under(self.limit_check) if self.limit_check else bookings

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
        """The customer whose bookings the call may change; None: every customer's."""
        return None if self.privileged else self.caller.customer_id

    @property
    def owner_id(self) -> str:
        """The organiser whose events the call may change; "": every organiser's."""
        return "" if self.privileged else self.caller.customer_id


Endpoint = Callable[[Call[Any, Any]], Awaitable[Response]]


class Route(Struct, frozen=True, kw_only=True):
    """One row of the route table: everything that routing, checks and documentation need.

    `permission` is required. A caller with `privilege` does not need it, and skips the ownership
    check. `refusals` are the codes of `api.http.problems` that this route can return, in addition
    to those of every route.

    `repeatable`: the call is idempotent by itself, so no response is stored for an Idempotency-Key.
    `request_headers` and `response_headers` name the headers that do not follow from the rest (see
    `api.document`). `response` is the type of the success response, `other_responses` those of
    other statuses that are not problems. A route that is not `described` is left out of the
    document.
    """

    method: str
    path: str
    endpoint: Endpoint
    response: type
    status: int = 200
    permission: Permission | None = None
    privilege: Permission | None = None
    query: type[Struct] = NoQuery
    body: Body | None = None
    limit: LimitClass | None = None
    refusals: tuple[str, ...] = ()
    repeatable: bool = False
    request_headers: tuple[str, ...] = ()
    response_headers: tuple[str, ...] = ()
    other_responses: dict[int, type] = {}
    produces: str = "application/json"
    described: bool = True

    @property
    def keyed(self) -> bool:
        """Whether the first response to an Idempotency-Key is stored and replayed."""
        return self.method == "POST" and self.permission is not None and not self.repeatable

    @property
    def limit_class(self) -> LimitClass:
        """Its rate limit class; by default READ for GET and MANAGE for every other method."""
        if self.limit is not None:
            return self.limit
        return LimitClass.READ if self.method == "GET" else LimitClass.MANAGE

    @property
    def name(self) -> str:
        """The endpoint's name, which is the `route` label of the metrics."""
        return self.endpoint.__name__
