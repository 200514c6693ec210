"""Payment notices and refund obligations, as the API and Postgres exchange them.

A notice is the provider's message about one payment. The provider calls it an event; here an event
is a show, and nothing else.
"""

from enum import StrEnum

from msgspec import Struct

from engine.ids import BookingId, CustomerId, EventId


class NoticeOutcome(StrEnum):
    """The outcome of a notice. Only `confirmed` is a sale."""

    CONFIRMED = "confirmed"
    REFUND_DUE = "refund_due"
    AMOUNT_DIFFERS = "amount_differs"
    BOOKING_NOT_FOUND = "booking_not_found"
    BOOKING_CANCELLED = "booking_cancelled"
    PAYMENT_FAILED = "payment_failed"
    IGNORED = "ignored"


class Notice(Struct, frozen=True, kw_only=True):
    """One notice and its outcome. `event_id` is None if `booking_id` is not one of our ids."""

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
    """A refund obligation. Once settled: when, by which account, and its reference."""

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
