"""What payments need of Postgres; `persistence` fulfils it. Every method raises Unavailable."""

from typing import Protocol

from engine.ids import EventId
from engine.ports.payments import Notice, NoticeOutcome, Refund


class PaymentStore(Protocol):
    """What the provider said, and what is to be paid back."""

    async def record_notice(self, notice: Notice) -> None:
        """Keep a notice once, by its id and booking; owe what no record in Redis keeps."""

    async def find_booking(self, payment_id: str) -> str | None:
        """The booking that a payment was for, if Postgres has it."""

    async def list_notices(
        self, event: EventId, outcome: NoticeOutcome | None, below: int | None, limit: int
    ) -> list[Notice]:
        """The notices of an event, the newest first, of numbers under `below`."""

    async def list_refunds(
        self, event: EventId, settled: bool | None, after: tuple[int, str] | None, limit: int
    ) -> list[Refund]:
        """The refund obligations of an event, the oldest first, after (due_at_ms, id)."""

    async def find_refunds(self, refund_or_booking: str) -> list[Refund]:
        """The obligation of this id, or all those of a booking."""

    async def settle_refund(self, refund: Refund, settled_by: str, reference: str | None) -> Refund:
        """Mark an obligation settled, once."""
