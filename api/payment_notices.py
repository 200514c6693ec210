"""Notices of the payment provider: verified, applied, recorded, and listed for the organiser.

A notice is applied first, in Redis alone. A confirmation or a refund obligation is then in the
journal, so the response is 200 even while Postgres is down, and recording is best effort. For any
other notice about money its record is the only trace: while Postgres is down the response is 503,
and the provider retries.
"""

import asyncio
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.events import owned_event
from api.http.calls import Call
from api.http.decoding import decode_body
from api.http.paging import number_of
from api.http.payloads import NoQuery, PageQuery, View, encode
from api.http.problems import Problem, invalid
from api.http.responses import Response
from api.signatures import HEADER
from engine import Unavailable, ids, logs
from engine.errors import (
    AmountDiffers,
    BookingCancelled,
    BookingNotFound,
    EventNotFound,
    RefundDue,
)
from engine.ids import BookingId, EventId, InvalidId
from engine.metrics import metrics
from engine.ports.payments import Notice, NoticeOutcome
from engine.timestamps import rfc3339

SUCCEEDED, FAILED = "payment.succeeded", "payment.failed"
RECORD_TIMEOUT_S = 5.0
BEST_EFFORT_TIMEOUT_S = 0.5
"""Timeout of a record that the response does not depend on."""

_IN_JOURNAL = (NoticeOutcome.CONFIRMED, NoticeOutcome.REFUND_DUE)
_log = logs.get("payments")

NoticeId = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+$(?!\n)")]
BookingText = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[ -~]+$(?!\n)")]
Amount = Annotated[int, Meta(ge=0, le=10**15)]
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern=r"^[A-Za-z]{3}$")]


class Payment(Struct, frozen=True, kw_only=True, rename="camel"):
    """The payment of a notice. The format is the provider's, so unknown fields are ignored."""

    booking_id: BookingText
    amount_minor: Amount | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET


class Envelope(Struct, frozen=True, kw_only=True):
    """The outer object of every notice."""

    id: NoticeId
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    data: msgspec.Raw = msgspec.Raw(b"null")


class NoticeBody(Struct, frozen=True, kw_only=True):
    """A notice: `payment.succeeded` or `payment.failed`; any other type is ignored."""

    id: NoticeId
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    data: Payment


class NoticeTaken(View, frozen=True):
    """The outcome of a notice."""

    outcome: NoticeOutcome


class NoticeView(View, frozen=True):
    """A recorded notice."""

    id: str
    type: str
    booking_id: str
    outcome: NoticeOutcome
    received_at: str
    amount_minor: int | None = None
    currency: str | None = None


class NoticeList(Struct, frozen=True):
    """One page of notices; `next` is the cursor of the next page, or null."""

    data: list[NoticeView]
    next: str | None


class NoticesQuery(PageQuery, frozen=True):
    """Which notices of an event."""

    outcome: (
        Annotated[NoticeOutcome, Meta(description="Only notices with this outcome.")] | UnsetType
    ) = UNSET


_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_payment = msgspec.json.Decoder(Payment).decode


async def receive_notice(call: Call[NoQuery, bytes]) -> Response:
    """Receive a notice of the payment provider: a booking is paid, or a payment failed.

    The signature is in `Payment-Signature`. Duplicate notices, in any order, have one effect. The
    response is 200 with the outcome, or 503 to make the provider retry. A failed payment changes
    nothing: the customer can pay again until the deadline.
    """
    call.services.payment_signatures.check(call.headers.get(HEADER), call.body)
    envelope: Envelope = decode_body(call.body, _decode_envelope)
    outcome = NoticeOutcome.IGNORED
    if envelope.type in (SUCCEEDED, FAILED):
        payment = _payment_of(envelope)
        outcome = NoticeOutcome.PAYMENT_FAILED
        if envelope.type == SUCCEEDED:
            outcome = await _confirm(call, payment)
        await _record(call, _notice(envelope, payment, outcome))
    metrics.payment_notices.labels(outcome).inc()
    return Response(encode(NoticeTaken(outcome=outcome)))


