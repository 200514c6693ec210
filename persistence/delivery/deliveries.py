"""What the deliverer does with Postgres: make deliveries, claim what is due, record what came.

Nothing is locked while a message is on its way: a claim moves the message's due time ahead by
LEASE_MS, and when its deliverer dies it is simply due again. Several deliverers do no harm, as
`SKIP LOCKED` gives each row to one of them.
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
"""How long a delivery that came to an end can be looked at."""


class Due(Struct, frozen=True, kw_only=True):
    """A claimed delivery: all that sending it needs. `body` is the booking of the journal."""

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
    """What came of sending: `delay_ms` until the next time if it stays `pending`."""

    message_id: str
    state: DeliveryState
    delay_ms: int = 0
    status: int | None = None
    error: str | None = None


class Deliveries:
    """`now_ms` is for tests alone; without it the database's own clock decides."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.now_ms: int | None = None

    async def make(self, entries_max: int) -> int:
        """Make the deliveries of queued journal entries; how many entries were taken."""
        try:
            taken: int = await self._pool.fetchval(
                QUERIES["make_deliveries"], self.now_ms, entries_max
            )
        except asyncpg.ForeignKeyViolationError:
            return 0  # a webhook was deleted meanwhile: they are in the queue again
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
        """Mark as dead what waits for a webhook whose owner lost its right to the event."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(QUERIES["lock_webhook"], webhook_id)
            await connection.execute(
                QUERIES["give_up_deliveries"], self.now_ms, webhook_id, NOT_PERMITTED, event_id
            )

    async def record(
        self, webhook_id: str, attempts: Sequence[Attempt], *, failure_count: int, backoff_ms: int
    ) -> None:
        """Record what came of these, and how the webhook does."""
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
        """Send nothing there any more; what was on its way is given up."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(QUERIES["disable_webhook"], self.now_ms, webhook_id, why)
            await connection.execute(
                QUERIES["give_up_deliveries"], self.now_ms, webhook_id, why, None
            )

    async def oldest_ms(self) -> int:
        """How long the oldest message waits that is not delivered yet; 0: none does."""
        age_ms: int | None = await self._pool.fetchval(QUERIES["read_oldest"], self.now_ms)
        return max(0, age_ms or 0)

    async def forget(self) -> None:
        """Remove some of what came to an end KEEP_MS ago."""
        await self._pool.execute(QUERIES["forget_deliveries"], self.now_ms, KEEP_MS)
