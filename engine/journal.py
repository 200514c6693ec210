"""The journal of an event: every change of state, read by the writer's consumer group.

A Redis Stream rather than a queue: the script that changes the state writes it in the same call,
it keeps the entries that a dead writer was handed, and others can read it from any position.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import NamedTuple, TypedDict

import msgspec

from engine import keys
from engine.booking_json import booking_of
from engine.errors import ErrorReply
from engine.ids import EventId
from engine.models import JournalEntry
from engine.positions import position_of
from engine.transport.client import RedisClient

GROUP = "writer"
_PAGE_ENTRIES = 5000
_EPOCHS = range(2**31)
_MOMENTS = range(2**63)

Fields = dict[bytes, bytes]

_decode = msgspec.json.Decoder(JournalEntry).decode


class Backlog(NamedTuple):
    """The entries that are not acknowledged. `oldest_ms` is None if there are none."""

    entries: int
    oldest_ms: int | None
    now_ms: int


class DeadLetter(NamedTuple):
    """An entry that Postgres rejected for good, and the reason."""

    letter_id: str
    entry: JournalEntry
    reason: str


class _Group(TypedDict):
    last: str
    pending: int
    lag: int | None


class Journal:
    """Reads, acknowledges and trims journals."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def create_group(self, event: EventId) -> None:
        """Create the writer's consumer group at the journal's start, unless it exists."""
        try:
            await self._client.xgroup_create(_journal(event), GROUP, id="0", mkstream=True)
        except ErrorReply as reply:
            if reply.prefix != "BUSYGROUP":
                raise

    async def read(
        self, events: Sequence[EventId], consumer: str, *, count: int, block_ms: int
    ) -> list[JournalEntry]:
        """Undelivered entries of several events; waits up to `block_ms` for the first."""
        if not events:
            return []
        streams = {_journal(event): ">" for event in events}
        found = await self._client.xreadgroup(
            GROUP, consumer, streams, count=count, block=block_ms or None
        )
        by_key = {_journal(event).encode(): event for event in events}
        return [
            entry_of(by_key[key], entry_id, fields)
            for key, entries in found or []
            for entry_id, fields in entries
        ]

    async def open_entries(self, event: EventId) -> list[JournalEntry]:
        """Every unacknowledged entry, oldest first, without claiming any from a writer."""
        first = await self._first_open(event, await self._group(event))
        if first is None:
            return []
        return [
            entry_of(event, entry_id, fields)
            async for page in self._pages(event, first)
            for entry_id, fields in page
        ]

    async def claim(
        self, event: EventId, consumer: str, *, idle_ms: int, count: int
    ) -> list[JournalEntry]:
        """Claim entries that their writer has not acknowledged for `idle_ms`, oldest first."""
        _, entries, _ = await self._client.xautoclaim(
            _journal(event), GROUP, consumer, min_idle_time=idle_ms, count=count
        )
        return [entry_of(event, entry_id, fields) for entry_id, fields in entries]

    async def first_pending(self, event: EventId, excluding: Collection[str]) -> str | None:
        """The oldest entry that is delivered and not acknowledged, except those of `excluding`."""
        pending = await self._client.xpending_range(
            _journal(event), GROUP, min="-", max="+", count=len(excluding) + 1
        )
        delivered = (row["message_id"].decode() for row in pending)
        return next((entry_id for entry_id in delivered if entry_id not in excluding), None)

    async def acknowledge(self, event: EventId, entry_ids: Sequence[str]) -> None:
        """Acknowledge entries: they are in Postgres."""
        if entry_ids:
            await self._client.xack(_journal(event), GROUP, *entry_ids)

    async def trim(self, event: EventId, below_entry_id: str) -> int:
        """Remove entries below an id, except unacknowledged ones. Returns how many."""
        first_open = await self._first_open(event, await self._group(event))
        if first_open is not None:
            below_entry_id = min(below_entry_id, first_open, key=position_of)
        trimmed: int = await self._client.xtrim(
            _journal(event), minid=below_entry_id, approximate=False
        )
        return trimmed

    async def dead_letter(self, entry: JournalEntry, reason: str) -> None:
        """Make an entry a dead letter and acknowledge it, in one transaction."""
        fields: dict[str | bytes, str | bytes] = {
            "entry_id": entry.entry_id,
            "kind": entry.kind,
            "reason": reason,
            "entry": msgspec.json.encode(entry),
        }
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.xadd(keys.dead_letters(entry.event_id), fields)
            pipeline.xack(_journal(entry.event_id), GROUP, entry.entry_id)
            await pipeline.execute()

    async def dead_letters(self, event: EventId) -> list[DeadLetter]:
        """Every dead letter, oldest first."""
        found = await self._client.xrange(keys.dead_letters(event))
        return [
            DeadLetter(letter_id.decode(), _decode(fields[b"entry"]), fields[b"reason"].decode())
            for letter_id, fields in found
        ]

    async def count_dead_letters(self, event: EventId) -> int:
        """The number of dead letters."""
        count: int = await self._client.xlen(keys.dead_letters(event))
        return count

    async def forget_dead_letter(self, event: EventId, letter: DeadLetter) -> None:
        """Delete a dead letter: its entry is in Postgres after all."""
        await self._client.xdel(keys.dead_letters(event), letter.letter_id)

    async def backlog(self, event: EventId) -> Backlog:
        """How many entries are not acknowledged, and the time of the oldest."""
        seconds, micros = await self._client.time()
        now_ms = seconds * 1000 + micros // 1000
        group = await self._group(event)
        first = await self._first_open(event, group)
        if first is None:
            return Backlog(0, None, now_ms)
        unread = group["lag"]
        if unread is None:  # Redis cannot compute the lag after entries were deleted
            unread = sum([len(page) async for page in self._pages(event, f"({group['last']}")])
        return Backlog(group["pending"] + unread, position_of(first).ms, now_ms)

    async def _pages(self, event: EventId, first: str) -> AsyncIterator[list[tuple[bytes, Fields]]]:
        """The entries from `first` on, in pages: one reply with hours of them would time out."""
        while page := await self._client.xrange(_journal(event), min=first, count=_PAGE_ENTRIES):
            yield page
            first = f"({page[-1][0].decode()}"

    async def _group(self, event: EventId) -> _Group:
        """The writer's consumer group; before the first writer, every entry is unread."""
        try:
            groups = await self._client.xinfo_groups(_journal(event))
        except ErrorReply as reply:
            if "no such key" not in str(reply):
                raise
            groups = []  # the event is being loaded, or was deleted
        for group in groups:
            if group["name"] == GROUP.encode():
                last = group["last-delivered-id"].decode()
                return {"last": last, "pending": group["pending"], "lag": group["lag"]}
        return {"last": "0-0", "pending": 0, "lag": await self._client.xlen(_journal(event))}

    async def _first_open(self, event: EventId, group: _Group) -> str | None:
        """The oldest entry that is delivered or unread; None if all are acknowledged."""
        candidates = []
        if group["pending"]:
            pending = await self._client.xpending(_journal(event), GROUP)
            candidates += [pending["min"].decode()] if pending["min"] else []
        unread = await self._client.xrange(_journal(event), min=f"({group['last']}", count=1)
        if unread:
            candidates.append(unread[0][0].decode())
        return min(candidates, key=position_of) if candidates else None


