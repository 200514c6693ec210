"""A lock per seat in Redis, a transaction in Postgres, and a clean-up for what is not paid.

The way of the system this project began from, with its faults fixed: a lock has an owner and is
given back by its owner alone, it outlives the work it guards, seats are locked in one order, and
the database has the last word (the update counts only free seats). The clean-up is one sorted set
of deadlines rather than a job a booking: the same work later, the least of it now.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from ulid import ULID

from bench.baselines.method import OPEN, HoldRefused, HouseTerms
from bench.baselines.redis_py import client_of
from bench.baselines.tables import CONNECTIONS, EVENT, Tables
from engine.settings.settings import Settings

LOCK_TTL_MS = 30_000
CLEAN_UP = "bench:seat_locks:deadlines"

_UPDATE = """
UPDATE seats s SET status = 'held', booking = $1, expires_at = now() + e.hold_ttl FROM events e
WHERE e.event = $2 AND now() >= e.opens_at AND now() < e.closes_at
    AND cardinality($3::text[]) <= e.seats_max AND s.seat = ANY($3)
    AND (s.status = 'available' OR s.status = 'held' AND s.expires_at <= now())
RETURNING s.expires_at, e.customer_max
"""
_UNLOCK = """
for i, key in ipairs(KEYS) do
  if redis.call("GET", key) == ARGV[1] then redis.call("DEL", key) end
end
"""


class SeatLocks(Tables):
    """SET NX per seat, then Postgres, then the deadline for the clean-up."""

    schema = "bench_seat_locks"
    update = _UPDATE

    @classmethod
    async def connect(cls, settings: Settings, connections: int = CONNECTIONS) -> Self:
        """On keys and tables of its own."""
        return cls(
            client=client_of(settings), pool=await cls.open_pool(settings.database_url, connections)
        )

    async def open_house(self, seats: Sequence[str], terms: HouseTerms = OPEN) -> None:
        """Make exactly these seats free."""
        await self._client.delete(CLEAN_UP)
        await super().open_house(seats, terms)

    async def hold(self, seats: Sequence[str], customer: str, request: str | None = None) -> str:
        """Hold all or none. Raises HoldRefused: so is the twin of a request that is under way."""
        ulid = str(ULID())
        locks = [f"bench:seat_locks:{seat}" for seat in sorted(seats)]
        try:
            await self._lock(locks, ulid)
            try:
                expires_at = await self._book((ulid, EVENT, customer, seats, request))
                await self._client.zadd(CLEAN_UP, {ulid: expires_at.timestamp()})
            finally:
                await self._unlock(locks, ulid)
        except HoldRefused:
            return await self.earlier(seats, customer, request)
        return ulid

    async def _lock(self, locks: Sequence[str], owner: str) -> None:
        """One pipeline. A call that misses one lock releases the others."""
        pipeline = self._client.pipeline(transaction=False)
        for lock in locks:
            pipeline.set(lock, owner, nx=True, px=LOCK_TTL_MS)
        if not all(await pipeline.execute()):
            await self._unlock(locks, owner)
            raise HoldRefused

    async def _unlock(self, locks: Sequence[str], owner: str) -> None:
        await self._client.register_script(_UNLOCK)(keys=list(locks), args=[owner])

    async def _book(self, row: Sequence[Any]) -> datetime:
        ulid, event, _, seats, _ = row
        async with self.pool.acquire() as connection, connection.transaction():
            taken = await connection.fetch(self.update, ulid, event, seats)
            if len(taken) < len(seats):
                raise HoldRefused
            expires_at: datetime = taken[0]["expires_at"]
            await self.insert(connection, (*row, expires_at), taken[0]["customer_max"])
        return expires_at
