"""The rules of the box office in plain Python: what the scripts in `lua/` are held against.

It keeps as little as there is to know: the layout, what is blocked, the bookings, when their
records go, and which requests were answered. Who owns a seat, what is left of an area, the
counts, the map and the lists are not kept but worked out, so that they cannot be forgotten
here. A call answers a booking or raises the refusal that the engine must raise, ids without
their event. Time is `now_ms`, and passes only when it is told to.
"""

from dataclasses import dataclass, field

from msgspec.structs import replace

from engine import errors as no
from engine.ids import BookingId, CustomerId, EventId
from engine.models import (
    Booking,
    BookingStatus,
    Expired,
    PaymentReport,
    PaymentSource,
    Selection,
)
from tests.model import payment_model as paid
from tests.model.event_model import EventModel
from tests.model.kept import Answered, Noted, Timer

PENDING, CONFIRMED, RELEASED, EXPIRED, CANCELLED = BookingStatus
NOT_PENDING: dict[BookingStatus, type[no.Refused]] = {
    CONFIRMED: no.AlreadyConfirmed,
    RELEASED: no.BookingReleased,
    EXPIRED: no.BookingExpired,
    CANCELLED: no.BookingCancelled,
}
EXPIRE_MAX = 256
UNPAID_TTL_MS = 3_600_000


