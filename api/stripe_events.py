"""Stripe's events: the same notices in Stripe's own form.

An event is about an object: a PaymentIntent, a Checkout Session, a Charge or a Dispute. The payment
is the PaymentIntent, whatever the object: two events about it are about one payment. The booking is
in `metadata.bookingId`; Stripe copies the metadata of a PaymentIntent to its Charge, not to a
Dispute, whose booking is found by the payment.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from api.http.calls import Call
from api.http.decoding import decode_body
from api.http.payloads import NoQuery, encode
from api.http.responses import Response
from api.notice_effects import ProviderNotice, count_notice, take_notice
from api.payment_notices import NoticeId, NoticeTaken
from engine.models import PaymentReport, PaymentSource
from engine.ports.payments import NoticeKind, NoticeOutcome

KINDS = {
    "payment_intent.succeeded": NoticeKind.SUCCEEDED,
    "payment_intent.processing": NoticeKind.PROCESSING,
    "payment_intent.payment_failed": NoticeKind.FAILED,
    "payment_intent.canceled": NoticeKind.FAILED,
    "checkout.session.completed": NoticeKind.SUCCEEDED,
    "checkout.session.async_payment_succeeded": NoticeKind.SUCCEEDED,
    "checkout.session.async_payment_failed": NoticeKind.FAILED,
    "checkout.session.expired": NoticeKind.FAILED,
    "charge.refunded": NoticeKind.REFUNDED,
    "charge.dispute.created": NoticeKind.DISPUTED,
}


class StripeObject(Struct, frozen=True, kw_only=True):
    """What is read of the object an event is about; the rest is Stripe's."""

    id: Annotated[str, Meta(min_length=1, max_length=255)]
    object: str
    currency: str | None = None
    metadata: dict[str, str] | None = None
    payment_intent: str | None = None
    payment_status: str | None = None
    amount: int | None = None
    amount_received: int | None = None
    amount_refunded: int | None = None
    amount_total: int | None = None


class StripeData(Struct, frozen=True):
    """The object, behind one name more."""

    object: msgspec.Raw = msgspec.Raw(b"null")


class StripeEnvelope(Struct, frozen=True):
    """What every event has around its object."""

    id: NoticeId
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    data: StripeData


class StripeDataBody(Struct, frozen=True):
    """The object, for the document."""

    object: StripeObject


class StripeEventBody(Struct, frozen=True):
    """An event of Stripe, for the document: what is read of it."""

    id: NoticeId
    type: Annotated[str, Meta(min_length=1, max_length=100)]
    data: StripeDataBody


_decode_envelope = msgspec.json.Decoder(StripeEnvelope).decode
_decode_object = msgspec.json.Decoder(StripeObject).decode


async def receive_stripe_event(call: Call[NoQuery, bytes]) -> Response:
    """Take an event of Stripe on a payment of a booking.

    Signed in `Stripe-Signature`. Events of other kinds, and those whose `metadata` names no
    booking, are ignored. Otherwise as a notice of any other provider.
    """
    call.services.stripe_signatures.check(call.headers, call.body)
    envelope: StripeEnvelope = decode_body(call.body, _decode_envelope)
    outcome = NoticeOutcome.IGNORED
    if kind := KINDS.get(envelope.type):
        told: StripeObject = decode_body(bytes(envelope.data.object), _decode_object)
        if booking_id := await _booking_of(call, kind, told):
            notice = ProviderNotice(
                id=envelope.id,
                kind=_kind_of(kind, told),
                booking_id=booking_id,
                payment=PaymentReport(
                    source=PaymentSource.PROVIDER,
                    id=payment_of(told),
                    amount_minor=_amount_of(kind, told),
                    currency=(told.currency or "").upper(),
                ),
            )
            outcome = await take_notice(call, notice)
    count_notice(outcome)
    return Response(encode(NoticeTaken(outcome=outcome)))


def payment_of(told: StripeObject) -> str:
    """The payment's id: the PaymentIntent's, or the object's own where it has none."""
    return told.payment_intent or told.id


def _kind_of(kind: NoticeKind, told: StripeObject) -> NoticeKind:
    """A completed session whose payment takes days is not paid yet."""
    is_unpaid = told.object == "checkout.session" and told.payment_status == "unpaid"
    return NoticeKind.PROCESSING if kind == NoticeKind.SUCCEEDED and is_unpaid else kind


def _amount_of(kind: NoticeKind, told: StripeObject) -> int | None:
    if told.object == "checkout.session":
        return told.amount_total
    if kind == NoticeKind.REFUNDED:
        return told.amount_refunded
    return told.amount_received if kind == NoticeKind.SUCCEEDED else told.amount


async def _booking_of(
    call: Call[NoQuery, bytes], kind: NoticeKind, told: StripeObject
) -> str | None:
    """The booking that the metadata names, or that the payment was for. None: not ours."""
    named = (told.metadata or {}).get("bookingId", "")
    if 1 <= len(named) <= 200 and named.isascii() and named.isprintable():
        return named
    if kind in (NoticeKind.REFUNDED, NoticeKind.DISPUTED):
        return await call.services.stores.payments.find_booking(payment_of(told))
    return None
