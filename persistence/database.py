"""Opens a checked pool of connections to Postgres, and classifies its errors.

asyncpg's errors at start are translated here: a wrong setting becomes Misconfigured and an absent
server Unavailable. Each message names the server and what to do, never the password. A query's
errors keep their type, and the caller decides by the tuples below.

No query relies on its session outside of a transaction: neither a lock, a cursor nor a prepared
statement. So PgBouncer may stand in front, in transaction mode too.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any, TypeAlias
from urllib.parse import parse_qs, parse_qsl, urlsplit

import asyncpg

from engine import client_name
from engine.agent import Agent
from engine.errors import EngineError, Misconfigured, Unavailable
from engine.settings.postgres_url import address_of

VERSION_MIN = 14
_CONNECT_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 60.0
_CONNECTIONS_MAX = 4
_PAGE_ROWS = 1000
_cursor_numbers = count()

_FORM = "DATABASE_URL is not of the form postgresql://user:password@host:port/database"
"""The whole message about a malformed URL: the URL itself may contain a password."""

_NO_CONNECTION = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    ValueError,  # the URL is malformed
    OverflowError,  # its port is out of range
)

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.InternalClientError,  # the connection broke between two of its own messages
)
"""What a query raises while Postgres is unreachable, starting, stopping or full, or rolls back
because of another transaction: nothing was done, and the query may be tried again."""

FAILURES: tuple[type[Exception], ...] = (*Agent.failures, asyncpg.PostgresError, *AWAY)
"""What a step of an agent raises when Redis or Postgres fails; the agent repeats the step."""

Record: TypeAlias = asyncpg.Record
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]
"""Opens a connection for one call. Raises Unavailable while Postgres is away."""


async def connect(url: str, command_timeout_s: float = _COMMAND_TIMEOUT_S) -> Pool:
    """Open a pool on the database of `url`. Raises Misconfigured or Unavailable."""
    place = _place(url)
    try:
        target = address_of(url)
    except ValueError as error:
        raise Misconfigured(f"DATABASE_URL: {error}") from None
    timeout_s = target.connect_timeout_s or _CONNECT_TIMEOUT_S
    try:
        pooled = await _probe(target.url, timeout_s, place)
        return await asyncpg.create_pool(
            target.url,
            server_settings=_named(target.url),
            min_size=1,
            max_size=_CONNECTIONS_MAX,
            timeout=timeout_s,
            command_timeout=command_timeout_s,
            **(_POOLED if pooled else {}),
        )
    except _NO_CONNECTION as error:
        raise _translated(error, place, timeout_s) from error


async def _probe(url: str, timeout_s: float, place: str) -> bool:
    """Check the server's version. Returns whether a pooler such as PgBouncer stands in front.

    A pooler invents the process id that it tells its client at the start.
    """
    connection = await asyncpg.connect(
        url, timeout=timeout_s, statement_cache_size=0, server_settings=_named(url)
    )
    try:
        _check_version(connection.get_server_version().major, place)
        pid = await connection.fetchval("SELECT pg_backend_pid()", timeout=timeout_s)
        return bool(pid != connection.get_server_pid())
    finally:
        await connection.close(timeout=timeout_s)


def _named(url: str) -> dict[str, str]:
    """What names a connection in pg_stat_activity, unless the URL does."""
    if any(name == "application_name" for name, _ in parse_qsl(urlsplit(url).query)):
        return {}
    return {"application_name": client_name.get()}


class _PooledConnection(asyncpg.Connection):
    """Leaves nothing in a session: each transaction may run in another one."""

    def get_reset_query(self) -> str:
        """Nothing to reset."""
        return ""

    async def copy_records_to_table(  # type: ignore[override]  # as the journal calls it
        self, table_name: str, *, columns: Sequence[str], records: Iterable[Sequence[Any]]
    ) -> str:
        """INSERT: for a COPY asyncpg prepares a named statement, which would stay in a session."""
        values = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        names = ", ".join(columns)
        query = f"INSERT INTO {table_name} ({names}) VALUES ({values})"  # noqa: S608  # our names
        await self.executemany(query, records)
        return ""


_POOLED: dict[str, Any] = {"statement_cache_size": 0, "connection_class": _PooledConnection}


async def stream(connection: Connection, query: str, *args: object) -> AsyncIterator[Record]:
    """The rows of a query, page by page, inside a transaction.

    By a cursor of SQL: asyncpg's own prepares a named statement, which outlives the transaction.
    """
    name = f"rows_{next(_cursor_numbers)}"
    await connection.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {query}", *args)
    while rows := await connection.fetch(f"FETCH {_PAGE_ROWS} FROM {name}"):
        for row in rows:
            yield row


def _check_version(major: int, place: str) -> None:
    if major < VERSION_MIN:
        raise Misconfigured(f"Postgres {major} found at {place}: {VERSION_MIN} or newer is needed")


def _place(url: str) -> str:
    """Host, port and database of a URL as written, for messages. Raises Misconfigured."""
    try:
        parts = urlsplit(url)
        host = (
            parts.netloc.rpartition("@")[2] or parse_qs(parts.query).get("host", ["localhost"])[0]
        )
    except ValueError as error:
        raise Misconfigured(_FORM) from error
    if parts.scheme not in ("postgresql", "postgres") or "@" in parts.path:
        raise Misconfigured(_FORM)
    return f"{host}{parts.path}"


def _translated(error: Exception, place: str, timeout_s: float) -> EngineError:
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return Misconfigured(
                f"Postgres at {place} refused the login ({error}): "
                "check the user and the password in DATABASE_URL"
            )
        case asyncpg.InvalidCatalogNameError():
            return Misconfigured(f"Postgres at {place}: {error}; create it with createdb")
        case ValueError() | OverflowError():
            return Misconfigured(_FORM)
        case TimeoutError():
            reason = f"no answer in {timeout_s:g} s"
        case _:
            reason = str(error)
    return Unavailable(
        f"Postgres at {place} cannot be reached ({reason}): is it running, and DATABASE_URL right?"
    )
