"""The base of all payloads, and what several nouns share; each noun defines its own beside it.

Field names are camelCase, money is in minor units, times are RFC 3339 in UTC with milliseconds.
An unknown field is refused, so a client cannot add a price, a status or a customer to a body.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from engine import ids
from engine.models import Counts

encode = msgspec.json.Encoder().encode

IdText = Annotated[str, Meta(min_length=1, max_length=200)]
EventIdText = Annotated[IdText, Meta(extra_json_schema={"pattern": f"^{ids.EVENT_PATTERN}$"})]
SeatIdText = Annotated[
    IdText, Meta(extra_json_schema={"pattern": f"^{ids.EVENT_PATTERN}:{ids.PLACE_PATTERN}$"})
]
"""The pattern is for the document only: `engine.ids` checks ids, and its errors name the flaw."""
Limit = Annotated[int, Meta(ge=1, le=100, description="The most items of this page.")]
Cursor = Annotated[
    str, Meta(min_length=1, max_length=200, description="`next` of the previous page.")
]
OneEvent = Annotated[EventIdText, Meta(description="Only this event.", examples=["gala"])]
Instant = Annotated[datetime, Meta(tz=True)]


class RequestBody(
    Struct, frozen=True, gc=False, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """The base of every body and query. An unknown field is refused."""


class NoQuery(RequestBody, frozen=True):
    """The query of a route without parameters."""


class PageQuery(RequestBody, frozen=True):
    """One page of a list: at most `limit` items, from the `cursor` of the previous page on."""

    limit: Limit = 20
    cursor: Cursor | UnsetType = UNSET


class View(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """The base of every response body. Every field is always there, null where nothing is known:
    a client of a typed language reads one shape."""


class CountsView(View, frozen=True):
    """Places by status, standing places included."""

    available: int
    held: int
    sold: int
    blocked: int


def counts_view(counts: Counts) -> CountsView:
    """The view of an event's counts."""
    return CountsView(
        available=counts.available, held=counts.held, sold=counts.sold, blocked=counts.blocked
    )
