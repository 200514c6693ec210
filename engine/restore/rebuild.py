"""An event as a restore puts it into Redis: computed whole, from what the system of record has.

Pure: rows in, values out, so that each rule of a restore can be read and tested in one place. Who
owned what, in one sentence: what is confirmed in the record keeps its places, the first first; a
confirmation that only the lost Redis knew, or for which an area has no room any more, gets the same
places if they are free, else one refund obligation; what was pending has expired, so that whoever
pays for it later meets the rule for late payments.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.events import event_fields
from engine.ids import AreaId, EventId
from engine.models import (
    Booking,
    BookingStatus,
    JournalEntry,
    Layout,
    PaymentOutcome,
    SalesState,
    Terms,
)
from engine.payments import merged, owing
from engine.plans import layout as layouts
from engine.transport.wire import Argument

Position = tuple[int, int]
"""A journal entry's id as numbers: (ms, sequence)."""


class StoredEvent(Struct, frozen=True, kw_only=True):
    """What the system of record has of an event.

    `bookings` are the pending, the confirmed, those ended so lately that Redis would have them and,
    however old, those that claims are about; `blocked` seat ids without the event; `epoch` and
    `newest` stand for the newest entry.
    """

    event_id: EventId
    terms: Terms
    layout: Layout
    gzipped: bytes
    loaded_at_ms: int
    epoch: int
    newest: Position
    blocked: frozenset[str]
    bookings: tuple[Booking, ...]


class EventImage(Struct, frozen=True, kw_only=True):
    """Everything a restore stages. `entries` begin the new journal, in this sequence."""

    event_id: EventId
    gzipped: bytes
    fields: dict[str, Argument]
    seats: dict[str, str]
    map: str
    areas: dict[str, str]
    bookings: dict[str, Booking]
    ended: dict[str, int]
    entries: tuple[JournalEntry, ...]

    @property
    def customers(self) -> list[str]:
        """The members of the list that purchase limits are counted from."""
        return [
            f"{booking.customer_id} {ulid}"
            for ulid, booking in self.bookings.items()
            if booking.status == BookingStatus.CONFIRMED
        ]


class _Places:
    """Whose the places are while they are dealt out again."""

    def __init__(self, remembered: StoredEvent) -> None:
        self._start = len(remembered.event_id) + 1
        values = dict(layouts.seat_values(remembered.layout))
        blocked = remembered.blocked
        self._plain = {seat: value.rpartition(",")[0] for seat, value in values.items()}
        self.letters = {seat: "b" if seat in blocked else "a" for seat in values}
        self.owners: dict[str, str] = {}
        self.capacity = {area.id: area.capacity for area in remembered.layout.areas}
        self.sold: dict[AreaId, int] = dict.fromkeys(map(AreaId, self.capacity), 0)
        self._areas = dict(layouts.area_values(remembered.layout))

    def free_for(self, booking: Booking) -> bool:
        """Whether all of the booking's places are available."""
        seats = all(self.letters.get(seat[self._start :]) == "a" for seat in booking.seats)
        areas = all(area.area_id in self.capacity for area in booking.areas)
        return seats and areas and self.has_room_for(booking)

    def has_room_for(self, booking: Booking) -> bool:
        """Whether no area is sold beyond its capacity by it."""
        return all(
            self.sold[area.area_id] + area.quantity <= self.capacity[area.area_id]
            for area in booking.areas
            if area.area_id in self.capacity
        )

    def sell(self, booking: Booking) -> None:
        """Make them the booking's, as the record says; a place that is not there stays away."""
        for seat in (seat[self._start :] for seat in booking.seats):
            if seat in self.letters:
                self.letters[seat], self.owners[seat] = "s", booking.id[self._start :]
        for area in booking.areas:
            if area.area_id in self.sold:
                self.sold[area.area_id] += area.quantity

    def seat_values(self) -> dict[str, str]:
        """`<index>,<category>,<letter>[,<ulid>,0]`, as the scripts write it."""
        return {
            seat: f"{plain},{self.letters[seat]}"
            + (f",{self.owners[seat]},0" if seat in self.owners else "")
            for seat, plain in self._plain.items()
        }

    def map(self) -> str:
        """The letters by index, `/` between rows."""
        index_of = {seat: int(plain.partition(",")[0]) for seat, plain in self._plain.items()}
        letters = ["/"] * (max(index_of.values(), default=-1) + 1)
        for seat, index in index_of.items():
            letters[index] = self.letters[seat]
        return "".join(letters)

    def area_values(self) -> dict[str, str]:
        """`<capacity>,<category>,0,<sold>`: nothing is held."""
        return {
            area: f"{value.rpartition(',')[0]},{self.sold[AreaId(area)]}"
            for area, value in self._areas.items()
        }


