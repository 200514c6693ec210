"""The life of every seat and booking as the journal has it, and where that breaks the rules.

Positions count the entries of bookings from 0; "at count n" means after the first n of them.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from engine.models import Booking, BookingStatus, JournalEntry

_NEW, _PENDING, _CONFIRMED = "new", BookingStatus.PENDING, BookingStatus.CONFIRMED
_ENDED = (BookingStatus.RELEASED, BookingStatus.EXPIRED)
_BEFORE: dict[str, tuple[str, ...]] = {
    "seats_held": (_NEW,),
    "booking_extended": (_PENDING,),
    "booking_confirmed": (_PENDING, *_ENDED),
    "booking_released": (_PENDING,),
    "booking_expired": (_PENDING,),
    "booking_cancelled": (_CONFIRMED,),
    "refund_due": _ENDED,
}
_AFTER = {
    "seats_held": _PENDING,
    "booking_extended": _PENDING,
    "booking_confirmed": _CONFIRMED,
    "booking_released": BookingStatus.RELEASED,
    "booking_expired": BookingStatus.EXPIRED,
    "booking_cancelled": BookingStatus.CANCELLED,
}


class Version(NamedTuple):
    """A booking as it was from one entry until the next about it."""

    booking: Booking
    start: int
    end: float


class Lives:
    """What the entries make of seats and bookings. `faults` are the steps that must not be."""

    def __init__(self, entries: Sequence[JournalEntry]) -> None:
        self.entries = entries
        self.faults: list[str] = []
        self._versions: dict[str, list[Version]] = defaultdict(list)
        self._owners: dict[str, list[tuple[int, str]]] = defaultdict(list)
        held_for = set[str]()
        for position, entry in enumerate(entries):
            booking = entry.booking
            assert booking
            self._follow(position, entry, booking)
            if entry.kind == "seats_held":
                if booking.customer_id in held_for:
                    self._blame(position, entry, "its customer has had one by this request")
                held_for.add(booking.customer_id)

    def version(self, booking: Booking) -> Version | None:
        """When the booking was exactly so; the last time, if it was more than once."""
        found = [v for v in self._versions[booking.id] if v.booking == booking]
        return found[-1] if found else None

    def between(self, booking_id: str, least: int, most: int) -> list[Version]:
        """What it was like at some count of these."""
        return [v for v in self._versions[booking_id] if v.start < most and v.end > least - 1]

    def owner(self, seat: str, count: int) -> str:
        """The booking that has the seat at this count, or ""."""
        owners = self._owners[seat]
        at = bisect_right(owners, count - 1, key=lambda owned: owned[0])
        return owners[at - 1][1] if at else ""

    def may_be_overdue(self, seat: str, count: int, at_ms: float) -> bool:
        """Whether it was held, and the deadline had passed at that time."""
        versions = self._versions[self.owner(seat, count)]
        was = [v.booking for v in versions if v.start < count <= v.end]
        return any(b.status is _PENDING and b.expires_at_ms <= at_ms for b in was)

    def _follow(self, position: int, entry: JournalEntry, booking: Booking) -> None:
        versions = self._versions[booking.id]
        before = versions[-1].booking if versions else None
        status: str = before.status if before else _NEW
        if status not in _BEFORE.get(entry.kind, ()):
            self._blame(position, entry, f"the booking was {status}")
        if booking.status != _AFTER.get(entry.kind, booking.status):
            self._blame(position, entry, f"the booking is {booking.status}")
        if before and (before.seats, before.customer_id) != (booking.seats, booking.customer_id):
            self._blame(position, entry, "other seats, or another customer")
        self._check_time(position, entry, booking)
        if entry.kind == "refund_due" and before and before.refund_reason:
            self._blame(position, entry, "it was to be refunded before")
        if versions:
            versions[-1] = versions[-1]._replace(end=position)
        versions.append(Version(booking, position, math.inf))
        self._own(position, entry, booking, had=status in (_PENDING, _CONFIRMED))

    def _check_time(self, position: int, entry: JournalEntry, booking: Booking) -> None:
        overdue = entry.at_ms >= booking.expires_at_ms
        if entry.kind == "booking_confirmed" and overdue and not booking.late:
            self._blame(position, entry, "it was too late for that")
        if entry.kind == "booking_expired" and not overdue:
            self._blame(position, entry, "its deadline had not passed")

    def _own(self, position: int, entry: JournalEntry, booking: Booking, *, had: bool) -> None:
        has = booking.status in (_PENDING, _CONFIRMED)
        for seat in booking.seats:
            owner = self.owner(seat, position)
            if owner != (booking.id if had else "") and (had or has):
                self._blame(position, entry, f"{seat} is of {owner or 'no booking'}")
            if has or had:
                self._owners[seat].append((position, booking.id if has else ""))

    def _blame(self, position: int, entry: JournalEntry, fault: str) -> None:
        assert entry.booking
        self.faults.append(f"{entry.kind} of {entry.booking.id} at {position}: {fault}")
