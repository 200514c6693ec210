"""Finds events that Redis has lost, or has less of than Postgres, and closes them.

Two looks, each exact for what it is for. `look`, once a second: the newest entry of each event in
Postgres, then how far Redis is, which is never behind unless it lost something. That is not enough
once a Redis that came back behind has sold again: its journal is ahead then. So `check_read` asks
of what a writer is handed: it follows, with no gap, on what the writers had before, so an entry
that Postgres has in between, and the journal of Redis has not, is one that Redis forgot.
"""

import asyncio
from collections.abc import Iterable, Sequence

import asyncpg

from engine import Engine, logs
from engine.errors import EngineError
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

LOOK_S_MAX = 2.0
"""How long Postgres may take to answer; after that the last answer counts."""

_log = logs.get("watch")


class LossDetector:
    """Remembers what Postgres said last: while it is away, Redis is held against that."""

    def __init__(self, engine: Engine, pool: Pool) -> None:
        self._engine = engine
        self._pool = pool
        self._newest: dict[EventId, Newest] = {}
        self._handed_out: dict[EventId, Position] = {}
        self._read: dict[EventId, list[JournalEntry]] = {}

    async def look(self) -> list[EventId]:
        """Close every event that is gone from Redis or behind there; which ones.

        Postgres is read first: what it has, Redis had before. Raises: Unavailable.
        """
        try:
            self._newest = await event_record.read_newest(self._pool, LOOK_S_MAX)
        except database.AWAY as error:
            _log.debug("watched_without_postgres", why=repr(error))
        heads = await self._engine.restores.read_heads(self._newest)
        listed = await self._engine.events.list_events()
        behind = []
        for event, newest in self._newest.items():
            head = heads.get(event)
            if head is None:
                why = "the event is not there"
            elif head.sales == SalesState.RESTORING:
                continue
            elif (head.epoch, head.position) < newest:
                why = f"Redis is at {_said(head)}, Postgres at {_said(newest)}"
            elif head.missing_keys:
                why = f"Redis has lost a part of it: {', '.join(head.missing_keys)}"
            elif event not in listed:
                why = "Redis has lost the list of events"
            else:
                continue
            if await self._fence(event, head, why):
                behind.append(event)
        return behind

    async def before_reading(self, events: list[EventId]) -> None:
        """Note what the writers have been handed so far."""
        found = await self._engine.restores.handed_out(events)
        self._handed_out = {event: position_of(entry_id) for event, entry_id in found.items()}

    def note_read(self, entries: Iterable[JournalEntry]) -> None:
        """Note what they were handed then; `check_read` looks at it."""
        for entry in entries:
            self._read.setdefault(entry.event_id, []).append(entry)

    async def check_read(self, keep_ms: int) -> None:
        """Close each event that was read on over a gap; before its entries are written.

        What is older than `keep_ms` may have been trimmed: written by another writer, while this
        one was stopped or waited for Postgres.
        Raises what Postgres and Redis raise while they are away; what is left is kept for then.
        """
        while self._read:
            event, entries = next(iter(self._read.items()))
            missing = await self._forgotten(event, entries, keep_ms)
            if missing:
                head = (await self._engine.restores.read_heads([event])).get(event)
                if head and head.epoch == entries[0].epoch and head.sales != SalesState.RESTORING:
                    await self._fence(event, head, f"Redis has forgotten the entry {missing}")
            del self._read[event]

    async def _forgotten(
        self, event: EventId, entries: Sequence[JournalEntry], keep_ms: int
    ) -> str:
        """An entry that Postgres has among these, and the journal of Redis has not; or nothing."""
        after = self._handed_out.get(event)
        if after is None:
            return ""
        last, epoch = entries[-1].position, entries[0].epoch
        candidates = await event_record.find_between(self._pool, event, epoch, after, last)
        if not candidates:
            return ""
        # They were handed out and written before, or another writer has them: the journal knows.
        first, last = min(candidates), max(candidates)
        known = await self._engine.restores.read_positions(event, first, last)
        missing = set(candidates) - known
        if not missing:
            return ""
        below = await self._engine.restores.trimmed_below(event, keep_ms)
        return next((position.entry_id for position in sorted(missing) if position >= below), "")

    async def _fence(self, event: EventId, head: EventHead | None, why: str) -> bool:
        remembered = await event_record.read_event(self._pool, event) if head is None else None
        if head is None and remembered is None:
            return False
        stub = stub_of(remembered) if remembered else Stub({}, b"")
        epoch = head.epoch if head else None
        fenced = await self._engine.restores.fence_event(event, why, stub, epoch=epoch)
        if fenced:
            _log.error("event_closed", event_id=event, why=why, mend=f"engine restore {event}")
        return fenced


def stub_of(remembered: StoredEvent) -> Stub:
    """What an event says of itself while there is nothing else of it."""
    image = image_of(remembered.event_id, remembered.layout, remembered.terms, remembered.gzipped)
    none: dict[str, Argument] = {"available": 0, "held": 0, "sold": 0, "blocked": 0}
    own: dict[str, Argument] = {"epoch": remembered.epoch, "position": remembered.newest.entry_id}
    return Stub(
        image.fields | none | own | {"loaded_at_ms": remembered.loaded_at_ms}, remembered.gzipped
    )


async def look_once(engine: Engine, database_url: str) -> list[EventId]:
    """The look of a process that starts; with no Postgres in reach it starts without.

    Which events were closed. A sale needs no Postgres, so neither does this.
    """
    try:
        async with asyncio.timeout(LOOK_S_MAX), await database.connect(database_url) as pool:
            return await LossDetector(engine, pool).look()
    except (EngineError, asyncpg.PostgresError, *database.AWAY) as error:
        _log.warning("started_without_a_look", why=str(error))
        return []


def _said(place: EventHead | Newest) -> str:
    return f"{place.position.entry_id} of epoch {place.epoch}"
