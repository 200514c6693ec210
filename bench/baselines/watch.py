"""Redis alone, optimistic: WATCH the seats, read them, MULTI the booking, retry on a change.

A key a seat, so that only calls for the same seat conflict: a hash of all
seats would fail every transaction but one. Each call has a connection to itself for its two round
trips. It has no journal, no limits and no clean-up beyond the TTL: the least a sale could write.
"""

from collections.abc import Sequence
from typing import Self

from redis.exceptions import WatchError
from ulid import ULID

from bench.baselines.method import HOLD_TTL_S, OPEN, HoldRefused, HouseTerms, Method
from bench.baselines.redis_py import RedisPy, client_of
from engine.settings.settings import Settings

SEAT, BOOKING = "bench:watch:seat:", "bench:watch:booking:"
ALL = "bench:watch:bookings"


class Watch(Method):
    """WATCH, MGET, MULTI … EXEC."""

    does = "seats free, and nothing else"

    @classmethod
    async def connect(cls, settings: Settings, _: int = 0) -> Self:
        """On keys of its own."""
        return cls(client=client_of(settings))

    async def open_house(self, seats: Sequence[str], _: HouseTerms = OPEN) -> None:
        """Make exactly these seats free."""
        found = [key async for key in self._client.scan_iter("bench:watch:*", count=5000)]
        for start in range(0, len(found), 5000):
            await self._client.delete(*found[start : start + 5000])
        for start in range(0, len(seats), 5000):
            chunk = seats[start : start + 5000]
            await self._client.mset({f"{SEAT}{seat}": "a" for seat in chunk})

    async def hold(self, seats: Sequence[str], customer: str, _: str | None = None) -> str:
        """Hold all or none. Raises HoldRefused."""
        ulid = str(ULID())
        keys = [f"{SEAT}{seat}" for seat in seats]
        async with self._client.pipeline(transaction=True) as pipeline:
            while True:
                if set(await self._read(pipeline, keys)) != {b"a"}:
                    raise HoldRefused
                pipeline.multi()
                for key in keys:
                    pipeline.set(key, ulid)
                fields = {"customer": customer, "seats": " ".join(seats)}
                pipeline.hset(f"{BOOKING}{ulid}", mapping=fields)
                pipeline.zadd(ALL, {ulid: HOLD_TTL_S})
                try:
                    await pipeline.execute()
                except WatchError:
                    continue
                return ulid

    async def _read(self, pipeline: RedisPy, keys: Sequence[str]) -> list[bytes | None]:
        """Read the seats. EXEC fails if one of them changes after this."""
        await pipeline.watch(*keys)
        found: list[bytes | None] = await pipeline.mget(keys)
        return found

    async def bookings(self) -> list[tuple[str, list[str]]]:
        """As their keys have them."""
        ulids = [member.decode() for member in await self._client.zrange(ALL, 0, -1)]
        pipeline = self._client.pipeline(transaction=False)
        for ulid in ulids:
            pipeline.hget(f"{BOOKING}{ulid}", "seats")
        found = await pipeline.execute()
        return [(u, seats.decode().split()) for u, seats in zip(ulids, found, strict=True)]
