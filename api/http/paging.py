"""Cursor pagination over one event, or over all events in order.

A cursor is `<event>:<position in the event>`. One request reads a bounded number of events, so a
page may be short, or even empty, and still have a `next`.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, TypeVar

from msgspec import UNSET, UnsetType

from api.http.problems import checked, invalid
from engine import Engine, ids
from engine.errors import EventNotFound
from engine.ids import EventId

EVENTS_READ_MAX = 20

T = TypeVar("T")
Part: TypeAlias = tuple[list[T], str | None]
"""Items, and the position of the next page; None at the end."""


class Paged(Protocol):
    """A query for a list over events."""

    @property
    def event_id(self) -> str | UnsetType: ...
    @property
    def limit(self) -> int: ...
    @property
    def cursor(self) -> str | UnsetType: ...


async def over_events(
    engine: Engine, query: Paged, read: Callable[[EventId, str, int], Awaitable[Part[T]]]
) -> Part[T]:
    """One page of what `read(event, position, limit)` finds, event by event.

    Raises: EventNotFound for an event that the query names; the problem `invalid`.
    """
    event, position = _parse(query.cursor)
    if query.event_id is not UNSET:
        asked = checked("eventId", ids.event_id, query.event_id)
        if event not in ("", asked):
            raise invalid("cursor", "the cursor belongs to another event")
        items, rest = await read(asked, position, query.limit)
        return items, None if rest is None else f"{asked}:{rest}"
    items = []
    ahead = [known for known in await engine.events.list_events() if known >= event]
    for count, known in enumerate(ahead):
        if count == EVENTS_READ_MAX or len(items) == query.limit:
            return items, f"{known}:"
        try:
            more, rest = await read(
                known, position if known == event else "", query.limit - len(items)
            )
        except EventNotFound:
            continue  # it is still being loaded
        items += more
        if rest is not None:
            return items, f"{known}:{rest}"
    return items, None


def number_of(cursor: str | UnsetType) -> int | None:
    """A numeric cursor; None for the start. Raises the problem `invalid`."""
    if cursor is UNSET:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise invalid("cursor", "not a cursor of this list")
    return int(cursor)


def _parse(cursor: str | UnsetType) -> tuple[str, str]:
    if cursor is UNSET:
        return "", ""
    event, separator, position = cursor.partition(":")
    if not separator:
        raise invalid("cursor", "not a cursor of this list")
    return checked("cursor", ids.event_id, event), position
