"""The state of an event at each poll, as `engine status` shows it.

All of it comes from Redis, so it works without an API: reads of O(1), and the journal's tail since
the last poll, newest first and at most TAIL_ENTRIES_MAX entries. The seats are never read. If more
was written between two polls, the kinds of the tail are scaled to the number of entries, which is
known exactly from what the writer's group has read and what it has not.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from engine import keys
from engine.booking_json import booking_of
from engine.engine import Engine
from engine.ids import EventId
from engine.journal import GROUP
from engine.models import Event
from engine.transport.client import Entries

TAIL_ENTRIES_MAX = 2000
FIRST_POLL_MS = 5000
"""How far back the first poll reads, so that it has rates too."""


class Pulse(Struct, frozen=True, kw_only=True):
    """An event at one poll. `totals` counts journal entries by kind from `since_ms` on.

    `late_ms` has one number for each booking that expired since the last poll: how long after its
    deadline. `estimated`: more was written than was read.
    """

    event: Event
    now_ms: int
    since_ms: int
    totals: dict[str, float]
    estimated: bool
    late_ms: tuple[int, ...]
    pending_count: int
    backlog_entries: int
    lag_ms: int
    dead_letter_count: int


class _Tail(Struct, frozen=True):
    """Where the last poll ended: the newest entry, the time, the count of all entries."""

    entry_id: str
    at_ms: int
    added: int | None


class PulseReader:
    """Reads one event at every poll; keeps where the last poll ended."""

    def __init__(self, engine: Engine, event: EventId) -> None:
        self._engine = engine
        self._event = event
        self._tail: _Tail | None = None
        self._since_ms = 0
        self._totals: defaultdict[str, float] = defaultdict(float)

    async def read(self) -> Pulse:
        """The event now. Raises: EventNotFound, Unavailable, OutcomeUnknown."""
        event = await self._engine.events.read_event(self._event)
        backlog = await self._engine.journal.backlog(self._event)
        tail = self._tail or _Tail(
            f"{backlog.now_ms - FIRST_POLL_MS}-0", backlog.now_ms - FIRST_POLL_MS, None
        )
        pending, dead, length, groups, entries = await self._read(tail.entry_id)
        added = _added(groups, length)
        kinds = Counter(fields[b"kind"].decode() for _, fields in entries)
        share = _written(entries, tail, added, backlog.now_ms) / max(1, len(entries))
        for kind, count in kinds.items():
            self._totals[kind] += count * share
        self._since_ms = self._since_ms or tail.at_ms
        newest = entries[0][0].decode() if entries else tail.entry_id
        self._tail = _Tail(newest, backlog.now_ms, added)
        return Pulse(
            event=event,
            now_ms=backlog.now_ms,
            since_ms=self._since_ms,
            totals=dict(self._totals),
            estimated=len(entries) == TAIL_ENTRIES_MAX,
            late_ms=tuple(self._late_ms(entries)),
            pending_count=pending,
            backlog_entries=backlog.entries,
            lag_ms=backlog.now_ms - backlog.oldest_ms if backlog.oldest_ms else 0,
            dead_letter_count=dead,
        )

    async def _read(self, after: str) -> list[Any]:
        named = keys.of_event(self._event)
        pipeline = self._engine.client.pipeline(transaction=False)
        pipeline.zcard(named.deadlines)
        pipeline.xlen(keys.dead_letters(self._event))
        pipeline.xlen(named.journal)
        pipeline.xinfo_groups(named.journal)
        pipeline.xrevrange(named.journal, min=f"({after}", count=TAIL_ENTRIES_MAX)
        answers: list[Any] = await pipeline.execute()
        return answers

    def _late_ms(self, entries: Entries) -> list[int]:
        return [
            int(fields[b"at_ms"])
            - booking_of(
                self._event, fields[b"booking_id"].decode(), fields[b"booking"]
            ).expires_at_ms
            for _, fields in entries
            if fields[b"kind"] == b"booking_expired"
        ]


def _added(groups: Sequence[dict[str, Any]], length: int) -> int | None:
    """How many entries the journal has had in all; None if Redis has lost count."""
    for group in groups:
        if group["name"] == GROUP.encode():
            read, lag = group["entries-read"], group["lag"]
            return None if read is None or lag is None else int(read + lag)
    return length  # no writer has started yet, so nothing was trimmed


def _written(entries: Entries, tail: _Tail, added: int | None, now_ms: int) -> float:
    """How many entries were written since the last poll, including those that were not read."""
    count = len(entries)
    if count < TAIL_ENTRIES_MAX:
        return count
    if added is not None and tail.added is not None:
        return max(count, added - tail.added)
    read_ms = max(1, now_ms - int(entries[-1][0].split(b"-")[0]))
    return count * max(1.0, (now_ms - tail.at_ms) / read_ms)
