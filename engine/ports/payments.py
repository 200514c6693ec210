"""What the payment provider told us, and what is to be paid back, as Postgres keeps it.

A notice is the provider's word on one payment ("event" is a show here, and nothing else).
"""

from enum import StrEnum

from msgspec import Struct

from engine.ids import BookingId, CustomerId, EventId


class NoticeOutcome(StrEnum):
    """What came of a notice. Only `confirmed` sold anything."""

    CONFIRMED = "confirmed"
    REFUND_DUE = "refund_due"
    AMOUNT_DIFFERS = "amount_differs"
    BOOKING_NOT_FOUND = "booking_not_found"
    BOOKING_CANCELLED = "booking_cancelled"
    PAYMENT_FAILED = "payment_failed"
    IGNORED = "ignored"


class Notice(Struct, frozen=True, kw_only=True):
    """One notice and its outcome. `event_id` None: `booking_id` is not of our form."""

    id: str
    kind: str
    booking_id: str
    event_id: EventId | None
    outcome: NoticeOutcome
    amount_minor: int | None = None
    currency: str | None = None
    received_at_ms: int = 0
    number: int = 0


class Refund(Struct, frozen=True, kw_only=True):
    """A refund obligation; once settled: when, by whom, and what they call it."""

    booking_id: BookingId
    event_id: EventId
    customer_id: CustomerId
    amount_minor: int
    currency: str
    reason: str
    due_at_ms: int
    settled_at_ms: int | None = None
    settled_by: str | None = None
    reference: str | None = None
