"""Payment notices and refund obligations, as the API and Postgres exchange them.

A notice is the provider's message about one payment. The provider calls it an event; here an event
is a show, and nothing else.
"""

from enum import StrEnum

from msgspec import Struct

from engine.ids import CustomerId, EventId


class NoticeOutcome(StrEnum):
    """The outcome of a notice. The first two are sales; the next six are owed."""

    CONFIRMED = "confirmed"
    LATE_CONFIRMED = "late_confirmed"
    REFUND_DUE = "refund_due"
    PAID_TWICE = "paid_twice"
    AMOUNT_DIFFERS = "amount_differs"
    BOOKING_NOT_FOUND = "booking_not_found"
    BOOKING_CANCELLED = "booking_cancelled"
    TOO_MANY_PAYMENTS = "too_many_payments"
    PROCESSING = "processing"
    PAYMENT_FAILED = "payment_failed"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    IGNORED = "ignored"


class NoticeKind(StrEnum):
    """What a notice says of a payment, in the words of the standard notice."""

    SUCCEEDED = "payment.succeeded"
    PROCESSING = "payment.processing"
    FAILED = "payment.failed"
    REFUNDED = "payment.refunded"
    DISPUTED = "payment.disputed"


class UnkeptReason(StrEnum):
    """Why no record in Redis keeps a payment; also why it is owed."""

    FORGOTTEN = "booking_forgotten"
    TOO_MANY = "too_many_payments"


class Notice(Struct, frozen=True, kw_only=True):
    """One notice and its outcome. `event_id` is None if `booking_id` is not one of our ids.

    `unkept_reason`: why no record in Redis keeps its payment, so that Postgres has to.
    """

    id: str
    kind: str
    booking_id: str
    event_id: EventId | None
    outcome: NoticeOutcome
    payment_id: str | None = None
    unkept_reason: UnkeptReason | None = None
    amount_minor: int | None = None
    currency: str | None = None
    received_at_ms: int = 0
    number: int = 0


class Refund(Struct, frozen=True, kw_only=True):
    """A refund obligation. Once settled: when, by which account, and its reference.

    None: nothing is known of the booking, or its id is not of our form.
    """

    id: str
    payment_id: str
    booking_id: str
    event_id: EventId | None
    customer_id: CustomerId | None
    amount_minor: int
    currency: str
    reason: str
    due_at_ms: int
    settled_at_ms: int | None = None
    settled_by: str | None = None
    reference: str | None = None
