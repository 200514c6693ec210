"""The steps of a restore in Redis, and the reads that decide whether an event needs one.

A restore stages as a load does. Each restore has an id, and the newest is a fencing token: the
scripts refuse an older restore, for example one whose process was suspended (RESTORE_SUPERSEDED).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from engine import keys
from engine.errors import EngineError, Malformed, ScriptDefect
from engine.event_image import STAGED, EventImage, Progress, flat, stage
from engine.ids import EventId
from engine.journal import GROUP
from engine.models import Sales, SalesState
from engine.positions import Position, position_of
from engine.scripts import Scripts
from engine.transport.batcher import Batcher
from engine.transport.client import RedisClient
from engine.transport.wire import Argument


class EventHead(NamedTuple):
    """The newest position of an event in Redis, its epoch, and whether it sells.

    `missing_keys` are those that Redis has lost, by their names in lua/README.md.
    """

    epoch: int
    position: Position
    sales: SalesState
    missing_keys: tuple[str, ...] = ()


class Fence(NamedTuple):
    """A fenced event: its epoch and newest position, and the keys that were set aside."""

    epoch: int
    position: Position
    set_aside: tuple[str, ...]


class Stub(NamedTuple):
    """The event hash and layout of a fenced event that Redis has lost: enough to answer reads."""

    fields: Mapping[str, Argument]
    gzipped: bytes


class Restores:
    """Fences, stages, restores and reopens events. Scripts and methods have the same names."""

    def __init__(self, scripts: Scripts, batcher: Batcher, client: RedisClient) -> None:
        self._scripts = scripts
        self._batcher = batcher
        self._client = client

    async def read_heads(self, events: Iterable[EventId]) -> dict[EventId, EventHead | Malformed]:
        """The head of each event that Redis has, or why it cannot be read.

        Raises: Unavailable, OutcomeUnknown.
        """
        wanted = list(events)
        heads = await asyncio.gather(*map(self._head_or_why_not, wanted))
        return {event: head for event, head in zip(wanted, heads, strict=True) if head is not None}

    async def read_head(self, event: EventId) -> EventHead | None:
        """The head of one event; None if Redis does not have it.

        Raises: Malformed, Unavailable, OutcomeUnknown.
        """
        try:
            code, answer = await self._scripts.outcome(
                "read_head", [*keys.of_event(event), *keys.of_layout(event)], []
            )
        except ScriptDefect as error:
            raise Malformed(f"{event}: {error}") from error
        if code != "ok":
            return None
        epoch, position, sales, *missing = (item.decode() for item in answer)
        try:
            place = int(epoch), position_of(position), SalesState(sales)
        except ValueError as error:
            raise Malformed(f"{event}: the event's own fields cannot be read: {error}") from error
        return EventHead(*place, tuple(missing))

    async def _head_or_why_not(self, event: EventId) -> EventHead | Malformed | None:
        try:
            return await self.read_head(event)
        except Malformed as error:
            return error

    async def handed_out(self, events: Sequence[EventId]) -> dict[EventId, str]:
        """The newest entry of each event that was delivered to the writers; "0-0" for none."""
        pipeline = self._client.pipeline(transaction=False)
        for event in events:
            pipeline.xinfo_groups(keys.of_event(event).journal)
        answers = await pipeline.execute(raise_on_error=False)
        return {
            event: group["last-delivered-id"].decode()
            for event, groups in zip(events, answers, strict=True)
            if isinstance(groups, list)
            for group in groups
            if group["name"] == GROUP.encode()
        }

    async def read_positions(
        self, event: EventId, first: Position, last: Position
    ) -> set[Position]:
        """The positions of the journal's entries from `first` to `last`, both included."""
        found = await self._client.xrange(
            keys.of_event(event).journal, min=first.entry_id, max=last.entry_id
        )
        return {position_of(entry_id.decode()) for entry_id, _ in found}

    async def trimmed_below(self, event: EventId, keep_ms: int) -> Position:
        """The position below which entries may be missing because they were trimmed.

        At or above it, a missing entry was lost. A trim keeps entries younger than `keep_ms`.
        """
        seconds, micros = await self._client.time()
        kept = Position(seconds * 1000 + micros // 1000 - keep_ms, 0)
        oldest = await self._client.xrange(keys.of_event(event).journal, count=1)
        return min(kept, position_of(oldest[0][0].decode())) if oldest else kept

    async def fence_event(
        self, event: EventId, why: str, stub: Stub, *, restore: str = "", epoch: int | str | None
    ) -> Fence | None:
        """Fence the event until it is restored, then list it. None if its epoch is not `epoch`.

        `epoch` is the one the caller read, None if the event did not exist, "*" for any.
        `restore` is the id of a restore that takes the event over; it sets aside what cannot be
        read of the event hash and the journal, and the stub is in place in the same step.
        """
        expected = "" if epoch is None else epoch
        aside = (keys.damaged(event, "event"), keys.damaged(event, "journal"))
        code, found = await self._scripts.outcome(
            "fence_event",
            [*keys.of_event(event), keys.layout(event), *aside],
            ["", restore, expected, why, stub.gzipped, *flat(stub.fields)],
        )
        if code != "ok":
            return None
        # After the stub: what is listed must not answer EVENT_NOT_FOUND.
        await self._client.sadd(keys.EVENTS, event)
        reached, position, *set_aside = (item.decode() for item in found)
        return Fence(int(reached), position_of(position), tuple(set_aside))

    async def stage(self, image: EventImage, restore: str, progress: Progress) -> None:
        """Write the image to staging keys of this restore. Raises: Unavailable, OutcomeUnknown."""
        staging_keys = _staging_keys(image.event_id, restore)
        await stage(self._client, image, staging_keys, progress)
        await self._client.xgroup_create(staging_keys[-1], GROUP, id="0")

    async def restore_event(self, image: EventImage, restore: str) -> None:
        """Put the staged image in place, whole, in one step; the event stays fenced.

        Raises: RestoreSuperseded, LoadIncomplete.
        """
        event = image.event_id
        await self._scripts.run(
            "restore_event",
            [*keys.of_event(event), *keys.of_layout(event), *_staging_keys(event, restore)],
            ["", restore, *image.staged_counts, *image.arguments],
        )

    async def reopen_event(self, event: EventId, restore: str, sales: Sales) -> None:
        """Set the sales that Postgres has, which lifts the fence. Raises: RestoreSuperseded."""
        await self._scripts.run("reopen_event", keys.of_event(event), ["", restore, sales])

    async def forget(self, event: EventId, restore: str) -> None:
        """Delete the staging keys of a restore."""
        with suppress(EngineError):  # they have a TTL
            await self._client.unlink(*_staging_keys(event, restore))


def _staging_keys(event: EventId, restore: str) -> list[str]:
    return [keys.restored(event, restore, name) for name in STAGED]
