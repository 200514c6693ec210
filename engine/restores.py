"""Restores: an event closed, put in place again as the system of record has it, and opened.

As a load does it: everything gathers in staging keys by plain pipelined writes, one script puts it
in place. Each restore has an id, the newest one counts: a restore that was overtaken, or whose
process slept, is refused by the script (RESTORE_SUPERSEDED).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

import msgspec
from redis.exceptions import RedisError

from engine import keys
from engine.batcher import Batcher
from engine.connection import RedisClient
from engine.errors import Unavailable
from engine.ids import EventId
from engine.journal import GROUP
from engine.models import JournalEntry, Sales, SalesState
from engine.rebuild import Position, Rebuilt
from engine.records import json_of
from engine.scripts import Scripts
from engine.wire import Argument

STAGE_VALUES = 1000
STAGE_TTL_S = 600

Progress = Callable[[int], None]
T = TypeVar("T")

_STAGED = ("seats", "bookings", "customers", "ended", "journal")


class Head(NamedTuple):
    """How far an event has come in Redis: what was promised last, and under which epoch."""

    epoch: int
    position: Position
    sales: SalesState


class Stub(NamedTuple):
    """What an event that is gone can still say of itself while it is closed."""

    fields: Mapping[str, Argument]
    gzipped: bytes


class Restores:
    """One method a script, of the same name; what is staged for them, and what they start from."""

    def __init__(self, scripts: Scripts, batcher: Batcher, client: RedisClient) -> None:
        self._scripts = scripts
        self._batcher = batcher
        self._client = client

    async def read_heads(self, events: Iterable[EventId]) -> dict[EventId, Head]:
        """The heads of those events that are there. Raises: Unavailable."""
        wanted = list(events)
        rows = await asyncio.gather(
            *(
                self._batcher.ask("HMGET", keys.of_event(event).event, "epoch", "position", "sales")
                for event in wanted
            )
        )
        return {
            event: Head(int(row[0]), position_of(row[1].decode()), SalesState(row[2].decode()))
            for event, row in zip(wanted, rows, strict=True)
            if None not in row
        }

    async def handed_out(self, events: Sequence[EventId]) -> dict[EventId, str]:
        """The newest entry the writers were given of each event; "0-0" for none."""
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
        """Where the journal has entries between two positions, themselves included."""
        start, end = (f"{ms}-{sequence}" for ms, sequence in (first, last))
        found = await self._client.xrange(keys.of_event(event).journal, min=start, max=end)
        return {position_of(entry_id.decode()) for entry_id, _ in found}

    async def trimmed_below(self, event: EventId, keep_ms: int) -> Position:
        """Below this, entries may have been trimmed: the journal has none so old.

        Above it, they are there or were lost. `keep_ms` is what a trim leaves alone.
        """
        seconds, micros = await self._client.time()
        kept = (seconds * 1000 + micros // 1000 - keep_ms, 0)
        oldest = await self._client.xrange(keys.of_event(event).journal, count=1)
        return min(kept, position_of(oldest[0][0].decode())) if oldest else kept

    async def fence_event(
        self, event: EventId, why: str, stub: Stub, *, restore: str = "", epoch: int | str | None
    ) -> bool:
        """Fence the event until it is restored. False: it has another epoch by now.

        `epoch` is the one that was looked at, None if the event was not there, "*" for any;
        `restore` takes the event over.
        """
        await self._client.sadd(keys.EVENTS, event)
        said = "" if epoch is None else epoch
        code, _ = await self._scripts.outcome(
            "fence_event",
            [*keys.of_event(event), keys.layout(event)],
            ["", restore, said, why, stub.gzipped, *_flat(stub.fields.items())],
        )
        return code == "ok"

    async def stage(self, rebuilt: Rebuilt, restore: str, progress: Progress) -> None:
        """Gather everything under keys of this restore. Raises: Unavailable."""
        event = rebuilt.event_id
        names = [keys.restored(event, restore, name) for name in _STAGED]
        seats, bookings, customers, ended, journal = names

        async def send(chunk: Sequence[T], add: Callable[[RedisClient, Sequence[T]], None]) -> None:
            pipeline = self._client.pipeline(transaction=False)
            add(pipeline, chunk)
            for name in names:
                pipeline.expire(name, STAGE_TTL_S)
            await pipeline.execute()
            progress(len(chunk))

        try:
            for some in _chunks(rebuilt.seats.items()):
                await send(some, lambda pipe, chunk: pipe.hset(seats, mapping=dict(chunk)))
            for booked in _chunks(rebuilt.bookings.items()):
                await send(
                    booked,
                    lambda pipe, chunk: pipe.hset(
                        bookings, mapping={ulid: json_of(booking) for ulid, booking in chunk}
                    ),
                )
            for members in _chunks(rebuilt.customers):
                await send(
                    members, lambda pipe, chunk: pipe.zadd(customers, dict.fromkeys(chunk, 0))
                )
            for ends in _chunks(rebuilt.ended.items()):
                await send(ends, lambda pipe, chunk: pipe.zadd(ended, dict(chunk)))
            for entries in _chunks(rebuilt.entries):
                await send(entries, lambda pipe, chunk: _append(pipe, journal, chunk))
            await self._client.xgroup_create(journal, GROUP, id="0")
        except (RedisError, OSError) as error:
            raise Unavailable(f"the restore broke off: {error}") from error

    async def restore_event(self, rebuilt: Rebuilt, restore: str) -> None:
        """Put what is staged in place, whole, at one instant; the event stays closed.

        Raises: RestoreSuperseded, LoadIncomplete.
        """
        event = rebuilt.event_id
        await self._scripts.run(
            "restore_event",
            [
                *keys.of_event(event),
                keys.layout(event),
                *(keys.restored(event, restore, name) for name in _STAGED),
            ],
            [
                *("", restore),
                *(len(rebuilt.seats), len(rebuilt.bookings), len(rebuilt.customers)),
                *(len(rebuilt.ended), len(rebuilt.entries)),
                *(rebuilt.map, rebuilt.gzipped, len(rebuilt.fields)),
                *_flat(rebuilt.fields.items()),
                *_flat(rebuilt.areas.items()),
            ],
        )

    async def reopen_event(self, event: EventId, restore: str, sales: Sales) -> None:
        """Sell it again as the system of record says. Raises: RestoreSuperseded."""
        await self._scripts.run("reopen_event", keys.of_event(event), ["", restore, sales])

    async def forget(self, event: EventId, restore: str) -> None:
        """Drop what a restore staged and did not put in place."""
        try:
            await self._client.unlink(*(keys.restored(event, restore, name) for name in _STAGED))
        except (RedisError, OSError, Unavailable):
            return  # it has a TTL


def position_of(entry_id: str) -> Position:
    """An entry's id as numbers: what was later compares greater."""
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence or 0)


def _append(pipeline: RedisClient, journal: str, entries: Sequence[JournalEntry]) -> None:
    """As `lua/lib/journal.lua` writes them, under ids of our own."""
    for entry in entries:
        fields: dict[str, Argument] = {
            "kind": entry.kind,
            "at_ms": entry.at_ms,
            "epoch": entry.epoch,
        }
        if entry.booking is not None:
            fields["booking_id"] = entry.booking.id[len(entry.event_id) + 1 :]
            fields["booking"] = json_of(entry.booking)
        else:
            fields["event"] = msgspec.json.encode(entry.event)
        pipeline.xadd(journal, fields, id=entry.entry_id)


def _flat(pairs: Iterable[tuple[str, Argument]]) -> Iterator[Argument]:
    for name, value in pairs:
        yield name
        yield value


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    source = iter(values)
    while chunk := list(islice(source, STAGE_VALUES)):
        yield chunk
