"""What the API asks of Postgres, over one pool that is opened when it is first needed."""

import asyncio

import asyncpg

from engine.errors import Unavailable
from persistence import database


class PostgresStores:
    """Fulfils `api.stores.Stores`."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def pool(self) -> asyncpg.Pool:
        """The pool. Raises Unavailable while Postgres cannot be reached."""
        async with self._opening:
            if self._pool is None:
                if not self._url:
                    raise Unavailable("DATABASE_URL is not set")
                self._pool = await database.connect(self._url)
            return self._pool

    async def close(self) -> None:
        """Give the connections back."""
        if self._pool is not None:
            await self._pool.close()
