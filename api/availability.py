"""Layout and availability of an event over HTTP: two documents with ETags.

The layout never changes under its version, and is sent gzipped, as Redis stores it. Everything that
changes is in one small snapshot; its ETag is its position in the journal.
"""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from api.http.caching import CHECK_AGAIN, Gzipped, is_known
from api.http.calls import Call
from api.http.payloads import IdText, NoQuery, RequestBody
from api.http.responses import Header, Response

FOR_EVER: Header = (b"cache-control", b"public, max-age=31536000, immutable")


class LayoutQuery(RequestBody, frozen=True):
    """A URL that has the layout's version may be cached for ever."""

    version: Annotated[IdText, Meta(description="`layoutVersion` of the event.")] | UnsetType = (
        UNSET
    )


async def read_layout(call: Call[LayoutQuery, None]) -> Response:
    """Sections, rows, seats, areas and prices. Cacheable for ever if the URL has the `version`."""
    event = await call.engine.events.read_event(call.event_id)
    loaded = await call.engine.availability.read_layout(event.id, event.layout_version)
    version = loaded.layout.version
    caching = FOR_EVER if call.query.version == version else CHECK_AGAIN
    return await Gzipped(loaded.gzipped, version.encode()).respond(call.headers, caching)


async def read_map(call: Call[NoQuery, None]) -> Response:
    """The whole event at one position: one letter per seat, by layout index, and the areas."""
    availability = await call.engine.availability.read_map(call.event_id)
    snapshot = call.services.snapshots.of(availability)
    return snapshot.unchanged if is_known(snapshot.tag, call.headers) else snapshot.whole
