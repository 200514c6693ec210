"""What the house looks like and what is free, over HTTP: two documents with ETags.

The layout never changes under its version and is sent as Redis keeps it, gzipped. What changes is
one small snapshot, whose ETag is its position in the journal.
"""

import re

from api.answers import Answer, Header
from api.caching import CHECK_AGAIN, Gzipped
from api.calls import Call
from api.payloads import (
    AreaShown,
    AvailabilityShown,
    LayoutQuery,
    NoQuery,
    counts_shown,
    encode,
    time_shown,
)
from engine.models import Availability

_POSITION = re.compile(rb'"(\d{1,20}-\d{1,20})"')
FOR_EVER: Header = (b"cache-control", b"public, max-age=31536000, immutable")


async def read_layout(call: Call[LayoutQuery, None]) -> Answer:
    """Sections, rows, seats, areas and prices. To be kept if the address has their `version`."""
    event = await call.engine.events.read_event(call.event_id)
    loaded = await call.engine.availability.read_layout(event.id, event.layout_version)
    version = loaded.layout.version
    kept = FOR_EVER if call.query.version == version else CHECK_AGAIN
    return await Gzipped(loaded.gzipped, version.encode()).answer(call.headers, kept)


async def read_map(call: Call[NoQuery, None]) -> Answer:
    """The whole event at one position: a letter a seat, by the layout's index, and the areas."""
    known = _POSITION.search(call.headers.get(b"if-none-match", b""))
    position = known[1] if known else b""
    found = await call.engine.availability.read_map(call.event_id, position.decode())
    if found is None:
        return Answer(b"", ((b"etag", b'"%s"' % position), CHECK_AGAIN), 304)
    return Answer(encode(shown(found)), ((b"etag", f'"{found.position}"'.encode()), CHECK_AGAIN))


def shown(found: Availability) -> AvailabilityShown:
    """An event's availability as the API tells it."""
    return AvailabilityShown(
        event_id=found.event_id,
        layout_version=found.layout_version,
        position=found.position,
        sales=found.sales,
        counts=counts_shown(found.counts),
        map=found.map,
        areas=tuple(AreaShown(area.area_id, area.available) for area in found.areas),
        opens_at=time_shown(found.opens_at_ms),
        closes_at=time_shown(found.closes_at_ms),
    )
