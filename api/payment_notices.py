"""The standard notice of a payment provider, and the list of notices for the organiser.

`api.notice_effects` acts on a notice; `api.stripe_events` reads Stripe's form of it.
"""

import re
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.events import check_owner
from api.http.calls import Call
from api.http.decoding import decode_body
from api.http.paging import number_of
from api.http.payloads import NoQuery, PageQuery, View, encode
from api.http.problems import Problem, invalid
from api.http.responses import Response
from api.notice_effects import ProviderNotice, count_notice, take_notice
from engine.models import PaymentReport, PaymentSource
from engine.ports.payments import Notice, NoticeKind, NoticeOutcome
from engine.timestamps import rfc3339

AMOUNT_MAX = 10**14 - 1
"""The largest amount that the scripts' JSON encodes exactly."""
_WHOLE = re.compile(r"([0-9]{1,15})(?:\.0+)?")

NoticeId = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+$(?!\n)")]
BookingText = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[ -~]+$(?!\n)")]
PaymentId = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+$(?!\n)")]
Amount = (
    Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | Annotated[str, Meta(pattern=_WHOLE.pattern)] | float
)
"""A whole number of minor units; some providers write it as a text or as 4900.0."""
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern=r"^[A-Za-z]{3}$")]


class NoticePayment(Struct, frozen=True, kw_only=True, rename="camel"):
    """The payment of a notice. The format is the provider's, so unknown fields are ignored.

    `amountMinor` of `payment.refunded` is the total that was paid back of the payment so far.
    """

    booking_id: BookingText
    payment_id: PaymentId | UnsetType = UNSET
    amount_minor: Amount | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET


class Envelope(Struct, frozen=True, kw_only=True):
    """The outer object of every notice."""

    id: NoticeId
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    data: msgspec.Raw = msgspec.Raw(b"null")


class NoticeBody(Struct, frozen=True, kw_only=True):
    """A notice.

    `payment.succeeded`, `payment.processing`, `payment.failed`, `payment.refunded` or
    `payment.disputed`; any other type is ignored.
    """

    id: NoticeId
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    data: NoticePayment


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
    payment_id: str | None = None
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


_KINDS = frozenset(NoticeKind)
_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_payment = msgspec.json.Decoder(NoticePayment).decode


async def receive_notice(call: Call[NoQuery, bytes]) -> Response:
    """Receive a notice of the payment provider about a payment of a booking.

    The signature is in `Payment-Signature`. Duplicate notices, in any order, have one effect. The
    response is 200 with the outcome, or 503 to make the provider retry. A failed payment changes
    nothing: the customer can pay again until the deadline.
    """
    call.services.payment_signatures.check(call.headers, call.body)
    envelope: Envelope = decode_body(call.body, _decode_envelope)
    outcome = NoticeOutcome.IGNORED
    if envelope.type in _KINDS:
        outcome = await take_notice(call, _notice_of(envelope))
    count_notice(outcome)
    return Response(encode(NoticeTaken(outcome=outcome)))


async def list_notices(call: Call[NoticesQuery, None]) -> Response:
    """The payment provider's notices about an event's bookings, newest first.

    The outcomes of payments that sold nothing are `paid_twice`, `amount_differs`,
    `booking_not_found`, `booking_cancelled` and `disputed`.
    """
    query = call.query
    await check_owner(call, call.event_id)
    outcome = None if query.outcome is UNSET else query.outcome
    found = await call.services.stores.payments.list_notices(
        call.event_id, outcome, number_of(query.cursor), query.limit + 1
    )
    more = len(found) > query.limit
    views = [_view(notice) for notice in found[: query.limit]]
    return Response(encode(NoticeList(views, str(found[query.limit - 1].number) if more else None)))


def _notice_of(envelope: Envelope) -> ProviderNotice:
    """A notice about a payment. Raises the problem `invalid`."""
    try:
        payment: NoticePayment = decode_body(bytes(envelope.data), _decode_payment)
    except Problem as problem:
        field = problem.extras.get("field")
        raise invalid(f"data.{field}" if field else "data", problem.detail) from problem
    return ProviderNotice(
        id=envelope.id,
        kind=NoticeKind(envelope.type),
        booking_id=payment.booking_id,
        payment=PaymentReport(
            source=PaymentSource.PROVIDER,
            id="" if payment.payment_id is UNSET else payment.payment_id,
            amount_minor=None if payment.amount_minor is UNSET else _exact(payment.amount_minor),
            currency="" if payment.currency is UNSET else payment.currency.upper(),
        ),
    )


def _exact(amount: int | float | str) -> int:
    """A whole number of minor units, however it was written. Raises the problem `invalid`."""
    whole = _WHOLE.fullmatch(amount) if isinstance(amount, str) else None
    number = int(whole[1]) if whole else amount
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or not 0 <= number <= AMOUNT_MAX:
        raise invalid("data.amountMinor", f"a whole number of minor units, 0 to {AMOUNT_MAX}")
    return number


def _view(notice: Notice) -> NoticeView:
    return NoticeView(
        id=notice.id,
        type=notice.kind,
        booking_id=notice.booking_id,
        payment_id=notice.payment_id,
        outcome=notice.outcome,
        received_at=rfc3339(notice.received_at_ms),
        amount_minor=notice.amount_minor,
        currency=notice.currency,
    )
