"""The payments of a booking in the model: a list that each report changes.

Each function gives the list as it must be afterwards, or the refusal that a payment known before
must get again. Whether places are free is not asked here.
"""

from typing import NamedTuple

from msgspec.structs import replace

from engine import errors as no
from engine.models import (
    Booking,
    BookingStatus,
    Payment,
    PaymentOutcome,
    PaymentReport,
    PaymentSource,
)

Is = PaymentOutcome
BOUGHT = {Is.CONFIRMED, Is.LATE_CONFIRMED}
UNDECIDED = {Is.PROCESSING, Is.PAYMENT_FAILED, Is.REFUNDED, Is.DISPUTED}
WORDS = {PaymentSource.UNCHECKED, PaymentSource.FREE}
KEPT_MAX = 50


class Recognised(NamedTuple):
    """A reported payment and its entry, if any; `verifies`: the report checks an unchecked one."""

    payment: Payment
    known: Payment | None
    verifies: bool = False


def recognise(booking: Booking, report: PaymentReport, now_ms: int) -> Recognised:
    """Find the payment that a report is about."""
    payment = _payment(booking, report, now_ms)
    for one in booking.payments:
        if payment.id in (one.id, one.provider_id):
            return Recognised(payment, one)
    judged = [p for p in booking.payments if p.outcome in BOUGHT or p.outcome is Is.REFUND_DUE]
    if report.source in WORDS:
        return Recognised(payment, judged[-1] if judged else None)
    same = [
        p
        for p in judged
        if p.source is PaymentSource.UNCHECKED
        and (p.amount_minor, p.currency) == (payment.amount_minor, payment.currency)
    ]
    return Recognised(payment, same[-1] if same else None, bool(same))


def _payment(booking: Booking, report: PaymentReport, now_ms: int) -> Payment:
    amount = booking.amount_minor if report.amount_minor is None else report.amount_minor
    currency = report.currency or booking.currency
    unnamed = f"{report.source}:{booking.id.partition(':')[2]}"
    if report.source is PaymentSource.PROVIDER:
        unnamed += f":{amount}{currency}"
    return Payment(
        id=report.id or unnamed,
        amount_minor=amount,
        currency=currency,
        source=report.source,
        outcome=Is.CONFIRMED,
        at_ms=now_ms,
        note=report.note or None,
    )


def told_again(booking: Booking, known: Payment) -> Booking:
    """The reply to a report of a decided payment. Raises its refusal."""
    if known.outcome is Is.REFUND_DUE:
        raise no.RefundDue(str(known.owed_minor), str(known.reason))
    if known.outcome is Is.PAID_TWICE:
        raise no.PaidTwice(str(known.amount_minor), known.currency)
    if known.outcome is Is.AMOUNT_DIFFERS:
        raise no.AmountDiffers(str(booking.amount_minor), booking.currency)
    if booking.status is not BookingStatus.CONFIRMED:
        raise no.BookingCancelled
    return booking


def buys_nothing(booking: Booking, payment: Payment) -> PaymentOutcome | None:
    """Why the payment cannot buy the places, free or not; None if it can."""
    if booking.status is BookingStatus.CONFIRMED:
        return Is.PAID_TWICE
    if booking.status is BookingStatus.CANCELLED:
        return Is.BOOKING_CANCELLED
    same = (payment.amount_minor, payment.currency) == (booking.amount_minor, booking.currency)
    return None if same else Is.AMOUNT_DIFFERS


def decided(
    booking: Booking, found: Recognised, outcome: PaymentOutcome, **over: object
) -> Booking:
    """The booking with the payment on its list; refunds and disputes of an older entry stay."""
    new = replace(found.payment, outcome=outcome, **over)
    if found.known is None:
        return replace(booking, payments=(*booking.payments, new))
    kept = {name: getattr(found.known, name) for name in ("refunded_minor", "disputed_at_ms")}
    return swapped(booking, found.known, replace(new, **kept))


def swapped(booking: Booking, old: Payment, new: Payment) -> Booking:
    """The booking with one payment in place of another."""
    return replace(booking, payments=tuple(new if p is old else p for p in booking.payments))


def owed(booking: Booking, which: set[str], reason: str) -> Booking:
    """The booking with what is not paid back of these payments owed."""
    payments = tuple(
        replace(p, owed_minor=max(0, p.amount_minor - p.refunded_minor), reason=reason)
        if p.id in which
        else p
        for p in booking.payments
    )
    total = sum(p.owed_minor for p in payments if p.currency == booking.currency)
    return replace(booking, payments=payments, refund_minor=total, refund_reason=reason)


def given_back(booking: Booking, reason: str) -> Booking:
    """The booking without places: the payments that bought them are owed."""
    which = {p.id for p in booking.payments if p.outcome in BOUGHT and not p.owed_minor}
    booking = owed(booking, which, reason)
    return booking if booking.amount_minor else replace(booking, refund_reason=None)
