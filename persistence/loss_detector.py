"""Finds events that Redis has lost, or has less of than Postgres, and fences them.

There are two exact checks. `check` runs every half second: it reads the newest entry of each event
from Postgres, then the event's position in Redis. Redis is behind only if it lost something.

That is not enough once Redis restarted from an older copy and has sold again, because its journal
is then ahead. So `check_read` checks the entries that a writer reads. They follow the entries that
were delivered before without a gap. An entry between them that Postgres has, and the journal of
Redis does not, was lost by Redis.
"""

import asyncio
from collections.abc import Iterable, Sequence

import asyncpg

from engine import Engine, logs
from engine.errors import EngineError, Malformed
from engine.event_image import image_of
from engine.ids import EventId
from engine.models import JournalEntry, SalesState
from engine.positions import Position, position_of
from engine.restore.rebuild import StoredEvent
from engine.restore.staging import EventHead, Stub
from engine.transport.wire import Argument
from persistence import database, event_record
from persistence.database import Pool
from persistence.event_record import Newest

CHECK_S_MAX = 2.0
"""How long Postgres may take to answer; after that, its last answer is used."""

_log = logs.get("loss_detector")


class LossDetector:
    """Keeps the last answer of Postgres, to check Redis against while Postgres is away."""

    def __init__(self, engine: Engine, pool: Pool) -> None:
        self._engine = engine
        self._pool = pool
        self._newest: dict[EventId, Newest] = {}
        self._handed_out: dict[EventId, Position] = {}
        self._read: dict[EventId, list[JournalEntry]] = {}
        self._unreadable: dict[EventId, str] = {}

    async def check(self) -> list[EventId]:
        """Fence every event that is missing or behind in Redis; returns them.

        Postgres is read first, because Redis had every entry before Postgres. Raises: Unavailable.
        """
        try:
            self._newest = await event_record.read_newest(self._pool, CHECK_S_MAX)
        except database.AWAY as error:
            _log.debug("checked_without_postgres", why=repr(error))
        heads = await self._engine.restores.read_heads(self._newest)
        listed = await self._engine.events.list_events()
        behind = []
        for event, newest in self._newest.items():
            head = heads.get(event)
            if isinstance(head, Malformed):  # the reconciler reports it; the others are checked
                self._log_unreadable(event, str(head))
                continue
            self._unreadable.pop(event, None)
            if head is None:
                why = "Redis does not have the event"
            elif event not in listed:  # also of a process that ended between its fence and its list
                why = "Redis has lost the list of events"
            elif head.sales == SalesState.RESTORING:
                continue
            elif (head.epoch, head.position) < newest:
                why = f"Redis is at {_described(head)}, Postgres at {_described(newest)}"
            elif head.missing_keys:
                why = f"Redis has lost a part of it: {', '.join(head.missing_keys)}"
            else:
                continue
            if await self._fence(event, head, why):
                behind.append(event)
        return behind

    def _log_unreadable(self, event: EventId, why: str) -> None:
        """Once, not at every check."""
        if self._unreadable.get(event) != why:
            _log.error("head_not_read", event_id=event, why=why, repair=f"engine restore {event}")
        self._unreadable[event] = why

    async def before_reading(self, events: list[EventId]) -> None:
        """Note the newest entry that was delivered to the writers so far."""
        found = await self._engine.restores.handed_out(events)
        self._handed_out = {event: position_of(entry_id) for event, entry_id in found.items()}

    def note_read(self, entries: Iterable[JournalEntry]) -> None:
        """Note the entries that were read then, for `check_read`."""
        for entry in entries:
            self._read.setdefault(entry.event_id, []).append(entry)

    async def check_read(self, keep_ms: int) -> None:
        """Fence each event whose entries were read across a gap. Call it before they are written.

        An entry older than `keep_ms` may have been trimmed: another writer wrote it while this one
        was suspended or waited for Postgres. Raises the errors of Postgres and Redis while they are
        away; the entries not checked yet are kept for the next call.
        """
        while self._read:
            event, entries = next(iter(self._read.items()))
            missing = await self._find_lost(event, entries, keep_ms)
            if missing:
                head = await self._engine.restores.read_head(event)
                if head and head.epoch == entries[0].epoch and head.sales != SalesState.RESTORING:
                    await self._fence(event, head, f"Redis has lost the entry {missing}")
            del self._read[event]

    async def _find_lost(
        self, event: EventId, entries: Sequence[JournalEntry], keep_ms: int
    ) -> str:
        """An entry in this range that Postgres has and the journal of Redis lacks; "" if none."""
        after = self._handed_out.get(event)
        if after is None:
            return ""
        last, epoch = entries[-1].position, entries[0].epoch
        candidates = await event_record.find_between(self._pool, event, epoch, after, last)
        if not candidates:
            return ""
        # Each was written before, or another writer has it now; then the journal still has it.
        first, last = min(candidates), max(candidates)
        known = await self._engine.restores.read_positions(event, first, last)
        missing = set(candidates) - known
        if not missing:
            return ""
        below = await self._engine.restores.trimmed_below(event, keep_ms)
        return next((position.entry_id for position in sorted(missing) if position >= below), "")

    async def _fence(self, event: EventId, head: EventHead | None, why: str) -> bool:
        stored = await event_record.read_event(self._pool, event) if head is None else None
        if head is None and stored is None:
            return False
        stub = stub_of(stored) if stored else Stub({}, b"")
        epoch = head.epoch if head else None
        fenced = await self._engine.restores.fence_event(event, why, stub, epoch=epoch)
        if fenced:
            _log.error("event_fenced", event_id=event, why=why, repair=f"engine restore {event}")
        return fenced is not None


def stub_of(stored: StoredEvent) -> Stub:
    """The event hash and layout of a fenced event that Redis has lost."""
    image = image_of(stored.event_id, stored.layout, stored.terms, stored.gzipped)
    none: dict[str, Argument] = {"available": 0, "held": 0, "sold": 0, "blocked": 0}
    own: dict[str, Argument] = {"epoch": stored.epoch, "position": stored.newest.entry_id}
    return Stub(image.fields | none | own | {"loaded_at_ms": stored.loaded_at_ms}, stored.gzipped)


async def check_once(engine: Engine, database_url: str) -> list[EventId]:
    """Check when a process starts; returns the fenced events.

    Without Postgres the process starts unchecked, because a sale does not need Postgres.
    """
    try:
        async with asyncio.timeout(CHECK_S_MAX), await database.connect(database_url) as pool:
            return await LossDetector(engine, pool).check()
    except (EngineError, asyncpg.PostgresError, *database.AWAY) as error:
        _log.warning("started_without_a_check", why=str(error))
        return []


def _described(place: EventHead | Newest) -> str:
    return f"{place.position.entry_id} of epoch {place.epoch}"
