"""Events: loaded, extended with seats, opened and closed for sale, repaired, read.

A load stages its seats first, as `engine/event_image.py` describes; one script puts them in place.
"""

from collections.abc import Sequence
from contextlib import suppress

import msgspec
from ulid import ULID

from engine import keys
from engine.errors import EngineError, EventNotFound, SeatExists, SeatNotFound, SeatTaken
from engine.event_image import Progress, flat, image_of, stage
from engine.ids import EventId, SeatId, local_ids, seat_ids
from engine.models import Counts, Event, Layout, SalesChange, Terms
from engine.plans import layout as layouts
from engine.scripts import Scripts
from engine.transport.batcher import Batcher
from engine.transport.client import RedisClient
from engine.transport.wire import Argument

ADD_SEATS_MAX = 2000
BLOCK_SEATS_MAX = 500

_FIELDS = (*Event.__struct_fields__[1:-1], *Counts.__struct_fields__)
"""All of the event hash but its prices."""


class Events:
    """Changes and reads whole events. Each method runs the script of the same name."""

    def __init__(self, scripts: Scripts, batcher: Batcher, client: RedisClient) -> None:
        self._scripts = scripts
        self._batcher = batcher
        self._client = client

    async def load_event(
        self,
        event: EventId,
        layout: Layout,
        terms: Terms,
        *,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> Event:
        """Load an event, whole or not at all. `progress` is called with the number of seats staged.

        Raises: EventExists, EventInUse (with `replace`), LoadIncomplete.
        """
        image = image_of(event, layout, terms)
        mode = "replace" if replace else "new"
        staged = keys.staged_seats(event, str(ULID()))
        try:
            await self._client.sadd(keys.EVENTS, event)
            await stage(self._client, image, [staged], progress or (lambda _: None))
            await self._scripts.run(
                "load_event",
                [*keys.of_event(event), staged, keys.layout(event)],
                ["", mode, len(image.seats), *image.arguments],
            )
        finally:
            await self._forget(staged)
        return await self.read_event(event)

    async def _forget(self, staged: str) -> None:
        with suppress(EngineError):  # it has a TTL
            await self._client.unlink(staged)

    async def add_seats(
        self, event: EventId, layout: Layout, known: Layout, *, owner_id: str = ""
    ) -> Event:
        """Add the seats and areas that `layout` has and `known` lacks.

        Raises: EventNotFound, NotOwner, LayoutChanged, SeatExists; ValueError over ADD_SEATS_MAX.
        """
        before, after = layouts.values_of(known), layouts.values_of(layout)
        seats = _beyond(before.seats, after.seats)
        if len(seats) > ADD_SEATS_MAX:
            raise ValueError(f"at most {ADD_SEATS_MAX} seats can be added at once")
        new_map = after.map[len(before.map) :]
        blocked = new_map.count("b")
        available = layouts.capacity(layout) - layouts.capacity(known) - blocked
        arguments: list[Argument] = ["", owner_id, known.version, layouts.encode(layout)]
        arguments += [layout.version, layouts.prices(layout), new_map, available, blocked]
        arguments += [len(seats), *flat(seats), *flat(_beyond(before.areas, after.areas))]
        try:
            await self._scripts.run(
                "add_seats", [*keys.of_event(event), keys.layout(event)], arguments
            )
        except SeatExists as refused:
            raise SeatExists(*seat_ids(event, refused.found)) from None
        return await self.read_event(event)

    async def set_sales(self, event: EventId, change: SalesChange, *, owner_id: str = "") -> Event:
        """Open, pause, close or schedule the sale. Raises: EventNotFound, NotOwner."""
        asked = (change.sales, change.opens_at_ms, change.closes_at_ms)
        arguments: list[Argument] = ["" if value is None else value for value in asked]
        await self._scripts.run("set_sales", keys.of_event(event), ["", owner_id, *arguments])
        return await self.read_event(event)

    async def block_seats(
        self, event: EventId, seats: Sequence[SeatId], *, blocked: bool, owner_id: str = ""
    ) -> Event:
        """Block seats, or make blocked seats available; repeatable.

        Raises: EventNotFound, NotOwner, SeatNotFound, SeatTaken; ValueError over BLOCK_SEATS_MAX.
        """
        if len(seats) > BLOCK_SEATS_MAX:
            raise ValueError(f"at most {BLOCK_SEATS_MAX} seats can be blocked at once")
        letter = "b" if blocked else "a"
        local = local_ids(event, seats)
        try:
            await self._scripts.run(
                "block_seats", keys.of_event(event), ["", owner_id, letter, *local]
            )
        except (SeatTaken, SeatNotFound) as refused:
            raise type(refused)(*seat_ids(event, refused.found)) from None
        return await self.read_event(event)

    async def repair_event(self, event: EventId) -> dict[str, int]:
        """Recompute map, counts and lists from the seats. Returns how many of each were wrong.

        Raises: EventNotFound.
        """
        reply = await self._scripts.run("repair_event", keys.of_event(event), [""])
        return {name.decode(): int(reply[i + 1]) for i, name in enumerate(reply) if i % 2 == 0}

    async def read_event(self, event: EventId) -> Event:
        """The event with its counts. Raises: EventNotFound."""
        texts = await self._batcher.ask("HMGET", keys.of_event(event).event, *_FIELDS)
        if None in texts:
            raise EventNotFound(event)
        return event_of(event, dict(zip(_FIELDS, map(bytes.decode, texts), strict=True)))

    async def list_events(self) -> list[EventId]:
        """Every event that is loaded or being loaded, sorted by id."""
        members = await self._batcher.ask("SMEMBERS", keys.EVENTS)
        return sorted(EventId(member.decode()) for member in members)


def event_of(event: EventId, fields: dict[str, str]) -> Event:
    """An event from its hash."""
    counts = {name: fields[name] for name in Counts.__struct_fields__}
    return msgspec.convert({**fields, "id": event, "counts": counts}, Event, strict=False)


def _beyond(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in after.items() if name not in before}
