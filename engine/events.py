"""Events: put in place, added to, opened and closed.

A load gathers its seats in a staging hash by plain pipelined writes and puts them in place with
one script: a stadium blocks nobody, and a load that breaks off leaves no event.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

from ulid import ULID

from engine import keys
from engine.errors import EngineError, EventNotFound, SeatExists, SeatNotFound, SeatTaken
from engine.ids import EventId, SeatId
from engine.models import Counts, Event, Layout, SalesChange, SalesState, Terms
from engine.plans import layout as layouts
from engine.scripts import Scripts
from engine.transport.batcher import Batcher
from engine.transport.client import RedisClient
from engine.transport.wire import Argument

STAGE_SEATS = 1000
STAGE_TTL_S = 600
ADD_SEATS_MAX = 2000
BLOCK_SEATS_MAX = 500

Progress = Callable[[int], None]


_FIELDS = (
    *("name", "currency", "owner_id", "sales", "opens_at_ms", "closes_at_ms", "hold_ttl_ms"),
    *("hold_max_ms", "seats_max", "customer_max", "ended_ttl_ms", "capacity", "layout_version"),
    *("epoch", "position", "loaded_at_ms", "available", "held", "sold", "blocked"),
)


class Events:
    """What happens to a whole event. One method a script, of the same name."""

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
        """Put an event in place, whole or not at all. `progress` is told seats staged.

        Raises: EventExists, EventInUse (with `replace`), LoadIncomplete.
        """
        staged = keys.staged_seats(event, str(ULID()))
        seat_count = 0
        try:
            await self._client.sadd(keys.EVENTS, event)
            for chunk in _chunks(layouts.seat_values(layout), STAGE_SEATS):
                pipeline = self._client.pipeline(transaction=False)
                pipeline.hset(staged, mapping=dict(chunk))
                pipeline.expire(staged, STAGE_TTL_S)
                await pipeline.execute()
                seat_count += len(chunk)
                if progress:
                    progress(len(chunk))
            fields = event_fields(layout, terms)
            await self._scripts.run(
                "load_event",
                [*keys.of_event(event), staged, keys.layout(event)],
                [
                    "",
                    "replace" if replace else "new",
                    seat_count,
                    layouts.map_of(layout),
                    layouts.encode(layout),
                    len(fields),
                    *_flat(fields.items()),
                    *_flat(layouts.area_values(layout)),
                ],
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
        """Give the event the seats and areas that `layout` has beyond `known`.

        Raises: EventNotFound, NotOwner, LayoutChanged, SeatExists; ValueError over ADD_SEATS_MAX.
        """
        known_seats = dict(layouts.seat_values(known))
        seats = [pair for pair in layouts.seat_values(layout) if pair[0] not in known_seats]
        if len(seats) > ADD_SEATS_MAX:
            raise ValueError(f"at most {ADD_SEATS_MAX} seats can be added at once")
        known_areas = {area.id for area in known.areas}
        areas = [pair for pair in layouts.area_values(layout) if pair[0] not in known_areas]
        blocked = sum(value.endswith(",b") for _, value in seats)
        added = layouts.capacity(layout) - layouts.capacity(known)
        arguments = [
            *("", owner_id, known.version, layouts.encode(layout), layout.version),
            *(_prices(layout), layouts.map_of(layout)[layouts.map_length(known) :]),
            *(added - blocked, blocked, len(seats), *_flat(seats), *_flat(areas)),
        ]
        try:
            await self._scripts.run(
                "add_seats", [*keys.of_event(event), keys.layout(event)], arguments
            )
        except SeatExists as refused:
            raise SeatExists(*(f"{event}:{seat}" for seat in refused.found)) from None
        return await self.read_event(event)

    async def set_sales(self, event: EventId, change: SalesChange, *, owner_id: str = "") -> Event:
        """Open, pause, close or schedule. Raises: EventNotFound, NotOwner."""
        asked = (change.sales, change.opens_at_ms, change.closes_at_ms)
        arguments: list[Argument] = ["" if value is None else value for value in asked]
        await self._scripts.run("set_sales", keys.of_event(event), ["", owner_id, *arguments])
        return await self.read_event(event)

    async def block_seats(
        self, event: EventId, seats: Sequence[SeatId], *, blocked: bool, owner_id: str = ""
    ) -> Event:
        """Take seats off sale, or put them back; repeatable.

        Raises: EventNotFound, NotOwner, SeatNotFound, SeatTaken; ValueError over BLOCK_SEATS_MAX.
        """
        if len(seats) > BLOCK_SEATS_MAX:
            raise ValueError(f"at most {BLOCK_SEATS_MAX} seats can be blocked at once")
        start = len(event) + 1
        letter = "b" if blocked else "a"
        local = [seat[start:] for seat in seats]
        try:
            await self._scripts.run(
                "block_seats", keys.of_event(event), ["", owner_id, letter, *local]
            )
        except (SeatTaken, SeatNotFound) as refused:
            raise type(refused)(*(f"{event}:{seat}" for seat in refused.found)) from None
        return await self.read_event(event)

    async def repair_event(self, event: EventId) -> dict[str, int]:
        """Recompute map, counts and lists from the seats; how many of each were wrong.

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
        """Every event that is, or is being, loaded, in order."""
        members = await self._batcher.ask("SMEMBERS", keys.EVENTS)
        return sorted(EventId(member.decode()) for member in members)


