"""What webhooks need of Postgres; `persistence` fulfils it. Every method raises Unavailable.

`owner_id` "" stands for everybody. Somebody else's webhook is not found.
"""

from typing import Protocol

from engine.ports.webhooks import Delivery, DeliveryState, Replayed, Webhook


class WebhookStore(Protocol):
    """The webhooks of organisers, and what was sent there."""

    async def create_webhook(self, new: Webhook, secret: str, webhooks_max: int) -> Webhook | None:
        """Keep a webhook, again under the same id; None: its owner has `webhooks_max` others."""

    async def list_webhooks(self, owner_id: str, after: str, limit: int) -> list[Webhook]:
        """The webhooks of one owner in the order of their ids, after one of them."""

    async def read_webhook(self, webhook_id: str, owner_id: str) -> Webhook | None:
        """One webhook."""

    async def delete_webhook(self, webhook_id: str, owner_id: str) -> Webhook | None:
        """Forget a webhook and its deliveries."""

    async def list_deliveries(
        self, webhook_id: str, state: DeliveryState | None, below: int | None, limit: int
    ) -> list[Delivery]:
        """The deliveries of a webhook, the newest first, of numbers under `below`."""

    async def replay_delivery(self, webhook_id: str, message_id: str) -> bool:
        """Send one message again, whatever became of it; enables the webhook. False: unknown."""

    async def replay_from(self, webhook_id: str, from_ms: int) -> Replayed:
        """Send all the journal has since a time again, some at once; enables the webhook."""
