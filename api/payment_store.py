"""What payments need of Postgres; `persistence` fulfils it. Every method raises Unavailable."""

from typing import Protocol

from engine.ids import BookingId, EventId
from engine.ports.payments import Notice, NoticeOutcome, Refund


class PaymentStore(Protocol):
    """What the provider said, and what is to be paid back."""

    async def record_notice(self, notice: Notice) -> None:
        """Keep a notice once, by its id; for a booking long gone, owe what was paid."""

    async def list_notices(
        self, event: EventId, outcome: NoticeOutcome | None, below: int | None, limit: int
    ) -> list[Notice]:
        """The notices of an event, the newest first, of numbers under `below`."""

    async def list_refunds(
        self, event: EventId, settled: bool | None, after: tuple[int, str] | None, limit: int
    ) -> list[Refund]:
        """The refund obligations of an event, the oldest first, after (due_at_ms, booking)."""

    async def settle_refund(
        self, booking: BookingId, settled_by: str, reference: str | None
    ) -> Refund | None:
        """Mark an obligation settled, once; None: nothing is owed for this booking."""
