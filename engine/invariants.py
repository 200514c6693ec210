"""Checks the promises G1, G3 and G4, and the money, against the raw state of one event.

Used by `engine verify`, reconcile, the tests and the bench. Each rule reports what it found and
where; a state without violations keeps the promises. The tests plant each violation.
"""

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct

from engine.engine import Engine
from engine.errors import Malformed
from engine.event_state import STATUS_OF, EventState, read_state
from engine.ids import EventId, local_ids
from engine.models import Booking, BookingStatus, Together
from engine.payments import faults

OVERDUE_MS_MAX = 1000
"""Promise G3: a hold ends within its TTL plus this."""

KINDS = (
    "sold_twice",
    "owner_differs",
    "orphan_hold",
    "orphan_sale",
    "counts_differ",
    "map_differs",
    "area_differs",
    "area_oversold",
    "deadline_differs",
    "customer_differs",
    "overdue_hold",
    "money_unaccounted",
    "together_differs",
    "malformed",
)
"""Every kind of violation."""

_LETTER = {BookingStatus.PENDING: "h", BookingStatus.CONFIRMED: "s"}


class Violation(Struct, frozen=True):
    """A broken promise: its kind, the seat, booking or count that breaks it, and what was found."""

    kind: str
    subject: str
    detail: str


def check(state: EventState) -> list[Violation]:
    """Every violation in one event; an empty list if there is none.

    Sums and lists are checked only if every value can be read.
    """
    found = [
        *_malformed(state),
        *_sold_twice(state),
        *_owners(state),
        *_orphans(state),
        *_overdue(state),
        *_money(state),
    ]
    if not state.malformed:
        found += [*_counts(state), *_map(state), *_areas(state), *_lists(state), *_together(state)]
    return found


async def verify(engine: Engine, event: EventId) -> list[Violation]:
    """Read one event and check it. Raises: EventNotFound, Unavailable."""
    try:
        return check(await read_state(engine, event))
    except Malformed as error:
        return [Violation("malformed", event, str(error))]


def unreadable(state: EventState) -> frozenset[str]:
    """The seats, areas and bookings whose values cannot be read."""
    return frozenset(value.subject for value in state.malformed)


def _malformed(state: EventState) -> Iterator[Violation]:
    return (Violation("malformed", value.subject, value.detail) for value in state.malformed)


def _active(state: EventState) -> Iterator[tuple[str, Booking]]:
    return ((u, b) for u, b in state.bookings.items() if b.status in _LETTER)


def _local_seats(booking: Booking) -> list[str]:
    return local_ids(booking.event_id, booking.seats)


def _sold_twice(state: EventState) -> Iterator[Violation]:
    owners: dict[str, list[str]] = {}
    for ulid, booking in _active(state):
        if booking.status == BookingStatus.CONFIRMED:
            for seat in _local_seats(booking):
                owners.setdefault(seat, []).append(ulid)
    for seat, ulids in owners.items():
        if len(ulids) > 1:
            yield Violation("sold_twice", seat, f"confirmed for {', '.join(sorted(ulids))}")


def _owners(state: EventState) -> Iterator[Violation]:
    unread = unreadable(state)
    for ulid, booking in _active(state):
        letter = _LETTER[booking.status]
        for local in _local_seats(booking):
            if local in unread:
                continue
            seat = state.seats.get(local)
            found = (
                f"{STATUS_OF[seat.letter]} of {seat.booking or 'no booking'}" if seat else "no seat"
            )
            if seat is None or seat.letter != letter or seat.booking != ulid:
                yield Violation("owner_differs", local, f"{booking.status} by {ulid}, but {found}")


def _orphans(state: EventState) -> Iterator[Violation]:
    kinds = {
        "h": (BookingStatus.PENDING, "orphan_hold"),
        "s": (BookingStatus.CONFIRMED, "orphan_sale"),
    }
    claims = {ulid: frozenset(_local_seats(booking)) for ulid, booking in _active(state)}
    unread = unreadable(state)
    for local, seat in state.seats.items():
        if seat.letter in kinds and seat.booking not in unread:
            status, kind = kinds[seat.letter]
            booking = state.bookings.get(seat.booking)
            if booking is None or booking.status != status:
                has = booking.status if booking else "unknown"
                yield Violation(kind, local, f"its booking {seat.booking} is {has}")
            elif local not in claims[seat.booking]:
                yield Violation(kind, local, f"its booking {seat.booking} does not name it")


