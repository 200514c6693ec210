"""Notices of the payment provider and refund obligations, for the API."""

import msgspec

from engine.errors import Unavailable
from engine.ids import EventId
from engine.ports.payments import Notice, NoticeKind, NoticeOutcome, Refund, UnkeptReason
from persistence.database import Connect, Connection
from persistence.journal.tables import QUERIES as JOURNAL_QUERIES
from persistence.sql import named_queries

QUERIES = named_queries("stores/payments.sql")


class PostgresPayments:
    """Implements `api.stores.PaymentStore`. Every method raises Unavailable."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def record_notice(self, notice: Notice) -> None:
        """Store a notice once per id and booking; store a payment that Redis has no record of.

        Raises Unavailable, and stores nothing, if Redis does not know the booking and Postgres has
        it as live: Redis has lost it, and the notice has another effect after the restore.
        """
        async with self._connect() as connection, connection.transaction():
            await connection.execute(
                QUERIES["record_notice"],
                *(notice.id, notice.kind, notice.booking_id, notice.payment_id),
                *(notice.event_id, notice.amount_minor, notice.currency, notice.outcome),
            )
            if notice.unkept_reason:
                await _apply(connection, notice, notice.unkept_reason)

    async def find_booking(self, payment_id: str) -> str | None:
        """The booking of a payment, or None if Postgres does not have the payment."""
        async with self._connect() as connection:
            booking: str | None = await connection.fetchval(QUERIES["find_booking"], payment_id)
        return booking

    async def find_owner(self, event: EventId) -> str | None:
        """The organiser of an event, or None if Postgres does not have the event."""
        async with self._connect() as connection:
            owner: str | None = await connection.fetchval(QUERIES["find_owner"], event)
        return owner

    async def list_notices(
        self, event: EventId, outcome: NoticeOutcome | None, below: int | None, limit: int
    ) -> list[Notice]:
        """The notices of an event with numbers below `below`, newest first."""
        async with self._connect() as connection:
            rows = await connection.fetch(QUERIES["list_notices"], event, outcome, below, limit)
        return [msgspec.convert(dict(row), Notice) for row in rows]

    async def list_refunds(
        self, event: EventId | None, settled: bool | None, after: tuple[int, str] | None, limit: int
    ) -> list[Refund]:
        """The refund obligations of an event, the oldest first, after (due_at_ms, id).

        None: those of every event that is not known.
        """
        page = (settled, *(after or (None, None)), limit)
        async with self._connect() as connection:
            if event is None:
                rows = await connection.fetch(QUERIES["list_refunds_without_event"], *page)
            else:
                rows = await connection.fetch(QUERIES["list_refunds"], event, *page)
        return [msgspec.convert(dict(row), Refund) for row in rows]

    async def find_refunds(self, refund_or_booking: str) -> list[Refund]:
        """The obligation with this id, or at most 50 of the booking with this id."""
        async with self._connect() as connection:
            rows = await connection.fetch(QUERIES["find_refunds"], refund_or_booking)
        return [msgspec.convert(dict(row), Refund) for row in rows]

    async def settle_refund(self, refund: Refund, settled_by: str, reference: str | None) -> Refund:
        """Settle an obligation; if it is settled already, return it unchanged."""
        async with self._connect() as connection:
            [row] = await connection.fetch(
                QUERIES["settle_refund"], refund.id, settled_by, reference
            )
        return msgspec.convert(dict(row), Refund)


async def _apply(connection: Connection, notice: Notice, reason: UnkeptReason) -> None:
    """Apply a notice to a payment that Redis has no record of. Raises Unavailable."""
    booking, payment = notice.booking_id, notice.payment_id
    money = (notice.event_id, notice.amount_minor, notice.currency)
    forgotten = reason == UnkeptReason.FORGOTTEN
    if forgotten and await connection.fetchval(QUERIES["is_live"], booking):
        raise Unavailable(f"{booking} is not in Redis yet")
    if notice.kind == NoticeKind.SUCCEEDED:
        await connection.execute(QUERIES["owe_forgotten"], booking, payment, *money, reason)
    elif notice.kind == NoticeKind.REFUNDED and payment:
        await connection.execute(QUERIES["refund_forgotten"], booking, payment, *money)
    elif notice.kind == NoticeKind.DISPUTED and payment:
        await connection.execute(QUERIES["dispute_forgotten"], booking, payment)
    await connection.execute(JOURNAL_QUERIES["owe_payments"], [booking])
    await connection.execute(JOURNAL_QUERIES["settle_refunded"], [booking])
