"""A deliverer with the test's clock, webhooks, and journal entries to deliver to them."""

import base64
import time
from typing import Any

import msgspec

from engine import Engine, Settings
from engine.ids import EventId
from engine.models import Booking, JournalEntry
from engine.ports.webhooks import Delivery, MessageKind, Webhook
from persistence.database import Pool
from persistence.delivery.deliverer import Deliverer
from persistence.journal.tables import Store
from persistence.stores.stores import PostgresStores
from tests.persistence.entries import entry, loaded
from tests.support.factories import GALA, layout

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
EVERY_KIND = tuple(MessageKind)


class Telling:
    """The gala belongs to orla. Nothing here needs Redis."""

    def __init__(self, engine: Engine, pool: Pool, settings: Settings) -> None:
        self._engine = engine
        self._pool = pool
        self.settings = msgspec.structs.replace(settings, webhook_allow_insecure=True)
        self.store = Store(pool)
        self.stores = PostgresStores(settings.database_url)
        self.now_ms = round(time.time() * 1000)
        self.deliverer = self.new_deliverer()

    def new_deliverer(self) -> Deliverer:
        """Another deliverer at the same time of the clock, without jitter."""
        made = Deliverer(self._engine, self._pool, self.settings, chance=lambda: 0.5)
        made.deliveries.now_ms = self.now_ms
        return made

    async def open(self) -> None:
        """Write the event and its owner to Postgres."""
        told = loaded(1, layout(areas={"floor": 50}))
        await self.write(
            msgspec.structs.replace(told, event={**(told.event or {}), "owner_id": "orla"})
        )

    async def close(self) -> None:
        """Close the connections."""
        await self.deliverer.close()
        await self.stores.close()

    async def hook(self, url: str, webhook_id: str = "hook", **over: Any) -> Webhook:
        """Make a webhook for all of orla's events."""
        usual = {"id": webhook_id, "owner_id": "orla", "event_id": None, "kinds": EVERY_KIND}
        new = Webhook(**{**usual, "url": url, **over})
        made = await self.stores.webhooks.create_webhook(new, SECRET, 100)
        assert made
        return made

    async def write(self, *entries: JournalEntry) -> None:
        """Write entries as the writer does."""
        await self.store.write(entries)

    async def happens(self, at: int, of: Booking, kind: str = "") -> None:
        """One change of a booking, written."""
        made = entry(at, of)
        await self.write(msgspec.structs.replace(made, kind=kind or made.kind))

    async def deliver(self, after_s: float = 0) -> int:
        """Advance the clock and run one round; returns the number of messages sent."""
        self.now_ms += round(after_s * 1000)
        self.deliverer.deliveries.now_ms = self.now_ms
        return await self.deliverer.deliver_due()

    async def deliveries(self, webhook_id: str = "hook") -> list[Delivery]:
        """All deliveries of a webhook, the oldest first."""
        found = await self.stores.webhooks.list_deliveries(webhook_id, None, None, 1000)
        return found[::-1]

    async def queued(self) -> int:
        """How many entries wait for their messages to be made."""
        count: int = await self._pool.fetchval("SELECT count(*) FROM webhook_queue")
        return count


OTHER = EventId("other")

__all__ = ["EVERY_KIND", "GALA", "OTHER", "SECRET", "Telling"]
