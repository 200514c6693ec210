"""Opens a checked pool of connections to Postgres, and classifies its errors.

asyncpg's errors at start are translated here: a wrong setting becomes Misconfigured and an absent
server Unavailable. Each message names the server and what to do, never the password. A query's
errors keep their type, and the caller decides by the tuples below.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

import asyncpg

from engine.agent import Agent
from engine.errors import EngineError, Misconfigured, Unavailable
from engine.settings.postgres_url import target_of

VERSION_MIN = 14
_CONNECT_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 60.0
_CONNECTIONS_MAX = 4

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
        target = target_of(url)
    except ValueError as error:
        raise Misconfigured(f"DATABASE_URL: {error}") from None
    timeout_s = target.connect_timeout_s or _CONNECT_TIMEOUT_S
    try:
        pool = await asyncpg.create_pool(
            target.url,
            min_size=1,
            max_size=_CONNECTIONS_MAX,
            timeout=timeout_s,
            command_timeout=command_timeout_s,
        )
    except _NO_CONNECTION as error:
        raise _translated(error, place, timeout_s) from error
    try:
        async with pool.acquire() as connection:
            _check_version(connection.get_server_version().major, place)
    except BaseException:
        pool.terminate()
        raise
    return pool


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
