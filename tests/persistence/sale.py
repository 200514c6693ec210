"""A small sale with one booking of each status, written to Postgres, and ways to damage it."""

from typing import Any

from redis.asyncio import Redis

from engine import Booking, Engine
from engine.booking_json import json_of
from engine.event_state import EventState, read_state
from persistence.database import Pool
from persistence.journal.tables import Store
from persistence.reconcile.reconciler import reconcile
from persistence.reconcile.report import ReconcileReport
from tests.support.factories import GALA, layout, selection, terms


def ulid(of: Booking) -> str:
    """A booking's id within its event."""
    return of.id.split(":")[1]


class Sale:
    """The gala. It is reconciled with a lag of 0, so every difference counts, however recent."""

    def __init__(self, engine: Engine, pool: Pool, redis: Redis) -> None:
        self.engine = engine
        self.pool = pool
        self.redis: Any = redis

    async def open(self) -> None:
        """Load the event, sell, and write it all."""
        await self.engine.events.load_event(GALA, layout(areas={"floor": 50}), terms())
        bookings = self.engine.bookings
        self.pending = await self.hold("A-1-1")
        self.confirmed = await bookings.confirm_booking((await self.hold("A-1-2")).id, None)
        self.standing = await bookings.confirm_booking((await self.hold(floor=3)).id, None)
        self.released = await bookings.release_booking((await self.hold("A-1-3")).id, None)
        sold = await bookings.confirm_booking((await self.hold("A-1-4")).id, None)
        self.cancelled = await bookings.cancel_booking(sold.id, None)
        await self.write()

    async def hold(self, *seats: str, **areas: int) -> Booking:
        """Hold places for ann."""
        return await self.engine.bookings.hold_seats(selection("ann", *seats, areas=areas))

    async def write(self) -> None:
        """Write and acknowledge the journal's entries, as the writer does."""
        journal = self.engine.journal
        await journal.create_group(GALA)
        entries = await journal.read([GALA], "sale", count=1000, block_ms=0)
        await Store(self.pool).write(entries)
        await journal.acknowledge(GALA, [entry.entry_id for entry in entries])

    async def lose(self) -> None:
        """Acknowledge the journal's entries unwritten, which a writer must never do."""
        journal = self.engine.journal
        entries = await journal.read([GALA], "lost", count=1000, block_ms=0)
        await journal.acknowledge(GALA, [entry.entry_id for entry in entries])

    async def put_record(self, of: Booking) -> None:
        """Write a booking into Redis past the scripts."""
        await self.redis.hset("{gala}:bookings", ulid(of), json_of(of))

    async def put_row(self, of: Booking) -> None:
        """Write a booking into Postgres past the journal."""
        await Store(self.pool).put_bookings([of], 1, "1-0")

    async def reconcile(self, *, repair: bool = False, lag_ms: int = 0) -> ReconcileReport:
        """Reconcile the gala."""
        return await reconcile(self.engine, self.pool, [GALA], repair=repair, lag_ms=lag_ms)

    async def state(self) -> EventState:
        """The raw state of the gala in Redis."""
        return await read_state(self.engine, GALA)

    async def agreed(self) -> None:
        """Write the remaining entries and assert that nothing differs."""
        await self.write()
        assert await self.found() == []

    async def owed(self) -> list[tuple[str, int]]:
        """Every refund obligation: booking and amount."""
        rows = await self.pool.fetch("SELECT booking_id, amount_minor FROM refund_obligations")
        return sorted((row["booking_id"], row["amount_minor"]) for row in rows)

    async def found(self) -> list[tuple[str, str]]:
        """Kind and subject of every difference."""
        return [(found.kind, found.subject) for found in (await self.reconcile()).differences]