@dataclass
class BoxOfficeModel:
    """One event. `noted` has what the journal must have got since it was last emptied."""

    event_id: EventId
    event: EventModel
    now_ms: int
    bookings: dict[str, Booking] = field(default_factory=dict)
    forget_at_ms: dict[str, int] = field(default_factory=dict)
    timers: dict[str, Timer] = field(default_factory=dict)
    requests: dict[tuple[str, str], Answered] = field(default_factory=dict)
    noted: list[Noted] = field(default_factory=list)

    # What follows from the bookings.

    def owner_of(self, seat: str) -> str | None:
        """The booking that holds the seat or has bought it. Never two: promise G1."""
        owners = [ulid for ulid, booking in self.active() if seat in self.local_seats(booking)]
        assert len(owners) <= 1
        return owners[0] if owners else None

    def active(self) -> list[tuple[str, Booking]]:
        """Pending and confirmed bookings: those that claim places."""
        return [(u, b) for u, b in self.bookings.items() if b.status in (PENDING, CONFIRMED)]

    def is_overdue(self, ulid: str) -> bool:
        """Pending past its deadline. At the deadline itself it is over."""
        booking = self.bookings[ulid]
        return booking.status is PENDING and booking.expires_at_ms <= self.now_ms

    def area_places(self, area: str, status: BookingStatus, *, overdue: bool = False) -> int:
        """Places of a standing area that bookings of this status have."""
        return sum(
            places.quantity
            for ulid, booking in self.active()
            if booking.status is status and (self.is_overdue(ulid) or not overdue)
            for places in booking.areas
            if places.area_id == area
        )

    def count(self, status: BookingStatus) -> int:
        """Places that bookings of this status have, an overdue hold's too."""
        return sum(b.place_count for _, b in self.active() if b.status is status)

    def area_free(self, area: str) -> int:
        """What is left of an area."""
        taken = self.area_places(area, PENDING) + self.area_places(area, CONFIRMED)
        return self.event.areas[area].capacity - taken

    def local_seats(self, booking: Booking) -> list[str]:
        """Its seats without their event."""
        return [seat.removeprefix(f"{self.event_id}:") for seat in booking.seats]

    def pass_time(self, ms: int) -> None:
        """Time goes on. What has a TTL in Redis goes by itself; nothing else happens."""
        self.now_ms += ms
        self.timers = {u: t for u, t in self.timers.items() if t.until_ms > self.now_ms}
        self.requests = {r: a for r, a in self.requests.items() if a.until_ms > self.now_ms}

    def load_event(self, event: EventModel, *, replace: bool) -> None:
        """Another event in its place, while this one has no booking."""
        if not replace:
            raise no.EventExists
        held, sold = self.count(PENDING), self.count(CONFIRMED)
        if held + sold:
            raise no.EventInUse(str(held), str(sold))
        self.event = event

    # What customers do.

    def hold_seats(self, ulid: str, selection: Selection, request_id: str | None) -> Booking:
        """All places of the selection or none; the same request has the same outcome."""
        seats = [seat.removeprefix(f"{self.event_id}:") for seat in selection.seats]
        areas = {str(area.area_id): area.quantity for area in selection.areas}
        wanted = frozenset([*((seat, 0) for seat in seats), *areas.items()])
        before = self.requests.get((selection.customer_id, request_id or ""))
        if before and before.wanted != wanted:
            raise no.RequestReused
        if before:
            return self.bookings[before.ulid]
        if closed := self.event.closed(self.now_ms):
            raise no.SalesClosed(closed)
        booking = Booking(
            id=BookingId(f"{self.event_id}:{ulid}"),
            event_id=self.event_id,
            customer_id=selection.customer_id,
            status=PENDING,
            seats=selection.seats,
            areas=selection.areas,
            amount_minor=0,
            currency=self.event.layout.currency,
            held_at_ms=self.now_ms,
            expires_at_ms=self.now_ms + self.event.terms.hold_ttl_ms,
        )
        if booking.place_count > self.event.terms.seats_max:
            raise no.TooManySeats(str(self.event.terms.seats_max))
        self._expire(self._may_have(ulid, booking))
        self.timers[ulid] = Timer(self.event.terms.hold_ttl_ms, booking.expires_at_ms)
        if request_id is not None:
            until_ms = self.now_ms + min(self.event.terms.ended_ttl_ms, UNPAID_TTL_MS)
            self.requests[selection.customer_id, request_id] = Answered(wanted, ulid, until_ms)
        return self._put(
            "seats_held", replace(booking, amount_minor=self.event.price(seats, areas))
        )

    def extend_booking(self, ulid: str, customer: CustomerId | None) -> Booking:
        """One TTL from now, at most `hold_max_ms` after the hold, and never to an earlier end."""
        booking = self._find(ulid, customer)
        if refusal := NOT_PENDING.get(booking.status):
            raise refusal
        if self.is_overdue(ulid):
            raise no.BookingExpired
        latest_ms = booking.held_at_ms + self.event.hold_max_ms
        expires_at_ms = min(self.now_ms + self.event.terms.hold_ttl_ms, latest_ms)
        if expires_at_ms <= booking.expires_at_ms:
            raise no.ExtendLimit(str(booking.expires_at_ms))
        self.timers[ulid] = Timer(expires_at_ms - self.now_ms, expires_at_ms)
        return self._put("booking_extended", replace(booking, expires_at_ms=expires_at_ms))

    def release_booking(self, ulid: str, customer: CustomerId | None) -> Booking:
        """The customer gives up, even before the sweep has released the hold."""
        booking = self._find(ulid, customer)
        if booking.status is RELEASED:
            return booking
        if refusal := NOT_PENDING.get(booking.status):
            raise refusal
        self.timers.pop(ulid, None)
        return self._end("booking_released", booking, RELEASED)

    def confirm_booking(
        self, ulid: str, customer: CustomerId | None, report: PaymentReport
    ) -> Booking:
        """Paid: sold. Late: the same places if they are free. What buys nothing is owed, once."""
        booking = self._find(ulid, customer)
        if report.source is PaymentSource.FREE and booking.amount_minor:
            raise no.PaymentByProvider
        found = paid.recognise(booking, report, self.now_ms)
        known = found.known
        is_decided = known is not None and known.outcome not in paid.UNDECIDED
        if known and is_decided and not found.verifies:
            return paid.told_again(booking, known)
        if known and known.refunded_minor >= max(found.payment.amount_minor, 1):
            raise no.PaymentRefunded
        if known and found.verifies:
            checked = replace(
                known,
                source=report.source,
                provider_id=found.payment.id,
                note=report.note or None,
            )
            booking = self._put("payment_verified", paid.swapped(booking, known, checked))
            return paid.told_again(booking, checked)
        if outcome := paid.buys_nothing(booking, found.payment):
            return self._owe(ulid, paid.decided(booking, found, outcome), found, outcome)
        in_time = booking.status is PENDING and not self.is_overdue(ulid)
        if not in_time:
            booking = self._take_late(ulid, booking, found)
        self.timers.pop(ulid, None)
        outcome = paid.Is.CONFIRMED if in_time else paid.Is.LATE_CONFIRMED
        sold = replace(
            paid.decided(booking, found, outcome),
            status=CONFIRMED,
            confirmed_at_ms=self.now_ms,
            late=booking.late or not in_time,
        )
        return self._put("booking_confirmed", sold)

    def _owe(self, ulid: str, booking: Booking, found: paid.Recognised, reason: str) -> Booking:
        payment_id = found.known.id if found.known and not found.payment.id else found.payment.id
        booking = paid.owed(booking, {payment_id}, str(reason))
        if booking.status not in (PENDING, CONFIRMED):
            self.forget_at_ms[ulid] = self.now_ms + self.event.terms.ended_ttl_ms
        self._put("refund_due", booking)
        (payment,) = [p for p in booking.payments if p.id == payment_id]
        return paid.told_again(booking, payment)

    def _take_late(self, ulid: str, booking: Booking, found: paid.Recognised) -> Booking:
        own = {ulid} if booking.status is PENDING else set()
        try:
            if self.event.terms.late_payment == "refund":
                raise no.RefundDue("late_payment")
            if 0 < self.event.terms.starts_at_ms <= self.now_ms:
                raise no.RefundDue("event_begun")
            in_the_way = self._may_have(ulid, booking)
        except no.Refused as refused:
            self._expire(own)
            reason = refused.found[0] if isinstance(refused, no.RefundDue) else refused.code
            late = paid.decided(self.bookings[ulid], found, paid.Is.REFUND_DUE)
            return self._owe(ulid, late, found, reason)
        self._expire(in_the_way | own)
        del self.forget_at_ms[ulid]
        return replace(self.bookings[ulid], ended_at_ms=None)

    def update_payment(self, ulid: str, what: str, report: PaymentReport) -> Booking:
        """It takes days, it failed, it went back, it is disputed."""
        booking = self._find(ulid, None)
        told = replace(report, amount_minor=None) if what == "refunded" else report
        found = paid.recognise(booking, told, self.now_ms)
        if what in ("refunded", "disputed") and not (report.id or found.known):
            found = found._replace(known=(booking.payments or (None,))[-1])
        changed = getattr(self, f"_{what}")(ulid, booking, found, report.amount_minor)
        if changed is None:
            return booking
        if changed.status is CANCELLED and booking.status is CONFIRMED:
            self.bookings[ulid] = replace(changed, status=CONFIRMED)
            return self._end("booking_cancelled", self.bookings[ulid], CANCELLED)
        return self._put(f"payment_{what}", changed)

    def _processing(
        self, ulid: str, booking: Booking, found: paid.Recognised, _: int | None
    ) -> Booking | None:
        in_time = booking.status is PENDING and not self.is_overdue(ulid)
        if not in_time or (found.known and found.known.outcome is not paid.Is.PAYMENT_FAILED):
            return None
        latest_ms = booking.held_at_ms + self.event.terms.payment_max_ms
        if found.known:
            failed = replace(found.known, outcome=paid.Is.PROCESSING)
            booking = paid.swapped(booking, found.known, failed)
        else:
            booking = paid.decided(booking, found, paid.Is.PROCESSING)
        return (
            self._until(ulid, booking, latest_ms) if latest_ms > booking.expires_at_ms else booking
        )

    def _failed(
        self, ulid: str, booking: Booking, found: paid.Recognised, _: int | None
    ) -> Booking | None:
        if not found.known or found.known.outcome is not paid.Is.PROCESSING:
            return None
        failed = replace(found.known, outcome=paid.Is.PAYMENT_FAILED)
        booking = paid.swapped(booking, found.known, failed)
        others = any(p.outcome is paid.Is.PROCESSING for p in booking.payments)
        soon_ms = self.now_ms + self.event.terms.hold_ttl_ms
        if booking.status is PENDING and soon_ms < booking.expires_at_ms and not others:
            return self._until(ulid, booking, soon_ms)
        return booking

    def _until(self, ulid: str, booking: Booking, expires_at_ms: int) -> Booking:
        self.timers[ulid] = Timer(expires_at_ms - self.now_ms, expires_at_ms)
        return replace(booking, expires_at_ms=expires_at_ms)

    def _refunded(
        self, ulid: str, booking: Booking, found: paid.Recognised, back: int | None
    ) -> Booking | None:
        known = found.known
        if known is None:
            amount = found.payment.amount_minor if back is None else back
            return paid.decided(
                booking, found, paid.Is.REFUNDED, amount_minor=amount, refunded_minor=amount
            )
        amount = known.amount_minor
        if known.outcome in paid.UNDECIDED:
            amount = max(amount, back or 0)
        back = amount if back is None else min(back, amount)
        if known.refunded_minor >= back:
            return None
        new = replace(known, amount_minor=amount, refunded_minor=back)
        if found.verifies:
            new = replace(new, source=PaymentSource.PROVIDER, provider_id=found.payment.id)
        if known.outcome in paid.UNDECIDED:
            new = replace(new, outcome=paid.Is.REFUNDED)
        booking = paid.swapped(booking, known, new)
        if known.owed_minor:
            less = paid.owed(booking, {known.id}, str(known.reason))
            return replace(less, refund_reason=booking.refund_reason)
        if (
            known.outcome in paid.BOUGHT
            and booking.status is CONFIRMED
            and back >= known.amount_minor
        ):
            return replace(paid.given_back(booking, "refunded"), status=CANCELLED)
        return booking

    def _disputed(
        self, ulid: str, booking: Booking, found: paid.Recognised, _: int | None
    ) -> Booking | None:
        known = found.known
        if known is None:
            return paid.decided(booking, found, paid.Is.DISPUTED, disputed_at_ms=self.now_ms)
        if known.disputed_at_ms:
            return None
        new = replace(known, disputed_at_ms=self.now_ms)
        if found.verifies:
            new = replace(new, source=PaymentSource.PROVIDER, provider_id=found.payment.id)
        return paid.swapped(booking, known, new)

    def cancel_booking(self, ulid: str, customer: CustomerId | None) -> Booking:
        """A sale is undone; what bought it is owed."""
        booking = self._find(ulid, customer)
        if booking.status is CANCELLED:
            return booking
        if booking.status is PENDING:
            raise no.NotConfirmed
        if booking.status is not CONFIRMED:
            raise NOT_PENDING[booking.status]
        until_ms = self.event.terms.cancel_until_ms
        if customer is not None and self.now_ms >= until_ms:
            raise no.CancelClosed(*([str(until_ms)] if until_ms else []))
        return self._end("booking_cancelled", paid.given_back(booking, "cancelled"), CANCELLED)

    def reinstate_booking(self, booking: Booking) -> Booking:
        """A sale that only Postgres remembers; its purchase limit was checked once."""
        ulid = booking.id.partition(":")[2]
        known = self.bookings.get(ulid)
        if known and known.status is CONFIRMED:
            return known
        if known:
            raise no.BookingKnown(known.status)
        self._expire(self._may_have(ulid, booking, limited=False))
        return self._put("booking_confirmed", booking)

    def expire_bookings(self, ulids: list[str]) -> Expired:
        """What is overdue is released: of these, or of all; what ended long ago is forgotten."""
        named = set(ulids[:EXPIRE_MAX]) & self.bookings.keys()
        due = {ulid for ulid in (named if ulids else self.bookings) if self.is_overdue(ulid)}
        gone = [ulid for ulid, at_ms in self.forget_at_ms.items() if at_ms <= self.now_ms]
        late_ms = [self.now_ms - self.bookings[ulid].expires_at_ms for ulid in due]
        self._expire(due)
        for ulid in gone:
            del self.bookings[ulid], self.forget_at_ms[ulid]
        deadlines = [b.expires_at_ms for _, b in self.active() if b.status is PENDING]
        return Expired(self.now_ms, min(deadlines, default=None), tuple(sorted(late_ms)), len(gone))

    # What they have in common.

    def _find(self, ulid: str, customer: CustomerId | None) -> Booking:
        booking = self.bookings.get(ulid)
        if booking is None or customer not in (None, booking.customer_id):
            raise no.BookingNotFound
        return booking

    def _may_have(self, ulid: str, booking: Booking, *, limited: bool = True) -> set[str]:
        """The overdue holds that are in its way. Raises what forbids it."""
        in_the_way = self._may_have_seats(booking) | self._may_have_areas(booking)
        if not limited or not self.event.terms.customer_max:
            return in_the_way
        own = {u for u, b in self.active() if b.customer_id == booking.customer_id} - {ulid}
        overdue = {u for u in own if self.is_overdue(u)}
        has = sum(self.bookings[u].place_count for u in own - overdue)
        if has + booking.place_count > self.event.terms.customer_max:
            raise no.LimitReached(str(self.event.terms.customer_max), str(has))
        return in_the_way | overdue

    def _may_have_seats(self, booking: Booking) -> set[str]:
        seats = self.local_seats(booking)
        if unknown := [seat for seat in seats if seat not in self.event.seats]:
            raise no.SeatNotFound(*unknown)
        owners = {seat: self.owner_of(seat) for seat in seats}
        stands = [seat for seat, owner in owners.items() if owner and not self.is_overdue(owner)]
        if taken := [seat for seat in seats if seat in stands or seat in self.event.blocked]:
            raise no.SeatTaken(*taken)
        return {owner for owner in owners.values() if owner}

    def _may_have_areas(self, booking: Booking) -> set[str]:
        wanted = {area.area_id: area.quantity for area in booking.areas}
        if unknown := [area for area in wanted if area not in self.event.areas]:
            raise no.AreaNotFound(*unknown)
        short = {area: count - self.area_free(area) for area, count in wanted.items()}
        short = {area: count for area, count in short.items() if count > 0}
        if full := [
            area for area in short if self.area_places(area, PENDING, overdue=True) < short[area]
        ]:
            raise no.AreaFull(*full)
        return {
            ulid
            for ulid, other in self.active()
            if self.is_overdue(ulid) and any(area.area_id in short for area in other.areas)
        }

    def _expire(self, ulids: set[str]) -> None:
        for ulid in ulids:
            self._end("booking_expired", self.bookings[ulid], EXPIRED)

    def _end(self, kind: str, booking: Booking, status: BookingStatus) -> Booking:
        ulid = booking.id.partition(":")[2]
        ended = self._put(kind, replace(booking, status=status, ended_at_ms=self.now_ms))
        self.forget_at_ms[ulid] = self.now_ms + self.kept_ms(ended)
        return ended

    def kept_ms(self, ended: Booking) -> int:
        """How long an ended booking is remembered: one without a payment for an hour at most."""
        is_unpaid = not ended.payments and ended.status is not CANCELLED
        longest_ms = UNPAID_TTL_MS if is_unpaid else self.event.terms.ended_ttl_ms
        return min(longest_ms, self.event.terms.ended_ttl_ms)

    def _put(self, kind: str, booking: Booking) -> Booking:
        self.bookings[booking.id.partition(":")[2]] = booking
        self.noted.append(Noted(kind, self.now_ms, booking))
        return booking
