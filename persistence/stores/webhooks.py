"""The webhooks of organisers and their deliveries, for the API; `deliveries` has what is sent."""

import msgspec

from engine.ids import EventId
from engine.ports.webhooks import Delivery, DeliveryState, Replayed, Webhook
from persistence.database import Connect
from persistence.sql import named_queries

QUERIES = named_queries("stores/webhooks.sql")
REPLAY_MAX = 10_000
"""The most deliveries one replay brings under way."""


class WebhookStore:
    """Fulfils `api.stores.WebhookStore`. Every method raises Unavailable.

    `owner_id` "" stands for everybody, as in the engine.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def create_webhook(self, new: Webhook, secret: str, webhooks_max: int) -> Webhook | None:
        """Keep a webhook, again under the same id; None: its owner has `webhooks_max` others."""
        async with self._connect() as connection:
            row = await connection.fetchrow(
                QUERIES["create_webhook"],
                *(new.id, new.owner_id, new.event_id, new.any_owner, new.url, list(new.kinds)),
                *(secret, webhooks_max),
            )
        return msgspec.convert(dict(row), Webhook) if row else None

    async def list_webhooks(
        self, owner_id: str, event_id: EventId | None, after: str, limit: int
    ) -> list[Webhook]:
        """The webhooks of one owner after an id, or all of that owner's event, sorted by id."""
        async with self._connect() as connection:
            rows = await connection.fetch(
                QUERIES["list_webhooks"], owner_id, event_id, after, limit
            )
        return [msgspec.convert(dict(row), Webhook) for row in rows]

    async def read_webhook(self, webhook_id: str, owner_id: str) -> Webhook | None:
        """One webhook; None: there is none, or it is somebody else's."""
        async with self._connect() as connection:
            row = await connection.fetchrow(QUERIES["read_webhook"], webhook_id, owner_id)
        return msgspec.convert(dict(row), Webhook) if row else None

    async def delete_webhook(self, webhook_id: str, owner_id: str) -> Webhook | None:
        """Forget a webhook and its deliveries; None: as for `read_webhook`."""
        async with self._connect() as connection:
            row = await connection.fetchrow(QUERIES["delete_webhook"], webhook_id, owner_id)
        return msgspec.convert(dict(row), Webhook) if row else None

    async def list_deliveries(
        self, webhook_id: str, state: DeliveryState | None, below: int | None, limit: int
    ) -> list[Delivery]:
        """The deliveries of a webhook, the newest first, of numbers under `below`."""
        async with self._connect() as connection:
            rows = await connection.fetch(
                QUERIES["list_deliveries"], webhook_id, state, below, limit
            )
        return [msgspec.convert(dict(row), Delivery) for row in rows]

    async def replay_delivery(self, webhook_id: str, message_id: str) -> bool:
        """Send one message again, whatever became of it; enables the webhook. False: unknown."""
        async with self._connect() as connection, connection.transaction():
            await connection.execute(QUERIES["lock_webhook"], webhook_id)
            found = await connection.fetchval(QUERIES["replay_delivery"], webhook_id, message_id)
            if found is not None:
                await connection.execute(QUERIES["enable_webhook"], webhook_id)
        return found is not None

    async def replay_from(self, webhook_id: str, from_ms: int) -> Replayed:
        """Send all the journal has since a time again, at most REPLAY_MAX; enables the webhook."""
        async with self._connect() as connection, connection.transaction():
            await connection.execute(QUERIES["enable_webhook"], webhook_id)
            rows = await connection.fetch(
                QUERIES["replay_messages"], webhook_id, from_ms, REPLAY_MAX
            )
        newest_ms = max((row["entry_ms"] for row in rows), default=0)
        return Replayed(len(rows), newest_ms if len(rows) == REPLAY_MAX else None)