def rebuild(
    remembered: StoredEvent, claims: Iterable[Booking], *, epoch: int, now_ms: int, first_ms: int
) -> EventImage:
    """The event anew, under `epoch`, its journal beginning at `first_ms`.

    `claims` were confirmed in the Redis that is given up, or came too late there and are to be paid
    back, and the record refused or lacks them.
    """
    start, terms = len(remembered.event_id) + 1, remembered.terms
    bookings = {booking.id[start:]: booking for booking in remembered.bookings}
    places = _Places(remembered)
    changed = list(_deal_out(remembered.bookings, places, now_ms))
    bookings |= {booking.id[start:]: booking for _, booking in changed}
    for claim in sorted(claims, key=_paid_first):
        known = bookings.get(claim.id[start:])
        if known is None or not (known.status in _SETTLED or _is_refunded(known)):
            kind, settled = _settle(claim, places, now_ms)
        else:
            kind, settled = "refund_due", merged(known, claim)
        if settled != known:
            bookings[claim.id[start:]] = settled
            changed.append((kind, settled))
    for ulid, booking in bookings.items():
        if booking.status == BookingStatus.PENDING:
            bookings[ulid] = replace(booking, status=BookingStatus.EXPIRED, ended_at_ms=now_ms)
            changed.append(("booking_expired", bookings[ulid]))
    return EventImage(
        event_id=remembered.event_id,
        gzipped=remembered.gzipped,
        fields=_fields(remembered, places, epoch, f"{first_ms}-{len(changed)}"),
        seats=places.seat_values(),
        map=places.map(),
        areas=places.area_values(),
        bookings=bookings,
        ended={
            ulid: booking.ended_at_ms + terms.ended_ttl_ms
            for ulid, booking in bookings.items()
            if booking.ended_at_ms is not None
        },
        entries=tuple(_entries(remembered, changed, epoch, now_ms, first_ms)),
    )


_SETTLED = (BookingStatus.CONFIRMED, BookingStatus.CANCELLED)


def _paid_first(booking: Booking) -> tuple[int, str]:
    return booking.confirmed_at_ms or 0, booking.id


def _is_refunded(booking: Booking) -> bool:
    """Also one that was free: nothing is owed for it, but why it has no places is told."""
    return bool(booking.refund_minor or booking.refund_reason)


def _deal_out(
    bookings: Iterable[Booking], places: _Places, now_ms: int
) -> Iterator[tuple[str, Booking]]:
    """Give what is confirmed its places, the first first; what an area has no room for is undone.

    A Redis that came back behind sells standing places again, and no index of the record refuses
    them. Of seats it does.
    """
    confirmed = [booking for booking in bookings if booking.status == BookingStatus.CONFIRMED]
    for booking in sorted(confirmed, key=_paid_first):
        if places.has_room_for(booking):
            places.sell(booking)
            continue
        ended = replace(booking, status=BookingStatus.CANCELLED, ended_at_ms=now_ms)
        yield "booking_cancelled", owing(ended, "area_full")


def _settle(claim: Booking, places: _Places, now_ms: int) -> tuple[str, Booking]:
    """The same places if they are free, else one refund obligation; as for a late payment."""
    if claim.status != BookingStatus.CONFIRMED:  # it came too late then, and is owed its money
        is_held = claim.status == BookingStatus.PENDING
        status = BookingStatus.EXPIRED if is_held else claim.status
        return "refund_due", replace(claim, status=status, ended_at_ms=now_ms)
    if places.free_for(claim):
        places.sell(claim)
        return "booking_confirmed", replace(claim, late=True, ended_at_ms=None)
    taken = "seat_taken" if claim.seats else "area_full"
    return "refund_due", replace(
        owing(claim, taken, PaymentOutcome.REFUND_DUE),
        status=BookingStatus.EXPIRED,
        confirmed_at_ms=None,
        ended_at_ms=now_ms,
    )


def _fields(
    remembered: StoredEvent, places: _Places, epoch: int, position: str
) -> dict[str, Argument]:
    fields = event_fields(remembered.layout, remembered.terms)
    letters = list(places.letters.values())
    sold = letters.count("s") + sum(places.sold.values())
    blocked = letters.count("b")
    standing = sum(places.capacity.values())
    return fields | {
        "sales": SalesState.RESTORING,
        "available": len(letters) + standing - sold - blocked,
        "sold": sold,
        "blocked": blocked,
        "epoch": epoch,
        "position": position,
        "loaded_at_ms": remembered.loaded_at_ms,
    }


def _entries(
    remembered: StoredEvent,
    changed: list[tuple[str, Booking]],
    epoch: int,
    now_ms: int,
    first_ms: int,
) -> Iterable[JournalEntry]:
    """First what the event is, then every booking that is not as it was."""
    settings = event_fields(remembered.layout, remembered.terms)
    counts = ("available", "held", "sold", "blocked", "capacity")
    said = {name: str(value) for name, value in settings.items() if name not in counts}
    said |= {"loaded_at_ms": str(remembered.loaded_at_ms)}
    first = JournalEntry(
        event_id=remembered.event_id,
        entry_id=f"{first_ms}-0",
        kind="event_restored",
        at_ms=now_ms,
        epoch=epoch,
        event=said,
    )
    yield first
    for sequence, (kind, booking) in enumerate(changed, 1):
        yield msgspec.structs.replace(
            first, entry_id=f"{first_ms}-{sequence}", kind=kind, event=None, booking=booking
        )
