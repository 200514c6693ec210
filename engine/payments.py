"""Payments of a booking: which bought its places, which is owed, and whether every cent is either.

The scripts decide (`lua/lib/payments.lua`); this is what Python needs of the same rules.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from engine.models import Booking, BookingStatus, Payment, PaymentOutcome, PaymentSource

BUYS = (PaymentOutcome.CONFIRMED, PaymentOutcome.LATE_CONFIRMED)
OPEN = (
    PaymentOutcome.PROCESSING,
    PaymentOutcome.PAYMENT_FAILED,
    PaymentOutcome.REFUNDED,
    PaymentOutcome.DISPUTED,
)
"""Nothing was taken by these, as far as their notices have arrived."""

UNPAID_TTL_MS = 3_600_000
"""The longest time that Redis keeps a booking that ended unpaid (`lua/lib/bookings.lua`)."""

_SOLD = (BookingStatus.CONFIRMED, BookingStatus.CANCELLED)


def payments_of(booking: Booking) -> tuple[Payment, ...]:
    """Its payments; of a booking of an earlier release, what its record says of the one it had."""
    is_sold = booking.status in _SOLD
    if booking.payments or not (is_sold or booking.refund_reason or booking.refund_minor):
        return booking.payments
    return (payment_said(booking, ""),)


def payment_said(booking: Booking, said: str) -> Payment:
    """The one payment that a record without a list says of itself: its source and id in `said`."""
    source, _, payment_id = said.partition(" ")
    outcome = PaymentOutcome.LATE_CONFIRMED if booking.late else PaymentOutcome.CONFIRMED
    return Payment(
        id=payment_id or f"{PaymentSource.UNCHECKED}:{booking.id.rpartition(':')[2]}",
        amount_minor=max(booking.amount_minor, booking.refund_minor),
        currency=booking.currency,
        source=PaymentSource(source) if source else PaymentSource.UNCHECKED,
        outcome=outcome if booking.status in _SOLD else PaymentOutcome.REFUND_DUE,
        at_ms=booking.confirmed_at_ms or booking.ended_at_ms or 0,
        owed_minor=booking.refund_minor,
        reason=booking.refund_reason,
    )


def is_unpaid(booking: Booking) -> bool:
    """Whether the booking ended without any payment."""
    ended = booking.status in (BookingStatus.RELEASED, BookingStatus.EXPIRED)
    return ended and not payments_of(booking)


def kept_ms(booking: Booking, ended_ttl_ms: int) -> int:
    """How long Redis keeps the record of an ended booking after its end, in ms."""
    return min(ended_ttl_ms, UNPAID_TTL_MS) if is_unpaid(booking) else ended_ttl_ms


def is_processing(booking: Booking) -> bool:
    """Whether a payment is on its way that takes days."""
    if not booking.payments or booking.status != BookingStatus.PENDING:
        return False
    return any(payment.outcome == PaymentOutcome.PROCESSING for payment in booking.payments)


def owing(booking: Booking, reason: str, bought: PaymentOutcome | None = None) -> Booking:
    """The booking with the payments that bought its places owed; `bought` is their outcome then."""
    payments = (
        _owed(payment, reason, bought or payment.outcome)
        if payment.outcome in BUYS and payment.reason is None
        else payment
        for payment in payments_of(booking)
    )
    return with_payments(booking, payments, reason)


def with_payments(booking: Booking, payments: Iterable[Payment], reason: str | None) -> Booking:
    """The booking with these payments, and what is owed of them in its own currency."""
    listed = tuple(payments)
    owed_minor = sum(p.owed_minor for p in listed if p.currency == booking.currency)
    return replace(booking, payments=listed, refund_minor=owed_minor, refund_reason=reason)


def merged(known: Booking, claim: Booking) -> Booking:
    """The booking with the payments besides that another record of it has: those bought nothing."""
    ids = {payment.id for payment in payments_of(known)}
    others = [payment for payment in payments_of(claim) if payment.id not in ids]
    if not others:
        return known
    has_places = known.status == BookingStatus.CONFIRMED
    late = PaymentOutcome.PAID_TWICE if has_places else PaymentOutcome.REFUND_DUE
    added = [
        _owed(payment, late, late) if payment.outcome in BUYS and not payment.reason else payment
        for payment in others
    ]
    reason = known.refund_reason or next((p.reason for p in added if p.reason), None)
    return with_payments(known, (*payments_of(known), *added), reason)


def _owed(payment: Payment, reason: str, outcome: PaymentOutcome) -> Payment:
    owed_minor = payment.amount_minor - payment.refunded_minor
    return replace(payment, outcome=outcome, owed_minor=owed_minor, reason=reason)


def faults(booking: Booking) -> Iterator[str]:
    """Each payment of which a cent is neither for the places, nor owed, nor back."""
    payments = payments_of(booking)
    for payment in payments:
        if payment.outcome in OPEN:
            continue
        left_minor = payment.amount_minor - payment.refunded_minor
        is_kept = payment.outcome in BUYS and booking.status == BookingStatus.CONFIRMED
        if payment.owed_minor != (0 if is_kept else left_minor):
            yield (
                f"{payment.outcome} by payment {payment.id}: of {left_minor} {payment.currency} "
                f"{payment.owed_minor} are owed, and the booking is {booking.status}"
            )
    yield from _sale_faults(booking, payments)
    owed_minor = sum(p.owed_minor for p in payments if p.currency == booking.currency)
    if owed_minor != booking.refund_minor:
        yield f"its payments owe {owed_minor}, the booking says {booking.refund_minor}"


def _sale_faults(booking: Booking, payments: Iterable[Payment]) -> Iterator[str]:
    """A sale has one payment, of what it costs."""
    if booking.status != BookingStatus.CONFIRMED:
        return
    paid = [payment for payment in payments if payment.outcome in BUYS]
    if [(p.amount_minor, p.currency) for p in paid] != [(booking.amount_minor, booking.currency)]:
        told = ", ".join(f"{p.amount_minor} {p.currency} by {p.id}" for p in paid) or "nothing"
        yield f"sold for {booking.amount_minor} {booking.currency}, and paid {told}"
