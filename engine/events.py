"""Events: loaded, extended with seats, sold under terms that may change, repaired, read.

A load stages its seats first, as `engine/event_image.py` describes; one script puts them in place.
"""

from collections.abc import Sequence
from contextlib import suppress

import msgspec
from ulid import ULID

from engine import keys
from engine.errors import EngineError, EventNotFound, Malformed, SeatExists, SeatNotFound, SeatTaken
from engine.event_image import STAGED, Progress, flat, image_of, stage
from engine.ids import EventId, SeatId, local_ids, seat_ids
from engine.models import Counts, Event, Layout, Terms, TermsChange, Versions
from engine.plans.addition import Addition
from engine.scripts import Scripts
from engine.transport.batcher import Batcher
from engine.transport.client import RedisClient
from engine.transport.wire import Argument

BLOCK_SEATS_MAX = 500

_OPTIONAL = frozenset(Event.__struct_fields__[-len(Event.__struct_defaults__) :])
_REQUIRED = (
    *(name for name in Event.__struct_fields__ if name not in {"id", "counts", *_OPTIONAL}),
    *Counts.__struct_fields__,
)
_FIELDS = (*_REQUIRED, *_OPTIONAL)
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
        An event that is replaced keeps its owner.

        Raises: EventExists, EventInUse (with `replace`), LoadIncomplete, TermsContradict.
        """
        image = image_of(event, layout, terms)
        mode = "replace" if replace else "new"
        load = str(ULID())
        staged = [keys.loading(event, load, name) for name in STAGED[:3]]
        try:
            await self._client.sadd(keys.EVENTS, event)
            await stage(self._client, image, staged, progress or (lambda _: None))
            await self._scripts.run(
                "load_event",
                [*keys.of_event(event), *keys.of_layout(event), *staged],
                ["", mode, *image.staged_counts[:3], *image.arguments],
            )
        finally:
            await self._forget(*staged)
        return await self.read_event(event)

    async def _forget(self, *staged: str) -> None:
        with suppress(EngineError):  # they have a TTL
            await self._client.unlink(*staged)

    async def add_seats(self, event: EventId, addition: Addition, *, owner_id: str = "") -> Event:
        """Add seats and areas to the end of the map.

        Raises: EventNotFound, NotOwner, SeatExists; LayoutChanged if the layout has changed since.
        """
        arguments: list[Argument] = ["", owner_id, addition.known_version, addition.gzipped]
        arguments += [addition.version, addition.prices, addition.map]
        arguments += [addition.available, addition.blocked, addition.added]
        for values in (addition.seats, addition.areas, addition.rows, addition.order):
            arguments += [len(values), *flat(values)]
        try:
            await self._scripts.run(
                "add_seats", [*keys.of_event(event), *keys.of_layout(event)], arguments
            )
        except SeatExists as refused:
            raise SeatExists(*seat_ids(event, refused.found)) from None
        return await self.read_event(event)

    async def set_terms(
        self,
        event: EventId,
        change: TermsChange,
        *,
        owner_id: str = "",
        if_match: Versions | None = None,
        if_none_match: Versions | None = None,
    ) -> Event:
        """Change terms, if the event is at a version of `if_match` and at none of `if_none_match`.

        Raises: EventNotFound, NotOwner, PreconditionFailed, TermsContradict.
        """
        arguments = ["", owner_id, _versions(if_match), _versions(if_none_match)]
        await self._scripts.run(
            "set_terms", keys.of_event(event), [*arguments, *flat(change.fields)]
        )
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
        if None in texts[: len(_REQUIRED)]:
            raise EventNotFound(event)
        stored = {
            name: text.decode()
            for name, text in zip(_FIELDS, texts, strict=True)
            if text is not None
        }
        return event_of(event, stored)

    async def list_events(self) -> list[EventId]:
        """Every event that is loaded or being loaded, sorted by id."""
        members = await self._batcher.ask("SMEMBERS", keys.EVENTS)
        return sorted(EventId(member.decode()) for member in members)


def event_of(event: EventId, fields: dict[str, str]) -> Event:
    """An event from its hash. Raises Malformed."""
    try:
        counts = {name: fields[name] for name in Counts.__struct_fields__}
        return msgspec.convert({**fields, "id": event, "counts": counts}, Event, strict=False)
    except (LookupError, msgspec.ValidationError) as error:
        raise Malformed(f"{event}: the event's own fields cannot be read: {error}") from error


def _versions(condition: Versions | None) -> str:
    """As `set_terms` reads a condition: each version between spaces."""
    if condition is None:
        return ""
    return " * " if condition.any else f" {' '.join(condition.named)} "
