"""Histories that cannot be: a true one with one falsehood in it, to see whether it is found.

Each way to lie takes a history that is right and changes one thing that makes it wrong for
certain. A lie that this history offers no occasion for is told as `None`.
"""

from collections.abc import Callable, Sequence
from random import Random

from msgspec.structs import replace

from engine.errors import BookingCancelled, Refused, SeatTaken, Unavailable
from engine.ids import BookingId, SeatId
from engine.models import Booking, BookingStatus, JournalEntry
from tests.support.history import Call

History = tuple[list[Call], list[JournalEntry]]
Lie = Callable[[Random, list[Call], list[JournalEntry]], History | None]


def _answered(calls: Sequence[Call], kind: str) -> list[tuple[int, Call, Booking]]:
    """Calls of a kind that were answered with a booking, the only calls about their subject."""
    asked = [(call.kind, call.subject) for call in calls]
    return [
        (at, call, call.answer)
        for at, call in enumerate(calls)
        if call.kind == kind and isinstance(call.answer, Booking)
        if asked.count((call.kind, call.subject)) == 1
    ]


def _with(calls: list[Call], at: int, call: Call) -> list[Call]:
    return [*calls[:at], call, *calls[at + 1 :]]


def _without(
    random: Random, entries: list[JournalEntry], kind: str, ids: set[str]
) -> list[JournalEntry] | None:
    found = [e for e in entries if e.kind == kind and e.booking and e.booking.id in ids]
    if not found:
        return None
    gone = random.choice(found)
    return [entry for entry in entries if entry is not gone]


def _lose(kind: str, asked: str) -> Lie:
    """What was answered is not in the journal."""

    def lie(random: Random, calls: list[Call], entries: list[JournalEntry]) -> History | None:
        ids = {booking.id for _, _, booking in _answered(calls, asked)}
        left = _without(random, entries, kind, {str(i) for i in ids})
        return (calls, left) if left is not None else None

    return lie


def _another_booking(
    random: Random, calls: list[Call], entries: list[JournalEntry]
) -> History | None:
    """A hold is answered with the booking of no call."""
    if not (found := _answered(calls, "hold")):
        return None
    at, call, answer = random.choice(found)
    false = replace(answer, id=BookingId(f"{answer.event_id}:{'7' * 26}"))
    return _with(calls, at, call._replace(answer=false)), entries


def _other_seats(random: Random, calls: list[Call], entries: list[JournalEntry]) -> History | None:
    """A hold is answered with seats that were not asked for."""
    if not (found := _answered(calls, "hold")):
        return None
    at, call, answer = random.choice(found)
    false = replace(answer, seats=(SeatId(f"{answer.event_id}:Z-9-9"),))
    return _with(calls, at, call._replace(answer=false)), entries


def _won_instead_of_lost(
    random: Random, calls: list[Call], entries: list[JournalEntry]
) -> History | None:
    """A refused hold is said to have been given."""
    refused = [(i, c) for i, c in enumerate(calls) if isinstance(c.answer, SeatTaken)]
    models = _answered(calls, "hold")
    if not refused or not models:
        return None
    at, call = random.choice(refused)
    booking = replace(
        models[0][2],
        id=BookingId(f"gala:{'6' * 26}"),
        customer_id=call.subject,
        seats=tuple(SeatId(seat) for seat in call.seats),
    )
    return _with(calls, at, call._replace(answer=booking)), entries


def _lost_instead_of_won(
    random: Random, calls: list[Call], entries: list[JournalEntry]
) -> History | None:
    """A hold that has its seats is said to have been refused."""
    if not (found := _answered(calls, "hold")):
        return None
    at, call, _ = random.choice(found)
    return _with(calls, at, call._replace(answer=SeatTaken(*call.seats))), entries


def _untried(random: Random, calls: list[Call], entries: list[JournalEntry]) -> History | None:
    """A hold that has its seats is said never to have been tried."""
    if not (found := _answered(calls, "hold")):
        return None
    at, call, _ = random.choice(found)
    return _with(calls, at, call._replace(answer=Unavailable("away"))), entries


def _held_twice(random: Random, calls: list[Call], entries: list[JournalEntry]) -> History | None:
    """One request has its effect twice, the second when its seats are free again."""
    held = [e for e in entries if e.kind == "seats_held" and e.booking]
    if not held:
        return None
    entry = random.choice(held)
    assert entry.booking
    again = replace(entry, booking=replace(entry.booking, id=BookingId(f"gala:{'5' * 26}")))
    return calls, [*entries, again]


