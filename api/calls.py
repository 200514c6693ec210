"""What an endpoint is given, and the row of the route table it stands in.

An endpoint sees a checked call: the caller may make it, the ids in the path have their form, the
query and the body are decoded. It sees no ASGI and gives back an answer that is ready to send.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct

from api.answers import Answer
from api.auth import Caller, Tokens
from api.payloads import NoQuery
from api.permissions import Permission
from api.stores import Stores
from engine import Engine, Settings
from engine.ids import BookingId, CustomerId, EventId

V1 = "/api/v1"

QueryT = TypeVar("QueryT")
BodyT = TypeVar("BodyT")


class Services:
    """What the calls of one app share. The app's start connects the engine."""

    engine: Engine

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self.settings = settings
        self.stores = stores
        self.tokens = Tokens(settings.jwt_secret)
        self.body_bytes_max = settings.body_bytes_max
        self.ready_parts = tuple(part for part in settings.ready_parts.split(",") if part)


class Call(Struct, Generic[QueryT, BodyT], frozen=True, kw_only=True):
    """One request, checked. `privileged` lifts the check of ownership."""

    services: Services
    caller: Caller
    privileged: bool
    path: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    query: QueryT
    body: BodyT

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


Endpoint = Callable[[Call[Any, Any]], Awaitable[Answer]]


class Route(Struct, frozen=True, kw_only=True):
    """One row of the route table: all that routing, checking and describing a call needs.

    `privilege` is the permission that does for `permission` and lifts the check of ownership. A
    body that is a `plan` reaches the endpoint as it came, and may be far larger than others.
    `refusals` are the codes of `api.problems` this call may answer, beside those every call may.
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
    refusals: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The endpoint's name, which is the `route` label of the metrics."""
        return self.endpoint.__name__
