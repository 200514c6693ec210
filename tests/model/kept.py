"""What the model keeps beside bookings."""

from typing import NamedTuple

from engine.models import Booking


class Answered(NamedTuple):
    """A request that was answered: what it asked for, with which booking, and for how long."""

    wanted: frozenset[tuple[str, int]]
    ulid: str
    until_ms: int


class Timer(NamedTuple):
    """A hold's TTL key: what it was set to, and when it is gone."""

    ttl_ms: int
    until_ms: int


class Noted(NamedTuple):
    """A journal entry of a booking, as the writer will read it."""

    kind: str
    at_ms: int
    booking: Booking