def _counts(state: EventState) -> Iterator[Violation]:
    found = Counter(STATUS_OF[seat.letter] for seat in state.seats.values())
    for area in state.areas.values():
        found["held"] += area.held
        found["sold"] += area.sold
        found["available"] += area.capacity - area.held - area.sold
    for status in STATUS_OF.values():
        recorded = getattr(state.event.counts, status)
        if recorded != found[status]:
            yield Violation(
                "counts_differ", status, f"counted {found[status]}, the event says {recorded}"
            )
    capacity = len(state.seats) + sum(area.capacity for area in state.areas.values())
    if capacity != state.event.capacity:
        detail = f"counted {capacity}, the event says {state.event.capacity}"
        yield Violation("counts_differ", "capacity", detail)


def _map(state: EventState) -> Iterator[Violation]:
    for local, seat in state.seats.items():
        shown = state.map[seat.index : seat.index + 1]
        if shown != seat.letter:
            yield Violation("map_differs", local, f"the seat is {seat.letter!r}, the map {shown!r}")
    indexes = {seat.index for seat in state.seats.values()}
    for index, shown in enumerate(state.map):
        if shown != "/" and index not in indexes:
            yield Violation("map_differs", str(index), f"no seat is there, the map has {shown!r}")


def _together(state: EventState) -> Iterator[Violation]:
    """A party that the engine put together sits as its booking says."""
    for ulid, booking in _active(state):
        seats = [state.seats[local] for local in _local_seats(booking) if local in state.seats]
        if booking.together is Together.ROW and seats:
            indexes = [seat.index for seat in seats]
            between = state.map[min(indexes) : max(indexes)]
            if "/" in between:
                yield Violation("together_differs", ulid, f"its seats are in several rows: {seats}")
        elif booking.together is Together.STANDING and seats:
            yield Violation("together_differs", ulid, f"it stands, and has seats: {seats}")


def _areas(state: EventState) -> Iterator[Violation]:
    claimed: Counter[tuple[str, str]] = Counter()
    for _, booking in _active(state):
        for area in booking.areas:
            claimed[area.area_id, STATUS_OF[_LETTER[booking.status]]] += area.quantity
    for area_id, counted in state.areas.items():
        for status, recorded in (("held", counted.held), ("sold", counted.sold)):
            found = claimed[area_id, status]
            if recorded != found:
                yield Violation(
                    "area_differs", area_id, f"{found} {status} by bookings, says {recorded}"
                )
        if counted.held + counted.sold > counted.capacity:
            detail = f"{counted.held} held, {counted.sold} sold"
            yield Violation("area_oversold", area_id, detail)


def _lists(state: EventState) -> Iterator[Violation]:
    pending = {u: b for u, b in _active(state) if b.status == BookingStatus.PENDING}
    for ulid in pending.keys() ^ state.deadlines.keys():
        what = "has no deadline" if ulid in pending else "has a deadline and is not pending"
        yield Violation("deadline_differs", ulid, what)
    for ulid in pending.keys() & state.deadlines.keys():
        recorded = {state.deadlines[ulid], *_deadlines_of_seats(state, ulid, pending[ulid])}
        if recorded != {pending[ulid].expires_at_ms}:
            detail = f"ends at {pending[ulid].expires_at_ms}, its list or its seats say {recorded}"
            yield Violation("deadline_differs", ulid, detail)
    listed = {f"{booking.customer_id} {ulid}" for ulid, booking in _active(state)}
    for member in listed ^ state.customers:
        what = "is not listed for its customer" if member in listed else "is listed and not active"
        yield Violation("customer_differs", member, what)


def _deadlines_of_seats(state: EventState, ulid: str, booking: Booking) -> Iterator[int]:
    for local in _local_seats(booking):
        seat = state.seats.get(local)
        if seat and seat.booking == ulid:
            yield seat.deadline_ms


def _overdue(state: EventState) -> Iterator[Violation]:
    for ulid, booking in _active(state):
        late_ms = state.now_ms - booking.expires_at_ms
        if booking.status == BookingStatus.PENDING and late_ms > OVERDUE_MS_MAX:
            yield Violation("overdue_hold", ulid, f"{late_ms} ms past its deadline")


def _money(state: EventState) -> Iterator[Violation]:
    """The sum of an event's payments is what is sold, owed and back: so it is for each booking."""
    for ulid, booking in state.bookings.items():
        for fault in faults(booking):
            yield Violation("money_unaccounted", ulid, fault)