async def list_notices(call: Call[NoticesQuery, None]) -> Response:
    """The payment provider's notices about an event's bookings, newest first.

    The outcomes of payments that sold nothing are `amount_differs`, `booking_not_found` and
    `booking_cancelled`.
    """
    query = call.query
    await owned_event(call, call.event_id)
    outcome = None if query.outcome is UNSET else query.outcome
    found = await call.services.stores.payments.list_notices(
        call.event_id, outcome, number_of(query.cursor), query.limit + 1
    )
    more = len(found) > query.limit
    views = [_view(notice) for notice in found[: query.limit]]
    return Response(encode(NoticeList(views, str(found[query.limit - 1].number) if more else None)))


def _payment_of(envelope: Envelope) -> Payment:
    """The payment of a notice. Raises the problem `invalid`."""
    try:
        payment: Payment = decode_body(bytes(envelope.data), _decode_payment)
    except Problem as problem:
        field = problem.extras.get("field")
        raise invalid(f"data.{field}" if field else "data", problem.detail) from problem
    return payment


async def _confirm(call: Call[NoQuery, bytes], payment: Payment) -> NoticeOutcome:
    amount_minor = None if payment.amount_minor is UNSET else payment.amount_minor
    currency = "" if payment.currency is UNSET else payment.currency.upper()
    try:
        ids.split_booking(payment.booking_id)
        await call.bookings.confirm_booking(
            BookingId(payment.booking_id), None, amount_minor=amount_minor, currency=currency
        )
    except RefundDue:
        return NoticeOutcome.REFUND_DUE
    except AmountDiffers:
        return NoticeOutcome.AMOUNT_DIFFERS
    except BookingCancelled:
        return NoticeOutcome.BOOKING_CANCELLED
    except (InvalidId, BookingNotFound, EventNotFound):
        return NoticeOutcome.BOOKING_NOT_FOUND
    return NoticeOutcome.CONFIRMED


async def _record(call: Call[NoQuery, bytes], notice: Notice) -> None:
    """Record a notice. Raises Unavailable if that fails for money that has no other trace."""
    required = notice.outcome not in (*_IN_JOURNAL, NoticeOutcome.PAYMENT_FAILED)
    if required:
        _log.warning(
            "payment_sold_nothing",
            notice_id=notice.id,
            booking_id=notice.booking_id,
            outcome=notice.outcome,
        )
    try:
        async with asyncio.timeout(RECORD_TIMEOUT_S if required else BEST_EFFORT_TIMEOUT_S):
            await call.services.stores.payments.record_notice(notice)
    except (TimeoutError, Unavailable) as error:
        if required:
            raise Unavailable("the notice could not be recorded") from error
        _log.warning("notice_not_recorded", notice_id=notice.id, outcome=notice.outcome)


def _notice(envelope: Envelope, payment: Payment, outcome: NoticeOutcome) -> Notice:
    return Notice(
        id=envelope.id,
        kind=envelope.type,
        booking_id=payment.booking_id,
        event_id=_event_of(payment.booking_id),
        outcome=outcome,
        amount_minor=None if payment.amount_minor is UNSET else payment.amount_minor,
        currency=None if payment.currency is UNSET else payment.currency.upper(),
    )


def _event_of(booking_id: str) -> EventId | None:
    try:
        return ids.split_booking(booking_id)[0]
    except InvalidId:
        return None


def _view(notice: Notice) -> NoticeView:
    return NoticeView(
        id=notice.id,
        type=notice.kind,
        booking_id=notice.booking_id,
        outcome=notice.outcome,
        received_at=rfc3339(notice.received_at_ms),
        amount_minor=notice.amount_minor,
        currency=notice.currency,
    )
