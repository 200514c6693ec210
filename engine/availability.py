"""What is free: the byte map by one script call, the layout from a cache.

The map is one letter a seat, read with one GET; the seats hash is never read as a whole. A layout
never changes under its version, so a process reads and decodes it once.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import overload

from engine import keys
from engine.batcher import Batcher
from engine.errors import EventNotFound
from engine.ids import AreaId, EventId
from engine.models import AreaCounts, Availability, Counts, Layout, LayoutSeat, Sales
from engine.plans import layout as layouts
from engine.scripts import Scripts

LAYOUTS_MAX = 64


@dataclass(frozen=True, slots=True)
class Place:
    """Where a seat is: its section, row and itself."""

    section_id: str
    row_id: str
    seat: LayoutSeat


@dataclass(frozen=True, slots=True)
class LoadedLayout:
    """A layout ready for use: as sent to browsers, decoded, and by map index."""

    gzipped: bytes
    layout: Layout
    place_at: dict[int, Place] = field(repr=False)


class AvailabilityReader:
    """Reads maps and layouts."""

    def __init__(self, scripts: Scripts, batcher: Batcher) -> None:
        self._scripts = scripts
        self._batcher = batcher
        self._loading: dict[EventId, asyncio.Task[LoadedLayout]] = {}
        self._layouts: OrderedDict[tuple[EventId, str], LoadedLayout] = OrderedDict()

    @overload
    async def read_map(self, event: EventId) -> Availability: ...

    @overload
    async def read_map(self, event: EventId, known_position: str) -> Availability | None: ...

    async def read_map(self, event: EventId, known_position: str = "") -> Availability | None:
        """The event now, or None while nothing changed since `known_position`.

        Raises: EventNotFound.
        """
        reply = await self._scripts.run("read_map", keys.of_event(event), [known_position])
        if not reply:
            return None
        position, version, sales, opens, closes = (item.decode() for item in reply[:5])
        return Availability(
            event_id=event,
            layout_version=version,
            position=position,
            sales=Sales(sales),
            opens_at_ms=int(opens),
            closes_at_ms=int(closes),
            counts=Counts(*(int(count) for count in reply[5:9])),
            map=reply[9].decode(),
            areas=tuple(_area(reply[i].decode(), reply[i + 1]) for i in range(10, len(reply), 2)),
        )

    async def read_layout(self, event: EventId, version: str = "") -> LoadedLayout:
        """The layout of this version, or the newest. Raises: EventNotFound.

        A version that is gone answers with the newest, which names its own.
        """
        cached = self._layouts.get((event, version))
        if cached is not None:
            return cached
        loading = self._loading.get(event)
        if loading is None:  # one load for all who wait: a stadium takes 100 ms to decode
            loading = self._loading[event] = asyncio.create_task(self._load_layout(event))
            loading.add_done_callback(lambda _: self._loading.pop(event))
        return await asyncio.shield(loading)

    async def _load_layout(self, event: EventId) -> LoadedLayout:
        gzipped = await self._batcher.ask("GET", keys.layout(event))
        if gzipped is None:
            raise EventNotFound(event)
        found = await asyncio.to_thread(_load, gzipped)
        self._layouts[event, found.layout.version] = found
        while len(self._layouts) > LAYOUTS_MAX:
            self._layouts.popitem(last=False)
        return found


def _load(gzipped: bytes) -> LoadedLayout:
    layout = layouts.decode(gzipped)
    place_at = {
        row.index + i: Place(section.id, row.id, seat)
        for section in layout.sections
        for row in section.rows
        for i, seat in enumerate(row.seats)
    }
    return LoadedLayout(gzipped, layout, place_at)


def _area(area_id: str, value: bytes) -> AreaCounts:
    capacity, _, held, sold = map(int, value.split(b","))
    return AreaCounts(AreaId(area_id), capacity, held, sold)