def _journal(event: EventId) -> str:
    return keys.of_event(event).journal


def entry_of(event: EventId, entry_id: bytes, fields: Fields) -> JournalEntry:
    """An entry of the stream. One that cannot be read gets no content, so Postgres rejects it."""
    try:
        return _read(event, entry_id.decode(), fields)
    except (LookupError, ValueError, TypeError) as error:
        return JournalEntry(
            event_id=event,
            entry_id=entry_id.decode(),
            kind=f"unreadable: {error!r} in {fields!r}"[:1000],
            at_ms=0,
            epoch=0,
        )


def _read(event: EventId, entry_id: str, fields: Fields) -> JournalEntry:
    booking = fields.get(b"booking")
    settings = fields.get(b"event")
    if int(fields[b"at_ms"]) not in _MOMENTS or int(fields[b"epoch"]) not in _EPOCHS:
        raise ValueError("a number that fits no column")
    return JournalEntry(
        event_id=event,
        entry_id=entry_id,
        kind=fields[b"kind"].decode(),
        at_ms=int(fields[b"at_ms"]),
        epoch=int(fields[b"epoch"]),
        booking=booking_of(event, fields[b"booking_id"].decode(), booking) if booking else None,
        event=msgspec.json.decode(settings, type=dict[str, str]) if settings else None,
        layout=fields.get(b"layout"),
    )