def event_of(event: EventId, fields: dict[str, str]) -> Event:
    """An event from its hash."""
    return Event(
        id=event,
        name=fields["name"],
        currency=fields["currency"],
        owner_id=fields["owner_id"],
        sales=SalesState(fields["sales"]),
        opens_at_ms=int(fields["opens_at_ms"]),
        closes_at_ms=int(fields["closes_at_ms"]),
        hold_ttl_ms=int(fields["hold_ttl_ms"]),
        hold_max_ms=int(fields["hold_max_ms"]),
        seats_max=int(fields["seats_max"]),
        customer_max=int(fields["customer_max"]),
        ended_ttl_ms=int(fields["ended_ttl_ms"]),
        capacity=int(fields["capacity"]),
        layout_version=fields["layout_version"],
        epoch=int(fields["epoch"]),
        position=fields["position"],
        loaded_at_ms=int(fields["loaded_at_ms"]),
        counts=Counts(*(int(fields[name]) for name in Counts.__struct_fields__)),
    )


def event_fields(layout: Layout, terms: Terms) -> dict[str, Argument]:
    """The event hash before any sale; epoch, position and time of the load are the script's."""
    blocked = sum(value.endswith(",b") for _, value in layouts.seat_values(layout))
    capacity = layouts.capacity(layout)
    return {
        "name": terms.name,
        "currency": layout.currency,
        "owner_id": terms.owner_id,
        "sales": terms.sales,
        "opens_at_ms": terms.opens_at_ms,
        "closes_at_ms": terms.closes_at_ms,
        "hold_ttl_ms": terms.hold_ttl_ms,
        "hold_max_ms": terms.hold_max_ms or 2 * terms.hold_ttl_ms,
        "seats_max": terms.seats_max,
        "customer_max": terms.customer_max,
        "ended_ttl_ms": terms.ended_ttl_ms,
        "capacity": capacity,
        "layout_version": layout.version,
        "prices": _prices(layout),
        "available": capacity - blocked,
        "held": 0,
        "sold": 0,
        "blocked": blocked,
    }


def _prices(layout: Layout) -> str:
    return ",".join(str(category.price_minor) for category in layout.categories)


def _flat(pairs: Iterable[tuple[str, Argument]]) -> Iterator[Argument]:
    for name, value in pairs:
        yield name
        yield value


def _chunks(pairs: Iterable[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    source = iter(pairs)
    while chunk := list(islice(source, size)):
        yield chunk
