"""A lock per seat in Redis, a transaction in Postgres, and a clean-up for what is not paid.

The way of the system this project began from, with its faults mended: a lock has an owner and is
given back by its owner alone, it outlives the work it guards, seats are locked in one order, and
the database has the last word (the update counts only free seats). The clean-up is one sorted set
of deadlines rather than a job a booking: the same work later, the least of it now.
"""

import time
from collections.abc import Sequence
from types import TracebackType

from ulid import ULID

from bench.baselines.method import HOLD_TTL_S, Method, Taken
from bench.baselines.pool import CONNECTIONS, open_pool
from engine.connection import RedisClient, client_of
from engine.settings import Settings
from persistence.database import Pool

LOCK_TTL_MS = 30_000
CLEAN_UP = "bench:seat_locks:deadlines"

_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS bench_seat_locks;
CREATE TABLE IF NOT EXISTS bench_seat_locks.seats (
    seat text PRIMARY KEY, status text NOT NULL, booking text
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS bench_seat_locks.bookings (
    booking text PRIMARY KEY, customer text NOT NULL, seats text[] NOT NULL,
    held_at timestamptz NOT NULL DEFAULT now()
);
"""
_FREE = "TRUNCATE bench_seat_locks.seats, bench_seat_locks.bookings"
_UPDATE = (
    "UPDATE bench_seat_locks.seats SET status = 'held', booking = $1 "
    "WHERE seat = ANY($2) AND status = 'available' RETURNING seat"
)
_INSERT = "INSERT INTO bench_seat_locks.bookings (booking, customer, seats) VALUES ($1, $2, $3)"
_UNLOCK = """
for i, key in ipairs(KEYS) do
  if redis.call("GET", key) == ARGV[1] then redis.call("DEL", key) end
end
"""


class SeatLocks(Method):
    """SET NX per seat, then Postgres, then the deadline for the clean-up."""

    update = _UPDATE

    def __init__(self, client: RedisClient, pool: Pool) -> None:
        self._client, self._pool = client, pool
        self._unlock = client.register_script(_UNLOCK)

    @classmethod
    async def connect(cls, settings: Settings, connections: int = CONNECTIONS) -> "SeatLocks":
        """On keys and tables of its own."""
        return cls(client_of(settings), await open_pool(settings.database_url, connections))

    async def open_house(self, seats: Sequence[str]) -> None:
        """Make exactly these seats free."""
        await self._client.delete(CLEAN_UP)
        async with self._pool.acquire() as connection:
            await connection.execute(_SCHEMA)
            await connection.execute(_FREE)
            await connection.copy_records_to_table(
                "seats",
                schema_name="bench_seat_locks",
                records=[(seat, "available", None) for seat in seats],
            )
            await connection.execute("VACUUM ANALYZE bench_seat_locks.seats")

    async def hold(self, seats: Sequence[str], customer: str) -> str:
        """Hold all or none. Raises Taken."""
        ulid = str(ULID())
        locks = [f"bench:seat_locks:{seat}" for seat in sorted(seats)]
        await self._lock(locks, ulid)
        try:
            await self._book(seats, customer, ulid)
            deadline_s = time.time() + HOLD_TTL_S
            await self._client.zadd(CLEAN_UP, {ulid: deadline_s})
        finally:
            await self._unlock(keys=locks, args=[ulid])
        return ulid

    async def _lock(self, locks: Sequence[str], owner: str) -> None:
        """One pipeline; whoever misses one gives the others back."""
        pipeline = self._client.pipeline(transaction=False)
        for lock in locks:
            pipeline.set(lock, owner, nx=True, px=LOCK_TTL_MS)
        if not all(await pipeline.execute()):
            await self._unlock(keys=list(locks), args=[owner])
            raise Taken

    async def _book(self, seats: Sequence[str], customer: str, ulid: str) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            if len(await connection.fetch(self.update, ulid, seats)) < len(seats):
                raise Taken
            await connection.execute(_INSERT, ulid, customer, seats)

    async def bookings(self) -> list[tuple[str, list[str]]]:
        """As the table has them."""
        rows = await self._pool.fetch("SELECT booking, seats FROM bench_seat_locks.bookings")
        return [(row["booking"], row["seats"]) for row in rows]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()
        await self._pool.close()
