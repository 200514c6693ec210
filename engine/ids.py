"""Ids that route themselves: `<event>:<ulid>` a booking, `<event>:<section>-<row>-<number>` a seat.

No call has to look up which event, or which cluster slot, an id is about. Ids are checked here,
at the edge: what passes can be put into a Redis key, a Lua list or a URL without escaping.
"""

import re
from collections.abc import Iterable
from os import register_at_fork, urandom
from time import time_ns
from typing import NewType

EventId = NewType("EventId", str)
BookingId = NewType("BookingId", str)
SeatId = NewType("SeatId", str)
AreaId = NewType("AreaId", str)
CustomerId = NewType("CustomerId", str)

EVENT_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
PLACE_PATTERN = r"[A-Za-z0-9_.~-]{1,80}"
ULID_PATTERN = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"
CUSTOMER_PATTERN = r"[!-~]{1,128}"

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LETTER_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]
_PAIR_SHIFTS = range(120, -1, -10)

_EVENT = re.compile(EVENT_PATTERN)
_PLACE = re.compile(PLACE_PATTERN)
_BOOKING = re.compile(f"({EVENT_PATTERN}):({ULID_PATTERN})")
_SEAT = re.compile(f"({EVENT_PATTERN}):({PLACE_PATTERN})")
_CUSTOMER = re.compile(CUSTOMER_PATTERN)


class _Chance:
    """The system's chance, 80 bits at a time: asked for once in a few hundred times."""

    BYTES = 10

    def __init__(self) -> None:
        self._left = b""
        self._from = 0
        register_at_fork(after_in_child=self.forget)

    def take(self) -> bytes:
        """Bytes nobody was given before."""
        start, end = self._from, self._from + self.BYTES
        if end > len(self._left):
            self._left, start, end = urandom(400 * self.BYTES), 0, self.BYTES
        self._from = end
        return self._left[start:end]

    def forget(self) -> None:
        """What is left is our parent's to give."""
        self._left, self._from = b"", 0


_CHANCE = _Chance()


class InvalidId(ValueError):
    """An id that is not of its kind's form. The message names the kind and shows the id."""

    def __init__(self, kind: str, value: str) -> None:
        super().__init__(f"not {kind}: {value[:100]!r}")


def event_id(text: str) -> EventId:
    """Check an event id: letters, digits, `_.-`, at most 64."""
    if not _EVENT.fullmatch(text):
        raise InvalidId("an event id", text)
    return EventId(text)


def customer_id(text: str) -> CustomerId:
    """Check a customer id: printable ASCII with no space, at most 128."""
    if not _CUSTOMER.fullmatch(text):
        raise InvalidId("a customer id", text)
    return CustomerId(text)


def place(text: str) -> str:
    """Check the part of a seat id behind the event, or an area id: letters, digits, `_.~-`."""
    if not _PLACE.fullmatch(text):
        raise InvalidId("a seat or area id", text)
    return text


def area_id(text: str) -> AreaId:
    """Check an area id; it is unique within its event and does not carry it."""
    return AreaId(place(text))


def new_ulid() -> str:
    """The part of a booking id behind the event: nobody has used it, and it sorts by time.

    A ULID: 48 bits of Unix milliseconds and 80 random ones, in Crockford's base 32. Two letters
    at a time from a table, as every hold needs one: python-ulid's takes three times as long.
    """
    number = time_ns() // 1_000_000 << 80 | int.from_bytes(_CHANCE.take())
    return "".join([_LETTER_PAIRS[number >> shift & 1023] for shift in _PAIR_SHIFTS])


def split_booking(text: str) -> tuple[EventId, str]:
    """`<event>:<ulid>` -> (event, ulid). Raises InvalidId."""
    found = _BOOKING.fullmatch(text)
    if not found:
        raise InvalidId("a booking id", text)
    return EventId(found[1]), found[2]


def local_id(full_id: str) -> str:
    """The part of a seat or booking id behind the event: what the scripts know it by."""
    return full_id.partition(":")[2]


def local_ids(event: EventId, full_ids: Iterable[str]) -> list[str]:
    """`local_id` of many ids of one event: twice as fast, as a hold of ten seats needs it."""
    start = len(event) + 1
    return [full_id[start:] for full_id in full_ids]


def seat_ids(event: EventId, local: Iterable[str]) -> list[SeatId]:
    """Full seat ids: the way back from `local_ids`."""
    return [SeatId(f"{event}:{seat}") for seat in local]


def split_seat(text: str) -> tuple[EventId, str]:
    """`<event>:<section>-<row>-<number>` -> (event, the rest). Raises InvalidId."""
    found = _SEAT.fullmatch(text)
    if not found:
        raise InvalidId("a seat id", text)
    return EventId(found[1]), found[2]
