"""Reads the raw state of one event at one instant, for `engine verify`, reconcile and tests.

MULTI rather than a script: the snapshot is as atomic, and it is decoded outside the server. It
blocks Redis for about 10 ms at 50,000 seats. A seat, an area or a booking that cannot be read is
listed as malformed beside the others; a whole key that cannot be read is an error.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct

from engine import keys
from engine.booking_json import booking_of
from engine.engine import Engine
from engine.errors import EngineError, ErrorReply, EventNotFound, Malformed
from engine.events import event_of
from engine.ids import EventId
from engine.models import Booking, Event

STATUS_OF = {"a": "available", "h": "held", "s": "sold", "b": "blocked"}
"""The status of a seat by its letter."""

_SHOWN_BYTES = 100


class SeatState(Struct, frozen=True):
    """A seat's value, decoded. `letter` is its status; `booking` is a ULID or empty."""

    index: int
    category: int
    letter: str
    booking: str
    deadline_ms: int


class AreaState(Struct, frozen=True):
    """A standing area's value, decoded."""

    capacity: int
    category: int
    held: int
    sold: int


class MalformedValue(Struct, frozen=True):
    """A seat, an area or a booking (`kind`) whose value no release has written."""

    kind: str
    subject: str
    detail: str


class EventState(Struct, frozen=True, kw_only=True):
    """Seats, areas and bookings by local id; deadlines by ULID; `customers` as Redis lists them.

    What is `malformed` is in none of these.
    """

    event: Event
    now_ms: int
    seats: dict[str, SeatState]
    map: str
    areas: dict[str, AreaState]
    bookings: dict[str, Booking]
    deadlines: dict[str, int]
    customers: frozenset[str]
    malformed: tuple[MalformedValue, ...] = ()


async def read_state(engine: Engine, event: EventId) -> EventState:
    """Read a whole event. Raises: EventNotFound, Malformed, Unavailable."""
    named = keys.of_event(event)
    pipeline = engine.client.pipeline(transaction=True)
    pipeline.hgetall(named.event)
    pipeline.hgetall(named.seats)
    pipeline.get(named.map)
    pipeline.hgetall(named.areas)
    pipeline.hgetall(named.bookings)
    pipeline.zrange(named.deadlines, 0, -1, withscores=True)
    pipeline.zrange(named.customers, 0, -1)
    pipeline.zcard(named.ended)
    pipeline.xlen(named.journal)
    pipeline.time()
    *replies, time = await pipeline.execute(raise_on_error=False)
    for key, reply in zip(named, replies, strict=True):
        if isinstance(reply, ErrorReply) and reply.is_wrong_type:
            raise Malformed(f"{event}: the key {key} cannot be read: {reply}")
        if isinstance(reply, EngineError):
            raise reply
    fields, seats, letters, areas, bookings, deadlines, customers, _, _ = replies
    if b"sales" not in fields:
        raise EventNotFound(event)
    malformed: list[MalformedValue] = []
    try:
        return EventState(
            event=event_of(event, {name.decode(): text.decode() for name, text in fields.items()}),
            now_ms=time[0] * 1000 + time[1] // 1000,
            seats=_read(seats, "seat", _seat, malformed),
            map=(letters or b"").decode(),
            areas=_read(areas, "area", _area, malformed),
            bookings=_read(
                bookings, "booking", lambda ulid, json: booking_of(event, ulid, json), malformed
            ),
            deadlines={ulid.decode(): int(score) for ulid, score in deadlines},
            customers=frozenset(member.decode() for member in customers),
            malformed=tuple(malformed),
        )
    except UnicodeDecodeError as error:
        raise Malformed(f"{event}: a key of the event is not text: {error}") from error


_Value = TypeVar("_Value")


def _read(
    values: Mapping[bytes, bytes],
    kind: str,
    read: Callable[[str, bytes], _Value],
    malformed: list[MalformedValue],
) -> dict[str, _Value]:
    """The values that can be read, by id; the others are added to `malformed`."""
    found = {}
    for name, value in values.items():
        local = name.decode()
        try:
            found[local] = read(local, value)
        except (msgspec.MsgspecError, ValueError) as error:
            detail = f"the {kind} has {value[:_SHOWN_BYTES]!r}: {error}"
            malformed.append(MalformedValue(kind, local, detail))
    return found


def _seat(_: str, value: bytes) -> SeatState:
    index, category, letter, *of = value.decode().split(",")
    if letter not in STATUS_OF:
        raise ValueError(f"{letter!r} is no status")
    booking, deadline = of or ("", "0")
    return SeatState(int(index), int(category), letter, booking, int(deadline))


def _area(_: str, value: bytes) -> AreaState:
    capacity, category, held, sold = map(int, value.split(b","))
    return AreaState(capacity, category, held, sold)
