"""Ids that contain their event: `<event>:<ulid>` is a booking, `<event>:<section>-<row>-<number>`
a seat. So no call has to look up the event, or the cluster slot, of an id.

Ids are checked here, where requests enter: a checked id can be part of a Redis key, a Lua list or a
URL without escaping. A full id has its event in front; a local id is the rest.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from os import register_at_fork, urandom
from time import time_ns
from typing import NewType, cast

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
_LETTER_OF_BYTE = (_LETTERS * 8).encode()
"""Eight bytes stand for each letter, so random bytes become letters that are as random."""
_MS_SHIFTS = range(45, -1, -5)

_EVENT = re.compile(EVENT_PATTERN)
_PLACE = re.compile(PLACE_PATTERN)
_BOOKING = re.compile(f"({EVENT_PATTERN}):({ULID_PATTERN})")
_SEAT = re.compile(f"({EVENT_PATTERN}):({PLACE_PATTERN})")
_CUSTOMER = re.compile(CUSTOMER_PATTERN)


class _RandomLetters:
    """The random letters of ULIDs; one system call for 400 of them."""

    COUNT = 16

    def __init__(self) -> None:
        self._left: list[str] = []
        register_at_fork(after_in_child=self._left.clear)  # its parent takes the same letters

    def take(self) -> str:
        """The next letters, never taken before."""
        if not self._left:
            text = urandom(400 * self.COUNT).translate(_LETTER_OF_BYTE).decode()
            self._left += [text[at : at + self.COUNT] for at in range(0, len(text), self.COUNT)]
        return self._left.pop()


_RANDOM = _RandomLetters()


class InvalidId(ValueError):
    """An id of the wrong form. The message has the kind of id and the text."""

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
    """Check an area id. It is unique within its event and does not contain the event."""
    return AreaId(place(text))


def new_ulid() -> str:
    """A new local booking id: unique, and sorted by time.

    A ULID: 48 bits of Unix milliseconds and 80 random ones, in Crockford's base 32. Every hold
    needs one: python-ulid takes several times as long.
    """
    return _letters_of(time_ns() // 1_000_000) + _RANDOM.take()


@lru_cache(16)
def _letters_of(at_ms: int) -> str:
    return "".join([_LETTERS[at_ms >> shift & 31] for shift in _MS_SHIFTS])


def split_booking(text: str) -> tuple[EventId, str]:
    """`<event>:<ulid>` -> (event, ulid). Raises InvalidId."""
    found = _BOOKING.fullmatch(text)
    if not found:
        raise InvalidId("a booking id", text)
    return EventId(found[1]), found[2]


def local_id(full_id: str) -> str:
    """The part of a seat or booking id after the event. Scripts take local ids."""
    return full_id.partition(":")[2]


def local_ids(event: EventId, full_ids: Iterable[str]) -> list[str]:
    """`local_id` for many ids of one event, in a third less time: a hold has up to 50 seats."""
    start = len(event) + 1
    return [full_id[start:] for full_id in full_ids]


def seat_ids(event: EventId, local: Iterable[str]) -> list[SeatId]:
    """Full seat ids: the inverse of `local_ids`."""
    return cast("list[SeatId]", [f"{event}:{seat}" for seat in local])


def split_seat(text: str) -> tuple[EventId, str]:
    """`<event>:<section>-<row>-<number>` -> (event, the rest). Raises InvalidId."""
    found = _SEAT.fullmatch(text)
    if not found:
        raise InvalidId("a seat id", text)
    return EventId(found[1]), found[2]
