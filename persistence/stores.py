"""What the API asks of Postgres, over one pool that is opened when it is first needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.errors import Unavailable
from persistence import database
from persistence.accounts import AccountStore
from persistence.database import Connection, Pool
from persistence.payments import PaymentStore
from persistence.roles import RoleStore
from persistence.sessions import SessionStore
from persistence.webhooks import WebhookStore


class PostgresStores:
    """Fulfils `api.stores.Stores`: one attribute a noun."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()
        self.accounts = AccountStore(self.connection)
        self.sessions = SessionStore(self.connection)
        self.roles = RoleStore(self.connection)
        self.payments = PaymentStore(self.connection)
        self.webhooks = WebhookStore(self.connection)

    async def pool(self) -> Pool:
        """The pool. Raises Unavailable while Postgres cannot be reached."""
        async with self._opening:
            if self._pool is None:
                if not self._url:
                    raise Unavailable("DATABASE_URL is not set")
                self._pool = await database.connect(self._url)
            return self._pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one call. Raises Unavailable while Postgres cannot be reached."""
        pool = await self.pool()
        try:
            async with pool.acquire() as connection:
                yield connection
        except database.AWAY as error:
            raise Unavailable(f"Postgres cannot be reached: {error!r}") from error

    async def close(self) -> None:
        """Give the connections back."""
        if self._pool is not None:
            await self._pool.close()
