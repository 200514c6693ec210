"""All stores of the API over one connection pool, which is opened when it is first needed.

A slow Postgres must not slow a sale, which does not need it. So at most CALLS_MAX calls wait for
Postgres, far fewer than the in-flight limit of the API, and each has a short timeout.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.errors import Overloaded, Unavailable
from persistence import database
from persistence.database import Connection, Pool
from persistence.stores.accounts import PostgresAccounts
from persistence.stores.payments import PostgresPayments
from persistence.stores.roles import PostgresRoles
from persistence.stores.sessions import PostgresSessions
from persistence.stores.webhooks import PostgresWebhooks

CALLS_MAX = 50
"""Calls of one process that may use or wait for Postgres; more are Overloaded (load shedding)."""
WAIT_S = 3.0
"""How long a call waits for a connection."""
COMMAND_S = 5.0
"""How long one command of a call may take."""
RELEASE_S = 1.0
"""How long the reset of a released connection may take; after that it is closed."""


class PostgresStores:
    """Implements `api.stores.Stores`: one attribute per noun."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()
        self._calls_count = 0
        self.accounts = PostgresAccounts(self.connection)
        self.sessions = PostgresSessions(self.connection)
        self.roles = PostgresRoles(self.connection)
        self.payments = PostgresPayments(self.connection)
        self.webhooks = PostgresWebhooks(self.connection)

    async def pool(self) -> Pool:
        """The pool. Raises Unavailable while Postgres cannot be reached."""
        async with self._opening:
            if self._pool is None:
                if not self._url:
                    raise Unavailable("DATABASE_URL is not set")
                self._pool = await database.connect(self._url, COMMAND_S)
            return self._pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one call.

        Raises: Unavailable while Postgres cannot be reached, Overloaded while CALLS_MAX wait.
        """
        if self._calls_count >= CALLS_MAX:
            raise Overloaded(f"{CALLS_MAX} calls are waiting for Postgres")
        self._calls_count += 1
        try:
            async with asyncio.timeout(WAIT_S):
                pool = await self.pool()
                connection = await pool.acquire()
            try:
                yield connection
            finally:
                await pool.release(connection, timeout=RELEASE_S)
        except database.AWAY as error:
            raise Unavailable(f"Postgres cannot be reached: {error!r}") from error
        finally:
            self._calls_count -= 1

    async def ping(self) -> None:
        """Raises Unavailable or Misconfigured while Postgres does not answer."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")

    async def close(self) -> None:
        """Close the pool."""
        if self._pool is not None:
            await self._pool.close()
