"""Computes an event as a restore puts it into Redis, whole, from what Postgres has.

Pure: rows in, values out, so that each rule of a restore can be read and tested in one place:
- A booking that is confirmed in Postgres keeps its places, the first paid first. If an area has no
  room left for it, it is cancelled with one refund obligation.
- A confirmation that only the lost Redis had gets the same places if they are free, else one refund
  obligation.
- A pending booking expires. A payment for it that comes later is treated as a late payment.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from engine.event_image import EventImage, image_of
from engine.ids import AreaId, EventId, local_id
from engine.models import (
    Booking,
    BookingStatus,
    JournalEntry,
    Layout,
    PaymentOutcome,
    SalesState,
    Terms,
)
from engine.payments import kept_ms, merged, owing
from engine.positions import Position
from engine.transport.wire import Argument


class StoredEvent(Struct, frozen=True, kw_only=True):
    """What Postgres has of an event.

    `bookings` are the pending, the confirmed, those that ended less than `ended_ttl_ms` ago (Redis
    would still have them) and, however old, those that a claim is about. `blocked` has local seat
    ids. `epoch` and `newest` are those of the newest entry.
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


class _Places:
    """Which booking has which place, while `rebuild` assigns the places."""

    def __init__(self, stored: StoredEvent, image: EventImage) -> None:
        self.seats = dict(image.seats)
        self._letters = list(image.map)
        self._areas = image.areas
        self.capacity = {area.id: area.capacity for area in stored.layout.areas}
        self.sold: dict[AreaId, int] = dict.fromkeys(map(AreaId, self.capacity), 0)
        for seat in self.seats:
            self._mark(seat, "b" if seat in stored.blocked else "a")

    def free_for(self, booking: Booking) -> bool:
        """Whether all of the booking's places are available."""
        seats = [self.seats.get(local_id(seat), "") for seat in booking.seats]
        areas = all(area.area_id in self.capacity for area in booking.areas)
        return all(seat.endswith(",a") for seat in seats) and areas and self.has_room_for(booking)

    def has_room_for(self, booking: Booking) -> bool:
        """Whether the booking sells no area beyond its capacity."""
        return all(
            self.sold[area.area_id] + area.quantity <= self.capacity[area.area_id]
            for area in booking.areas
            if area.area_id in self.capacity
        )

    def sell(self, booking: Booking) -> None:
        """Give the booking its places, as Postgres has it; a place the layout lacks is left out."""
        for seat in map(local_id, booking.seats):
            if seat in self.seats:
                self._mark(seat, f"s,{local_id(booking.id)},0")
        for area in booking.areas:
            if area.area_id in self.sold:
                self.sold[area.area_id] += area.quantity

    def map(self) -> str:
        """The letters by index, `/` between rows."""
        return "".join(self._letters)

    def areas(self) -> dict[str, str]:
        """`<capacity>,<category>,0,<sold>`: nothing is held."""
        return {
            area: f"{value.rpartition(',')[0]},{self.sold[AreaId(area)]}"
            for area, value in self._areas.items()
        }

    def counts(self) -> dict[str, Argument]:
        """Places by status, as the event hash has them."""
        sold = self._letters.count("s") + sum(self.sold.values())
        blocked = self._letters.count("b")
        capacity = len(self.seats) + sum(self.capacity.values())
        return {"available": capacity - sold - blocked, "sold": sold, "blocked": blocked}

    def _mark(self, seat: str, state: str) -> None:
        index, category, *_ = self.seats[seat].split(",")
        self.seats[seat] = f"{index},{category},{state}"
        self._letters[int(index)] = state[0]


