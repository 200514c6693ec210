"""Folds the journal entries of an event into its row and its seats, in whatever order they come.

Of each term and of each seat the newest entry decides, so applying an entry again changes nothing.
A fold therefore applies the event's entries from the first new one on, in the order of the journal:
the new entries alone, unless they are late. What is older is not read, however much there is.

The row keeps the layout as it was loaded. What was added since is in the entries that added it,
and a restore puts both together (`event_record`): the cost of an addition is that of its seats. An
entry of an older release has the whole layout and replaces the one in the row.
"""

from collections.abc import Mapping

import asyncpg
import msgspec

from engine.ids import EventId, seat_ids
from engine.models import JournalEntry, Layout, Terms
from engine.plans import layout as layouts
from persistence.database import Connection
from persistence.journal import columns
from persistence.journal.columns import EventRow
from persistence.sql import named_queries

Fields = Mapping[str, object]
"""The settings of an event by name, as text or as values."""

QUERIES = named_queries("journal/folding.sql")
_BLOCKS = ("seats_blocked", "seats_unblocked")


async def fold_event(connection: Connection, first: JournalEntry) -> None:
    """Fold an event's entries from `first` on, which are in the journal, into its row and seats."""
    event, at = first.event_id, first.position
    await connection.execute(QUERIES["lock_event"], event)
    since = (event, first.epoch, at.ms, at.sequence)
    entries = await connection.fetch(QUERIES["read_entries_since"], *since)
    known = await connection.fetchrow(QUERIES["read_folded"], event)
    change = _Change(dict(known or {}))
    for entry in entries:
        change.apply(entry)
    if known is None and (change.whole is None or "name" not in change.settings):
        return  # another writer has the `event_loaded` entry, and will fold the event
    await _write(connection, event, change)


async def put_event(
    connection: Connection,
    event: EventId,
    settings: Fields,
    gzipped: bytes,
    blocked: Mapping[str, bool],
) -> None:
    """Write an event and its seats with this whole layout, in place of what there is of them.

    `blocked`: whether a seat is blocked, by local id.
    """
    change = _Change(settings)
    change.load(gzipped)
    change.is_loaded, change.blocked = True, dict(blocked)
    await _write(connection, event, change)


class _Change:
    """An event as folded so far, and what entries change of it."""

    def __init__(self, known: Fields) -> None:
        self.settings = dict(known)
        self.epoch = int(str(known.get("epoch", 0)))
        self.version = known.get("layout_version", "")
        self.is_changed = False  # but for the seats that were blocked or unblocked
        self.is_loaded = False  # replaced: its seats too
        self.gzipped: bytes | None = None  # the new whole layout
        self.whole: Layout | None = None
        self.added: list[Layout] = []
        self.blocked: dict[str, bool] = {}

    def apply(self, entry: asyncpg.Record) -> None:
        """Apply the next entry. An addition to another layout than this one waits for it."""
        said = msgspec.json.decode(entry["body"], type=dict[str, str])
        if entry["kind"] in _BLOCKS:
            self.blocked |= dict.fromkeys(said["seats"].split(), entry["kind"] == "seats_blocked")
            return
        self.is_changed, self.epoch = True, max(self.epoch, entry["epoch"])
        known_version = said.pop("known_version", None)
        if entry["kind"] == "event_loaded":
            self.is_loaded, self.blocked = True, {}
        if known_version is None and entry["layout"] is not None:
            self.load(entry["layout"])
        elif known_version is not None and known_version == self.version:
            added = layouts.decode(entry["layout"])
            self.added.append(added)
            self.version = added.version
        self.settings |= said

    def load(self, gzipped: bytes) -> None:
        """Take a whole layout in place of the one that is there."""
        self.is_changed, self.gzipped, self.added = True, gzipped, []
        self.whole = layouts.decode(gzipped)
        self.version = self.whole.version

    def row(self, event: EventId) -> EventRow:
        """The event's row after the change."""
        base = layouts.capacity(self.whole) if self.whole else int(str(self.settings["capacity"]))
        return EventRow(
            event_id=event,
            terms=msgspec.convert(self.settings, Terms, strict=False),
            loaded_at_ms=int(str(self.settings["loaded_at_ms"])),
            epoch=self.epoch,
            capacity=base + sum(map(layouts.capacity, self.added)),
            layout_version=str(self.version),
            gzipped=self.gzipped,
        )


async def _write(connection: Connection, event: EventId, change: _Change) -> None:
    if change.is_changed:
        query = "update_event" if change.gzipped is None else "put_event"
        await connection.execute(QUERIES[query], *columns.event_values(change.row(event)))
    if change.is_loaded:
        await connection.execute(QUERIES["drop_seats"], event)
    for layout in (*([change.whole] if change.whole else []), *change.added):
        arrays = columns.seat_columns(event, layout)
        if arrays:
            await connection.execute(QUERIES["insert_seats"], event, *arrays)
    if change.blocked:
        ids = seat_ids(event, change.blocked)
        await connection.execute(QUERIES["set_blocked"], event, ids, [*change.blocked.values()])
