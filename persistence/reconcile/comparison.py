"""Compares one event in Redis and in Postgres. It reads only.

Redis is given as one atomic snapshot. The rows of Postgres are compared one by one and not kept.
They are newer than the snapshot, so a difference may be a change that happened in between; the
`reconciler` therefore checks again. A booking that changed within the lag is in flight, and so are
its seats.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.event_state import EventState
from engine.invariants import check, unreadable
from engine.journal import DeadLetter
from engine.models import Booking, BookingStatus, Payment
from engine.payments import UNPAID_TTL_MS, is_unpaid, payments_of
from persistence.journal.columns import StoredBooking

_AGE = {
    BookingStatus.PENDING: 0,
    BookingStatus.RELEASED: 1,
    BookingStatus.EXPIRED: 1,
    BookingStatus.CONFIRMED: 2,
    BookingStatus.CANCELLED: 3,
}
"""A booking only moves forward: of two states, the higher one is the later one."""

KINDS = (
    *("event_missing_in_redis", "event_missing_in_postgres", "missing_in_redis"),
    *("missing_in_postgres", "status_differs", "owner_differs", "amount_differs", "sold_twice"),
    *("dead_letter", "event_behind", "payment_differs", "money_differs"),
)
"""The kinds of differences between both sides; `invariants.KINDS` has those of Redis alone."""


class Finding(NamedTuple):
    """A difference and its repair: a booking or dead letter to write, or a booking to reinstate.

    `subject` is a seat, a ULID or another id within the event. `is_violation`: Redis violates an
    invariant, whatever Postgres has.
    """

    kind: str
    subject: str
    detail: str
    write: Booking | None = None
    reinstate: Booking | None = None
    letter: DeadLetter | None = None
    is_violation: bool = False


class Comparison:
    """Has all findings after `show` was called for every row of Postgres, and then `finish`."""

    def __init__(self, state: EventState, lag_ms: int) -> None:
        self.findings = [
            Finding(v.kind, v.subject, v.detail, is_violation=True) for v in check(state)
        ]
        self.in_flight: set[str] = set()
        self.bookings = tuple(state.bookings.values())
        self._state = state
        self._unreadable = unreadable(state)
        self._settled_ms = state.now_ms - lag_ms
        self._not_shown = dict(state.bookings)
        self._confirmed_for: dict[str, str] = {}

    def show(self, stored: StoredBooking) -> None:
        """Compare one booking of Postgres, and the owners of its seats."""
        ulid = self._local(stored.booking.id)
        if ulid in self._unreadable:
            return
        known = self._not_shown.pop(ulid, None)
        found = compare(ulid, known, stored) if known else iter([only_in_postgres(ulid, stored)])
        self._keep(known or stored.booking, ulid, found)
        if stored.booking.status == BookingStatus.CONFIRMED:
            self._find_second_sale(ulid, stored.booking)
        for seat in sorted(stored.sold):
            self._compare_owner(self._local(seat), ulid)

    def finish(self) -> None:
        """Compare the bookings that Postgres does not have.

        It has a hold only in its journal, and may have forgotten what Redis is about to forget.
        """
        for ulid, known in self._not_shown.items():
            if known.status != BookingStatus.PENDING and not self._is_to_forget(known):
                detail = f"{known.status} in Redis, and Postgres has no such booking"
                self._keep(known, ulid, iter([Finding("missing_in_postgres", ulid, detail, known)]))

    def _keep(self, newest: Booking, ulid: str, found: Iterator[Finding]) -> None:
        findings = list(found)
        if findings and self._unsettled(newest):
            self.in_flight.add(ulid)
        else:
            self.findings += findings

    def _find_second_sale(self, ulid: str, booking: Booking) -> None:
        for seat in booking.seats:
            other = self._confirmed_for.setdefault(seat, ulid)
            if other != ulid:
                first, second = sorted((other, ulid))
                detail = f"confirmed in Postgres for {first} and {second}"
                self.findings.append(Finding("sold_twice", self._local(seat), detail))

    def _compare_owner(self, seat: str, ulid: str) -> None:
        found = self._state.seats.get(seat)
        if found is None or found.letter != "s" or found.booking == ulid:
            return
        owners = [self._state.bookings.get(owner) for owner in (ulid, found.booking)]
        if not any(owner and self._unsettled(owner) for owner in owners):
            detail = f"sold to {found.booking} in Redis, to {ulid} in Postgres"
            self.findings.append(Finding("owner_differs", seat, detail))

    def _is_to_forget(self, booking: Booking) -> bool:
        ended_ms = booking.ended_at_ms or 0
        return is_unpaid(booking) and ended_ms + UNPAID_TTL_MS <= self._state.now_ms

    def _unsettled(self, booking: Booking) -> bool:
        times = (booking.held_at_ms, booking.confirmed_at_ms, booking.ended_at_ms)
        return max(at_ms or 0 for at_ms in times) > self._settled_ms

    def _local(self, full_id: str) -> str:
        return full_id[len(self._state.event.id) + 1 :]


def only_in_postgres(ulid: str, stored: StoredBooking) -> Finding:
    """A booking that is confirmed in Postgres and missing in Redis."""
    booking = stored.booking
    detail = f"confirmed in Postgres for {booking.customer_id}, and Redis has no such booking"
    return Finding("missing_in_redis", ulid, detail, reinstate=booking)


def compare(ulid: str, known: Booking, stored: StoredBooking) -> Iterator[Finding]:
    """The differences between a booking in Redis (`known`) and in Postgres."""
    booking = stored.booking
    if known.status != booking.status:
        yield _status_difference(ulid, known, booking)
    elif _claim(known) != _claim(booking):
        detail = f"Redis has {_claim(known)}, Postgres {_claim(booking)}"
        yield Finding("owner_differs", ulid, detail)
    elif known.status == BookingStatus.CONFIRMED and stored.sold != set(booking.seats):
        detail = f"owns {_listed(stored.sold)} in Postgres instead of {_listed(booking.seats)}"
        if stored.sold < set(booking.seats):
            yield Finding("missing_in_postgres", ulid, detail, known)
        else:
            yield Finding("owner_differs", ulid, detail)
    elif known.status != BookingStatus.CONFIRMED and stored.sold:
        yield Finding("status_differs", ulid, f"{known.status}, and owns seats in Postgres", known)
    if (known.amount_minor, known.currency) != (booking.amount_minor, booking.currency):
        detail = f"{_money(known)} in Redis, {_money(booking)} in Postgres"
        yield Finding("amount_differs", ulid, detail)
    yield from _payment_differences(ulid, known, stored)


def _payment_differences(ulid: str, known: Booking, stored: StoredBooking) -> Iterator[Finding]:
    """Payments of Redis that Postgres lacks or has otherwise.

    What Postgres has alone came when Redis did not know the booking, and is owed there.
    """
    persisted = {payment.id: payment for payment in stored.booking.payments}
    for payment in payments_of(known):
        stands = persisted.get(payment.id)
        if stands is None:
            detail = f"payment {payment.id} of {_paid(payment)} is not in Postgres"
            yield Finding("missing_in_postgres", ulid, detail, known)
        elif payment.owed_minor and payment.id not in stored.obligations:
            detail = f"the refund of {payment.owed_minor} of {payment.id} is not in Postgres"
            yield Finding("missing_in_postgres", ulid, detail, known)
        elif payment.owed_minor and stored.obligations[payment.id] not in (
            None,
            payment.owed_minor,
        ):
            owed = f"{payment.owed_minor} in Redis, {stored.obligations[payment.id]} in Postgres"
            yield Finding("amount_differs", ulid, f"refund of {owed}")
        elif _paid(payment) != _paid(stands):
            detail = f"payment {payment.id}: {_paid(payment)} in Redis, {_paid(stands)} in Postgres"
            yield Finding("payment_differs", ulid, detail)


def _paid(payment: Payment) -> str:
    return (
        f"{payment.amount_minor} {payment.currency} {payment.outcome}, "
        f"{payment.owed_minor} owed, {payment.refunded_minor} back"
    )


def _status_difference(ulid: str, known: Booking, stored: Booking) -> Finding:
    detail = f"{known.status} in Redis, {stored.status} in Postgres"
    confirmed = BookingStatus.CONFIRMED
    if stored.status == confirmed and _AGE[known.status] < _AGE[confirmed]:
        return Finding("missing_in_redis", ulid, detail)
    if known.status == confirmed and _AGE[stored.status] < _AGE[confirmed]:
        return Finding("missing_in_postgres", ulid, detail, known)
    redis_is_later = _AGE[known.status] >= _AGE[stored.status]
    return Finding("status_differs", ulid, detail, known if redis_is_later else None)


def _claim(booking: Booking) -> str:
    """The customer and the places, which must never differ."""
    areas = [f"{area.quantity} x {area.area_id}" for area in booking.areas]
    return f"{_listed([*booking.seats, *areas])} of {booking.customer_id}"


def _listed(places: Iterable[str]) -> str:
    return ", ".join(sorted(places)) or "nothing"


def _money(booking: Booking) -> str:
    return f"{booking.amount_minor} {booking.currency}"