def _two_owners(random: Random, calls: list[Call], entries: list[JournalEntry]) -> History | None:
    """A seat is held while it is held."""
    held = [(i, e) for i, e in enumerate(entries) if e.kind == "seats_held" and e.booking]
    if len(held) < 2:
        return None
    (at, first), (_, other) = random.sample(held, 2)
    assert first.booking
    assert other.booking
    thief = replace(other.booking, id=BookingId(f"gala:{'4' * 26}"), seats=first.booking.seats)
    return calls, [*entries[: at + 1], replace(other, booking=thief), *entries[at + 1 :]]


def _swapped(random: Random, calls: list[Call], entries: list[JournalEntry]) -> History | None:
    """Two steps of one booking are in the wrong order."""
    places: dict[str, list[int]] = {}
    for at, entry in enumerate(entries):
        if entry.booking:
            places.setdefault(entry.booking.id, []).append(at)
    twice = [found for found in places.values() if len(found) > 1]
    if not twice:
        return None
    first, second = random.choice(twice)[:2]
    swapped = list(entries)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    return calls, swapped


def _asked_too_late(
    random: Random, calls: list[Call], entries: list[JournalEntry]
) -> History | None:
    """A hold is asked for after its own booking was known to others to be given up."""
    over = {call.subject: call for _, call, _ in _answered(calls, "release")}
    found = [(i, c, b) for i, c, b in _answered(calls, "hold") if b.id in over]
    if not found:
        return None
    at, call, _ = random.choice(found)
    end_ms = max(call.ended_ms for _, call, _ in _answered(calls, "release"))
    late = call._replace(began_ms=end_ms + 1, ended_ms=end_ms + 2)
    return _with(calls, at, late), entries


def _stale_read(random: Random, calls: list[Call], entries: list[JournalEntry]) -> History | None:
    """A booking is shown as it was before a change that its customer knew of."""
    changed = {
        c.subject: c for _, c, _ in _answered(calls, "confirm") + _answered(calls, "release")
    }
    found = [b for _, _, b in _answered(calls, "hold") if b.id in changed]
    if not found:
        return None
    booking = random.choice(found)
    after_ms = changed[booking.id].ended_ms + 1
    return [*calls, Call("read", booking.id, (), after_ms, after_ms + 1, booking)], entries


def _other_status(random: Random, calls: list[Call], entries: list[JournalEntry]) -> History | None:
    """A payment is answered with a booking that is not paid."""
    if not (found := _answered(calls, "confirm")):
        return None
    at, call, answer = random.choice(found)
    false = replace(answer, status=BookingStatus.PENDING, confirmed_at_ms=None)
    return _with(calls, at, call._replace(answer=false)), entries


def _other_amount(random: Random, calls: list[Call], entries: list[JournalEntry]) -> History | None:
    """A booking is shown at another price."""
    if not (found := _answered(calls, "confirm")):
        return None
    at, call, answer = random.choice(found)
    false = replace(answer, amount_minor=answer.amount_minor + 1)
    return _with(calls, at, call._replace(answer=false)), entries


def _other_refusal(
    random: Random, calls: list[Call], entries: list[JournalEntry]
) -> History | None:
    """A call about a booking is refused for what is not so."""
    found = [
        (i, c)
        for i, c in enumerate(calls)
        if c.kind in ("release", "extend") and isinstance(c.answer, Refused | Booking)
    ]
    cancelled = {e.booking.id for e in entries if e.kind == "booking_cancelled" and e.booking}
    found = [(i, call) for i, call in found if call.subject not in cancelled]
    if not found:
        return None
    at, call = random.choice(found)
    return _with(calls, at, call._replace(answer=BookingCancelled())), entries


def _seat_never_sold(
    random: Random, calls: list[Call], entries: list[JournalEntry]
) -> History | None:
    """A hold is refused for a seat that was never taken."""
    refused = [(i, c) for i, c in enumerate(calls) if isinstance(c.answer, SeatTaken)]
    if not refused:
        return None
    at, call = random.choice(refused)
    seats = (*call.seats, "gala:Z-9-9")
    return _with(calls, at, call._replace(seats=seats, answer=SeatTaken(*seats))), entries


LIES: dict[str, Lie] = {
    "a hold is lost": _lose("seats_held", "hold"),
    "a sale is lost": _lose("booking_confirmed", "confirm"),
    "a release is lost": _lose("booking_released", "release"),
    "another booking": _another_booking,
    "other seats": _other_seats,
    "won instead of lost": _won_instead_of_lost,
    "lost instead of won": _lost_instead_of_won,
    "never tried": _untried,
    "one request held twice": _held_twice,
    "two owners": _two_owners,
    "steps swapped": _swapped,
    "asked too late": _asked_too_late,
    "a stale read": _stale_read,
    "another status": _other_status,
    "another amount": _other_amount,
    "another refusal": _other_refusal,
    "a seat never sold": _seat_never_sold,
}
"""Every way to lie, by name."""
