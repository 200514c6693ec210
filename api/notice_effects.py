"""What a notice of a payment provider does, in whatever form it came.

The effect comes first and is in Redis alone: the payment, what came of it and what is owed are in
the record of the booking and in the journal. A notice of a sale is recorded if that can be done, so
it is answered 200 although Postgres may be away. A notice that organisers look for in their list,
or of a payment that no record in Redis keeps, is answered 503 until it is recorded: the provider
sends it again, which has no second effect.
"""

import asyncio
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from api.http.calls import Call
from engine import Unavailable, ids, logs
from engine.bookings import PaymentUpdate
from engine.errors import (
    AmountDiffers,
    BookingCancelled,
    BookingNotFound,
    EventNotFound,
    PaidTwice,
    PaymentRefunded,
    RefundDue,
    TooManyPayments,
)
from engine.ids import BookingId, EventId, InvalidId
from engine.metrics import metrics
from engine.models import PaymentReport
from engine.ports.payments import Notice, NoticeKind, NoticeOutcome, UnkeptReason

RECORD_TIMEOUT_S = 5.0
BEST_EFFORT_TIMEOUT_S = 0.5
"""How long a record may take that the answer does not depend on."""

_SPARE = (
    *(NoticeOutcome.CONFIRMED, NoticeOutcome.LATE_CONFIRMED, NoticeOutcome.REFUND_DUE),
    *(NoticeOutcome.PAYMENT_FAILED, NoticeOutcome.PROCESSING),
)
"""Recorded if it can be done: the booking or the list of refunds says the same."""
_UPDATES: dict[NoticeKind, tuple[PaymentUpdate, NoticeOutcome]] = {
    NoticeKind.PROCESSING: ("processing", NoticeOutcome.PROCESSING),
    NoticeKind.FAILED: ("failed", NoticeOutcome.PAYMENT_FAILED),
    NoticeKind.REFUNDED: ("refunded", NoticeOutcome.REFUNDED),
    NoticeKind.DISPUTED: ("disputed", NoticeOutcome.DISPUTED),
}
_IDLE = (NoticeKind.PROCESSING, NoticeKind.FAILED)
"""No money was taken: of no use where the booking is not known."""
_log = logs.get("payments")


class ProviderNotice(Struct, frozen=True, kw_only=True):
    """A notice as every provider's form of it is read."""

    id: str
    kind: NoticeKind
    booking_id: str
    payment: PaymentReport


async def take_notice(call: Call[Any, Any], notice: ProviderNotice) -> NoticeOutcome:
    """Act on a notice, record it, and tell what came of it. Raises the engine's errors."""
    unkept_reason, payment = None, notice.payment
    try:
        outcome = await _outcome(call, notice)
    except TooManyPayments as refused:
        _, amount, currency = refused.found
        payment = replace(payment, amount_minor=int(amount), currency=currency)
        outcome, unkept_reason = NoticeOutcome.TOO_MANY_PAYMENTS, UnkeptReason.TOO_MANY
    except (InvalidId, BookingNotFound, EventNotFound):
        outcome, unkept_reason = NoticeOutcome.BOOKING_NOT_FOUND, UnkeptReason.FORGOTTEN
    if unkept_reason and notice.kind in _UPDATES:
        outcome = _UPDATES[notice.kind][1]
    told = Notice(
        id=notice.id,
        kind=notice.kind,
        booking_id=notice.booking_id,
        payment_id=payment.id or None,
        event_id=_event_of(notice.booking_id),
        outcome=outcome,
        amount_minor=payment.amount_minor,
        currency=payment.currency or None,
        unkept_reason=None if notice.kind in _IDLE else unkept_reason,
    )
    await _record(call, told)
    return outcome


def count_notice(outcome: NoticeOutcome) -> None:
    """For the metrics, by what came of it."""
    metrics.payment_notices.labels(outcome).inc()


async def _outcome(call: Call[Any, Any], notice: ProviderNotice) -> NoticeOutcome:
    """What the script makes of it.

    Raises what says that no record keeps the payment: InvalidId, BookingNotFound, EventNotFound,
    TooManyPayments.
    """
    ids.split_booking(notice.booking_id)
    booking_id = BookingId(notice.booking_id)
    if update := _UPDATES.get(notice.kind):
        await call.bookings.update_payment(booking_id, update[0], notice.payment)
        return update[1]
    try:
        booking = await call.bookings.confirm_booking(booking_id, None, notice.payment)
    except (RefundDue, PaidTwice, AmountDiffers, BookingCancelled) as refused:
        return NoticeOutcome(refused.code)
    except PaymentRefunded:
        return NoticeOutcome.REFUNDED
    return NoticeOutcome.LATE_CONFIRMED if booking.late else NoticeOutcome.CONFIRMED


async def _record(call: Call[Any, Any], notice: Notice) -> None:
    """Keep it; where that has to be sure, raise Unavailable if it cannot be done."""
    sure = notice.outcome not in _SPARE
    if sure:
        _log.warning(
            "payment_sold_nothing",
            notice_id=notice.id,
            booking_id=notice.booking_id,
            outcome=notice.outcome,
        )
    try:
        async with asyncio.timeout(RECORD_TIMEOUT_S if sure else BEST_EFFORT_TIMEOUT_S):
            await call.services.stores.payments.record_notice(notice)
    except (TimeoutError, Unavailable) as error:
        if sure:
            raise Unavailable("the notice cannot be recorded") from error
        _log.warning("notice_not_recorded", notice_id=notice.id, outcome=notice.outcome)


def _event_of(booking_id: str) -> EventId | None:
    try:
        return ids.split_booking(booking_id)[0]
    except InvalidId:
        return None