def rebuild(
    stored: StoredEvent, claims: Iterable[Booking], *, epoch: int, now_ms: int, first_ms: int
) -> EventImage:
    """The event under a new `epoch`; its journal begins at `first_ms`.

    `claims` are bookings that Redis had and Postgres lacks or refused: confirmed there, or paid too
    late and owed a refund.
    """
    before = image_of(stored.event_id, stored.layout, stored.terms, stored.gzipped)
    places = _Places(stored, before)
    bookings, changed = _settle_bookings(stored.bookings, claims, places, now_ms)
    settings = {name: str(value) for name, value in before.fields.items() if name not in _COUNTS}
    restored = JournalEntry(
        event_id=stored.event_id,
        entry_id=Position(first_ms, 0).entry_id,
        kind="event_restored",
        at_ms=now_ms,
        epoch=epoch,
        event=settings | {"loaded_at_ms": str(stored.loaded_at_ms)},
    )
    return replace(
        before,
        fields=before.fields
        | places.counts()
        | {
            "sales": SalesState.RESTORING,
            "epoch": epoch,
            "position": Position(first_ms, len(changed)).entry_id,
            "loaded_at_ms": stored.loaded_at_ms,
        },
        seats=places.seats,
        map=places.map(),
        areas=places.areas(),
        bookings=bookings,
        ended={
            ulid: booking.ended_at_ms + kept_ms(booking, stored.terms.ended_ttl_ms)
            for ulid, booking in bookings.items()
            if booking.ended_at_ms is not None
        },
        entries=tuple(_entries(restored, changed)),
    )


_COUNTS = ("available", "held", "sold", "blocked", "capacity")
_SETTLED = (BookingStatus.CONFIRMED, BookingStatus.CANCELLED)


def _settle_bookings(
    stored: Iterable[Booking], claims: Iterable[Booking], places: _Places, now_ms: int
) -> tuple[dict[str, Booking], list[tuple[str, Booking]]]:
    """Every booking after the restore, and those it changed, each with the kind of its entry."""
    changed = list(_assign_places(stored, places, now_ms))
    bookings = {local_id(booking.id): booking for booking in stored}
    bookings |= {local_id(booking.id): booking for _, booking in changed}
    for claim in sorted(claims, key=_paid_first):
        known = bookings.get(local_id(claim.id))
        if known is None or not (known.status in _SETTLED or _is_refunded(known)):
            kind, settled = _settle(claim, places, now_ms)
        else:
            kind, settled = "refund_due", merged(known, claim)
        if settled != known:
            bookings[local_id(claim.id)] = settled
            changed.append((kind, settled))
    for ulid, booking in bookings.items():
        if booking.status == BookingStatus.PENDING:
            bookings[ulid] = replace(booking, status=BookingStatus.EXPIRED, ended_at_ms=now_ms)
            changed.append(("booking_expired", bookings[ulid]))
    return bookings, changed


def _paid_first(booking: Booking) -> tuple[int, str]:
    return booking.confirmed_at_ms or 0, booking.id


def _is_refunded(booking: Booking) -> bool:
    """Also a free booking: no money is owed, but `refund_reason` says why it has no places."""
    return bool(booking.refund_minor or booking.refund_reason)


def _assign_places(
    bookings: Iterable[Booking], places: _Places, now_ms: int
) -> Iterator[tuple[str, Booking]]:
    """Give confirmed bookings their places, the first paid first; cancel what an area cannot hold.

    A Redis that came back behind can sell standing places twice. Postgres has a unique index that
    rejects a second sale of a seat, and none for standing places.
    """
    confirmed = [booking for booking in bookings if booking.status == BookingStatus.CONFIRMED]
    for booking in sorted(confirmed, key=_paid_first):
        if places.has_room_for(booking):
            places.sell(booking)
            continue
        ended = replace(booking, status=BookingStatus.CANCELLED, ended_at_ms=now_ms)
        yield "booking_cancelled", owing(ended, "area_full")


def _settle(claim: Booking, places: _Places, now_ms: int) -> tuple[str, Booking]:
    """The same places if they are free, else one refund obligation: as for a late payment."""
    if claim.status != BookingStatus.CONFIRMED:  # it was paid too late, and is owed the money
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


def _entries(
    restored: JournalEntry, changed: Iterable[tuple[str, Booking]]
) -> Iterator[JournalEntry]:
    """First the event, then every booking that the restore changed."""
    yield restored
    for sequence, (kind, booking) in enumerate(changed, 1):
        entry_id = Position(restored.position.ms, sequence).entry_id
        yield replace(restored, entry_id=entry_id, kind=kind, event=None, booking=booking)
