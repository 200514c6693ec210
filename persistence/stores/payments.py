"""Notices of the payment provider and refund obligations, for the API."""

import msgspec

from engine.errors import Unavailable
from engine.ids import BookingId, EventId
from engine.ports.payments import Notice, NoticeOutcome, Refund
from persistence.database import Connect
from persistence.sql import named_queries

QUERIES = named_queries("stores/payments.sql")


class PostgresPayments:
    """Implements `api.stores.PaymentStore`. Every method raises Unavailable."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def record_notice(self, notice: Notice) -> None:
        """Keep a notice once, by its id; for a booking long gone, owe what was paid.

        One whose booking Redis does not know and Postgres has as live is not kept but Unavailable:
        Redis lost it, and the notice means something else once it is restored.
        """
        async with self._connect() as connection, connection.transaction():
            await connection.execute(
                QUERIES["record_notice"],
                *(notice.id, notice.kind, notice.booking_id, notice.event_id),
                *(notice.amount_minor, notice.currency, notice.outcome),
            )
            if notice.outcome == NoticeOutcome.BOOKING_NOT_FOUND:
                if await connection.fetchval(QUERIES["is_live"], notice.booking_id):
                    raise Unavailable(f"{notice.booking_id} is not in Redis yet")
                await connection.execute(
                    QUERIES["owe_forgotten"],
                    *(notice.booking_id, notice.amount_minor, notice.currency),
                )

    async def list_notices(
        self, event: EventId, outcome: NoticeOutcome | None, below: int | None, limit: int
    ) -> list[Notice]:
        """The notices of an event, the newest first, of numbers under `below`."""
        async with self._connect() as connection:
            rows = await connection.fetch(QUERIES["list_notices"], event, outcome, below, limit)
        return [msgspec.convert(dict(row), Notice) for row in rows]

    async def list_refunds(
        self, event: EventId, settled: bool | None, after: tuple[int, str] | None, limit: int
    ) -> list[Refund]:
        """The refund obligations of an event, the oldest first, after (due_at_ms, booking)."""
        due_at_ms, booking = after or (None, None)
        async with self._connect() as connection:
            rows = await connection.fetch(
                QUERIES["list_refunds"], event, settled, due_at_ms, booking, limit
            )
        return [msgspec.convert(dict(row), Refund) for row in rows]

    async def settle_refund(
        self, booking: BookingId, settled_by: str, reference: str | None
    ) -> Refund | None:
        """Mark an obligation settled, once; None: nothing is owed for this booking."""
        async with self._connect() as connection:
            row = await connection.fetchrow(
                QUERIES["settle_refund"], booking, settled_by, reference
            )
        return msgspec.convert(dict(row), Refund) if row else None
