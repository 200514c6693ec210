"""Availability responses, encoded once per change of an event instead of once per request.

The engine returns the same object until the event changes, so its identity is the cache key.
"""

from typing import NamedTuple

from cachetools import LRUCache

from api.http.caching import CHECK_AGAIN
from api.http.payloads import CountsView, View, counts_view, encode
from api.http.responses import Response
from engine.availability import MAP_CACHE_BYTES, map_bytes
from engine.booking_view import AreaView
from engine.ids import EventId
from engine.models import Availability, SalesState
from engine.timestamps import rfc3339_or_none


class AvailabilityView(View, frozen=True):
    """The whole event at one position; see `engine.models.Availability` for the map."""

    event_id: str
    layout_version: str
    position: str
    sales: SalesState
    counts: CountsView
    map: str
    areas: tuple[AreaView, ...]
    opens_at: str | None = None
    closes_at: str | None = None


class Snapshot(NamedTuple):
    """The two responses at one position: the whole map, and 304 for a client that has it."""

    found: Availability
    tag: bytes
    whole: Response
    unchanged: Response


class Snapshots:
    """The newest snapshots, at most MAP_CACHE_BYTES of them."""

    def __init__(self) -> None:
        self._made: LRUCache[EventId, Snapshot]
        self._made = LRUCache(MAP_CACHE_BYTES, lambda made: map_bytes(made.found))

    def of(self, found: Availability) -> Snapshot:
        """The snapshot of an availability, cached for as long as the engine returns that object."""
        made = self._made.get(found.event_id)
        if made is None or made.found is not found:
            made = self._made[found.event_id] = _snapshot(found)
        return made


def _snapshot(found: Availability) -> Snapshot:
    tag = found.position.encode()
    about = ((b"etag", b'"%b"' % tag), CHECK_AGAIN)
    return Snapshot(found, tag, Response(encode(_view(found)), about), Response(b"", about, 304))


def _view(found: Availability) -> AvailabilityView:
    return AvailabilityView(
        event_id=found.event_id,
        layout_version=found.layout_version,
        position=found.position,
        sales=found.sales,
        counts=counts_view(found.counts),
        map=found.map,
        areas=tuple(AreaView(area.area_id, area.available) for area in found.areas),
        opens_at=rfc3339_or_none(found.opens_at_ms),
        closes_at=rfc3339_or_none(found.closes_at_ms),
    )
