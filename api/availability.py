"""What the house looks like and what is free, over HTTP: two documents with ETags.

The layout never changes under its version and is sent as Redis keeps it, gzipped. What changes is
one small snapshot, whose ETag is its position in the journal.
"""

from api.http.caching import CHECK_AGAIN, Gzipped, is_known
from api.http.calls import Call
from api.http.payloads import LayoutQuery, NoQuery
from api.http.responses import Header, Response

FOR_EVER: Header = (b"cache-control", b"public, max-age=31536000, immutable")


async def read_layout(call: Call[LayoutQuery, None]) -> Response:
    """Sections, rows, seats, areas and prices. To be kept if the address has their `version`."""
    event = await call.engine.events.read_event(call.event_id)
    loaded = await call.engine.availability.read_layout(event.id, event.layout_version)
    version = loaded.layout.version
    kept = FOR_EVER if call.query.version == version else CHECK_AGAIN
    return await Gzipped(loaded.gzipped, version.encode()).respond(call.headers, kept)


async def read_map(call: Call[NoQuery, None]) -> Response:
    """The whole event at one position: a letter a seat, by the layout's index, and the areas."""
    found = await call.engine.availability.read_map(call.event_id)
    snapshot = call.services.snapshots.of(found)
    return snapshot.unchanged if is_known(snapshot.tag, call.headers) else snapshot.whole
