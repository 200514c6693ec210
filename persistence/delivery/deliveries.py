"""Deliveries in Postgres: make them, claim the due ones, record the outcomes.

No row is locked while a message is being sent. A claim is a lease: it moves the due time ahead by
LEASE_MS, so that the delivery is due again if its deliverer dies. Several deliverers can run,
because `SKIP LOCKED` gives each row to one of them.
"""

from collections.abc import Mapping, Sequence

import asyncpg
from msgspec import Struct

from engine.ports.webhooks import DeliveryState, MessageKind
from persistence.database import Pool
from persistence.stores.webhooks import QUERIES

LEASE_MS = 60_000
NOT_PERMITTED = "the owner of the webhook has no right to this event any more"
KEEP_MS = 30 * 86_400_000
"""How long a delivered or dead delivery is kept."""


class Due(Struct, frozen=True, kw_only=True):
    """A claimed delivery. `body` is the booking as JSON, from the journal."""

    message_id: str
    number: int
    webhook_id: str
    owner_id: str
    kind: MessageKind
    attempt_count: int
    failure_count: int
    url: str
    secret: str
    at_ms: int
    body: str


class Attempt(Struct, frozen=True, kw_only=True):
    """The outcome of one attempt; `delay_ms` until the next one if the state is `pending`."""

    message_id: str
    state: DeliveryState
    delay_ms: int = 0
    status: int | None = None
    error: str | None = None


class Deliveries:
    """Only tests set `now_ms`; otherwise the clock of the database counts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.now_ms: int | None = None

    async def make(self, entries_max: int) -> int:
        """Make the deliveries of queued entries; returns how many, at most `entries_max`."""
        try:
            taken: int = await self._pool.fetchval(
                QUERIES["make_deliveries"], self.now_ms, entries_max
            )
        except asyncpg.ForeignKeyViolationError:
            return 0  # a webhook was deleted meanwhile: the entries stay queued
        return taken

    async def claim(
        self, busy: Sequence[str], in_flight: Mapping[str, int], *, each: int, free: int
    ) -> list[list[Due]]:
        """Claim due messages of webhooks that are not `busy`: one list a webhook, in order.

        At most `each` of a webhook and `free` in all. `in_flight` has the number of messages that
        an owner has in flight. With those claimed, no owner has more than are then free.
        """
        rows = await self._pool.fetch(
            QUERIES["claim_deliveries"],
            self.now_ms,
            busy,
            LEASE_MS,
            each,
            free,
            list(in_flight),
            list(in_flight.values()),
        )
        claimed: dict[str, list[Due]] = {}
        forbidden: set[tuple[str, str]] = set()
        for row in sorted(rows, key=lambda row: row["number"]):
            columns = dict(row, kind=MessageKind(row["kind"]))
            event_id, permitted = columns.pop("event_id"), columns.pop("permitted")
            if permitted:
                due = Due(**columns)
                claimed.setdefault(due.webhook_id, []).append(due)
            else:
                forbidden.add((row["webhook_id"], event_id))
        for webhook_id, event_id in sorted(forbidden):
            await self._give_up(webhook_id, event_id)
        return list(claimed.values())

    async def _give_up(self, webhook_id: str, event_id: str) -> None:
        """Mark as dead the deliveries of an event that the webhook's owner may not read now."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(QUERIES["lock_webhook"], webhook_id)
            await connection.execute(
                QUERIES["give_up_deliveries"], self.now_ms, webhook_id, NOT_PERMITTED, event_id
            )

    async def record(
        self, webhook_id: str, attempts: Sequence[Attempt], *, failure_count: int, backoff_ms: int
    ) -> None:
        """Record the outcomes of these attempts, and the failures and backoff of the webhook."""
        columns = zip(
            *((a.message_id, a.state, a.delay_ms, a.status, a.error) for a in attempts),
            strict=True,
        )
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                QUERIES["record_health"], self.now_ms, webhook_id, failure_count, backoff_ms
            )
            await connection.execute(
                QUERIES["record_attempts"], self.now_ms, *(list(column) for column in columns)
            )

    async def disable(self, webhook_id: str, why: str) -> None:
        """Disable a webhook; its pending deliveries are dead."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(QUERIES["disable_webhook"], self.now_ms, webhook_id, why)
            await connection.execute(
                QUERIES["give_up_deliveries"], self.now_ms, webhook_id, why, None
            )

    async def oldest_ms(self) -> int:
        """The age of the oldest pending message, in ms; 0 if there is none."""
        age_ms: int | None = await self._pool.fetchval(QUERIES["read_oldest"], self.now_ms)
        return max(0, age_ms or 0)

    async def forget(self) -> None:
        """Delete some of the deliveries that ended more than KEEP_MS ago."""
        await self._pool.execute(QUERIES["forget_deliveries"], self.now_ms, KEEP_MS)
