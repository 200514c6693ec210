"""Reads availability: the map by one script call, the layout from a cache.

The map has one letter for each seat and is read with one GET; the seats hash is never read whole.
Reads of one tick share a call (single-flight). The call sends the position that this process has
cached: if nothing changed since, Redis does not send the map, and it is not decoded again. A read
never returns state older than the request. A layout never changes under its version, so a process
reads and decodes each version once.
"""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from cachetools import LRUCache

from engine import keys
from engine.errors import EventNotFound, Unavailable
from engine.ids import AreaId, EventId
from engine.models import (
    AreaCounts,
    Availability,
    Counts,
    Layout,
    LayoutRow,
    LayoutSeat,
    SalesState,
)
from engine.plans import child_process
from engine.plans import layout as layouts
from engine.plans.layout import SplitLayout
from engine.scripts import Scripts
from engine.transport.batcher import Batcher

LAYOUT_CACHE_BYTES = 64 * 2**20
MAP_CACHE_BYTES = 32 * 2**20
"""What a process caches at most, whatever events strangers ask for."""
PLACE_BYTES = 300
"""A decoded seat: 299 bytes by tracemalloc, 50,000 seats of `venue:stadium`, CPython 3.11."""
_FREED_ROWS = 10
_PAUSE_S = 0.001
"""Between two pieces of a layout that is decoded or freed: the event loop has its turn first."""
_TRIES = 5
DECODING_MAX = 1
"""Layouts decoded at once: each needs a thread, and its memory before it counts in the cache."""


class Place(NamedTuple):
    """A seat with its section and row."""

    section_id: str
    row_id: str
    seat: LayoutSeat


@dataclass(frozen=True, slots=True)
class LoadedLayout:
    """A layout as sent to browsers and decoded; `rows` are those of all sections by map index."""

    gzipped: bytes
    layout: Layout
    rows: list[tuple[str, LayoutRow]] = field(repr=False)
    stretches: list[tuple[str, int, int]] = field(repr=False)
    """Runs of the map of one category: its id, the first index, one past the last."""

    def count(self, availability: Availability) -> dict[str, Counts]:
        """Places by category and status, of an availability of this layout."""
        counted = {category.id: [0, 0, 0, 0] for category in self.layout.categories}
        for category, first, past in self.stretches:
            for at, letter in enumerate("ahsb"):
                counted[category][at] += availability.map.count(letter, first, past)
        category_of = {area.id: area.category for area in self.layout.areas}
        for area in availability.areas:
            counts = counted[category_of[area.area_id]]
            for at, more in enumerate((area.available, area.held, area.sold)):
                counts[at] += more
        return {category: Counts(*counts) for category, counts in counted.items()}

    def place(self, index: int) -> Place | None:
        """The seat at this index of the map; None between two rows and beyond the last."""
        number = bisect_right(self.rows, index, key=lambda row: row[1].index) - 1
        if number < 0:
            return None
        section_id, row = self.rows[number]
        at = index - row.index
        return Place(section_id, row.id, row.seats[at]) if at < len(row.seats) else None


class _LayoutCache(LRUCache[tuple[EventId, str], LoadedLayout]):
    """Frees what it evicts in a thread, a little at a time."""

    def popitem(self) -> tuple[tuple[EventId, str], LoadedLayout]:
        """Evict the layout that was not used for the longest time."""
        key, found = super().popitem()
        asyncio.get_running_loop().run_in_executor(None, _free, [found])
        return key, found


def _stretches(rows: Iterable[LayoutRow]) -> Iterator[tuple[str, int, int]]:
    """Runs of the map of one category, `/` between rows included: category, first, past the last.

    The rows are in the order of the map.
    """
    category, first, past = "", 0, 0
    for row in rows:
        for index, seat in enumerate(row.seats, row.index):
            if seat.category != category:
                if past > first:
                    yield category, first, past
                category, first = seat.category, index
            past = index + 1
    if past > first:
        yield category, first, past


def _free(evicted: list[LoadedLayout]) -> None:
    """Free a layout piece by piece: 600,000 seats at once would hold the GIL for 0.2 s."""
    rows = list(evicted.pop().rows)
    while rows:
        del rows[-_FREED_ROWS:]
        time.sleep(_PAUSE_S)


class AvailabilityReader:
    """Reads maps and layouts."""

    def __init__(self, scripts: Scripts, batcher: Batcher) -> None:
        self._scripts = scripts
        self._batcher = batcher
        self._loading: dict[EventId, asyncio.Task[LoadedLayout]] = {}
        self._decoding = asyncio.Semaphore(DECODING_MAX)
        self._layouts = _LayoutCache(LAYOUT_CACHE_BYTES, _layout_bytes)
        self._asking: dict[EventId, asyncio.Task[Availability]] = {}
        self._known: LRUCache[EventId, Availability] = LRUCache(MAP_CACHE_BYTES, map_bytes)

    async def read_map(self, event: EventId) -> Availability:
        """The current availability; the same object as before while nothing changed.

        Raises: EventNotFound.
        """
        asking = self._asking.get(event)
        if asking is None:
            loop = asyncio.get_running_loop()
            asking = self._asking[event] = loop.create_task(self._ask(event))
            loop.call_soon(
                self._asking.pop, event
            )  # sent with this tick: a later read needs a call of its own
        return await asyncio.shield(asking)

    async def _ask(self, event: EventId) -> Availability:
        known = self._known.get(event)
        position = known.position if known else ""
        reply = await self._scripts.run("read_map", keys.of_event(event), [position])
        if known and not reply:
            return known
        found = self._known[event] = _availability(event, reply)
        return found

    async def read_both(self, event: EventId) -> tuple[Availability, LoadedLayout]:
        """Map and layout of one version; retries, as seats may be added between the two reads.

        Raises: EventNotFound, Unavailable.
        """
        for _ in range(_TRIES):
            availability = await self.read_map(event)
            loaded = await self.read_layout(event, availability.layout_version)
            if loaded.layout.version == availability.layout_version:
                return availability, loaded
        raise Unavailable("the layout changes faster than it can be read")

    async def read_layout(self, event: EventId, version: str = "") -> LoadedLayout:
        """The layout of this version, or the newest. Raises: EventNotFound.

        For a version that Redis no longer has, returns the newest, which has its own version.
        """
        cached = self._layouts.get((event, version))
        if cached is not None:
            return cached
        loading = self._loading.get(event)
        if loading is None:  # single-flight: decoding a stadium takes 100 ms
            loading = self._loading[event] = asyncio.create_task(self._load_layout(event))
            loading.add_done_callback(lambda _: self._loading.pop(event))
        return await asyncio.shield(loading)

    async def read_encoded_layout(self, event: EventId) -> bytes:
        """The newest layout as Redis has it: gzipped JSON. Raises: EventNotFound."""
        gzipped: bytes | None = await self._batcher.ask("GET", keys.layout(event))
        if gzipped is None:
            raise EventNotFound(event)
        return gzipped

    async def _load_layout(self, event: EventId) -> LoadedLayout:
        gzipped = await self.read_encoded_layout(event)
        async with self._decoding:
            parts = await child_process.split(gzipped)
            found = await asyncio.to_thread(_load, gzipped, parts)
        self._layouts[event, found.layout.version] = found
        return found


def map_bytes(found: Availability) -> int:
    """What a cached map counts: a letter a seat, and its struct. The largest always has room."""
    return min(MAP_CACHE_BYTES, len(found.map) + 2000 + 200 * len(found.areas))


def _layout_bytes(found: LoadedLayout) -> int:
    seats = sum(len(row.seats) for _, row in found.rows)
    return min(LAYOUT_CACHE_BYTES, len(found.gzipped) + PLACE_BYTES * seats)


def _load(gzipped: bytes, parts: SplitLayout) -> LoadedLayout:
    layout = layouts.join(parts, _PAUSE_S)
    rows = [(section.id, row) for section in layout.sections for row in section.rows]
    rows.sort(key=lambda row: row[1].index)
    return LoadedLayout(gzipped, layout, rows, [*_stretches(row for _, row in rows)])


def _availability(event: EventId, reply: list[bytes]) -> Availability:
    position, version, sales, opens, closes = (item.decode() for item in reply[:5])
    return Availability(
        event_id=event,
        layout_version=version,
        position=position,
        sales=SalesState(sales),
        opens_at_ms=int(opens),
        closes_at_ms=int(closes),
        counts=Counts(*(int(count) for count in reply[5:9])),
        map=reply[9].decode(),
        areas=tuple(_area(reply[i].decode(), reply[i + 1]) for i in range(10, len(reply), 2)),
    )


def _area(area_id: str, value: bytes) -> AreaCounts:
    capacity, _, held, sold = map(int, value.split(b","))
    return AreaCounts(AreaId(area_id), capacity, held, sold)
