"""The Redis client for everything that is not a script: streams, notifications, administration.

The protocols name the commands the engine uses, with the types of its replies; redis-py types each
reply for every setting at once. A client for a cluster has to satisfy the same protocols. Every
redis-py error becomes one of `engine.errors` here, and redis-py sends nothing twice: its default
is to send a command again, up to ten times, when the reply is lost.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Protocol, Self, TypeAlias

import redis.asyncio as aioredis
from redis.asyncio import client as redis_py
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from engine import client_name
from engine.errors import EngineError, ErrorReply, Misconfigured, OutcomeUnknown, Unavailable

Value: TypeAlias = str | bytes | int
Entries: TypeAlias = list[tuple[bytes, dict[bytes, bytes]]]
"""Entries of a stream: id and fields of each."""
Streams: TypeAlias = list[tuple[bytes, Entries]]
"""Entries of several streams, by key."""


class Pipeline(Protocol):
    """Collects commands and sends them in one write; `execute` returns the replies in order."""

    def time(self) -> None: ...
    def get(self, name: str) -> None: ...
    def expire(self, name: str, time: int) -> None: ...
    def hgetall(self, name: str) -> None: ...
    def hmget(self, name: str, keys: Sequence[str]) -> None: ...
    def hset(self, name: str, *, mapping: Mapping[str, Value]) -> None: ...
    def zadd(self, name: str, mapping: Mapping[str, int]) -> None: ...
    def zcard(self, name: str) -> None: ...
    def zrange(self, name: str, start: int, end: int, *, withscores: bool = False) -> None: ...
    def xack(self, name: str, groupname: str, *ids: str) -> None: ...
    def xadd(
        self,
        name: str,
        fields: Mapping[Any, Any],
        id: str = "*",
        *,
        approximate: bool = True,
        minid: int | None = None,
    ) -> None: ...
    def xinfo_groups(self, name: str) -> None: ...
    def xlen(self, name: str) -> None: ...
    def xrevrange(self, name: str, *, min: str, count: int) -> None: ...
    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """The replies in order. Without `raise_on_error`, an error reply is an EngineError."""
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: object) -> bool | None: ...


class Subscription(Protocol):
    """The messages of the channels it subscribes to."""

    async def subscribe(self, channel: str) -> object: ...
    async def get_message(self, *, timeout: float) -> dict[str, Any] | None: ...


class RedisClient(Protocol):
    """The commands the engine uses. Each raises Unavailable, OutcomeUnknown, Misconfigured (the
    password) or ErrorReply.
    """

    async def aclose(self) -> None: ...
    def pipeline(self, *, transaction: bool) -> Pipeline: ...
    def pubsub(
        self, *, ignore_subscribe_messages: bool
    ) -> AbstractAsyncContextManager[Subscription]: ...
    def get_connection_kwargs(self) -> dict[str, Any]: ...
    async def config_get(self, pattern: str) -> dict[str, str]: ...
    async def config_set(self, name: str, value: str) -> object: ...
    async def info(self, section: str) -> dict[str, Any]: ...
    async def time(self) -> tuple[int, int]: ...
    async def delete(self, *names: str) -> int: ...
    async def unlink(self, *names: str) -> int: ...
    async def get(self, name: str) -> bytes | None: ...
    async def set(self, name: str, value: Value, *, ex: int) -> object: ...
    async def pttl(self, name: str) -> int: ...
    async def ttl(self, name: str) -> int: ...
    async def sadd(self, name: str, *values: str) -> int: ...
    async def xack(self, name: str, groupname: str, *ids: str) -> int: ...
    async def xautoclaim(
        self, name: str, groupname: str, consumername: str, *, min_idle_time: int, count: int
    ) -> tuple[bytes, Entries, list[bytes]]: ...
    async def xdel(self, name: str, *ids: str) -> int: ...
    async def xgroup_create(
        self, name: str, groupname: str, *, id: str, mkstream: bool = False
    ) -> object: ...
    async def xinfo_groups(self, name: str) -> list[dict[str, Any]]: ...
    async def xlen(self, name: str) -> int: ...
    async def xpending(self, name: str, groupname: str) -> dict[str, Any]: ...
    async def xpending_range(
        self, name: str, groupname: str, *, min: str, max: str, count: int
    ) -> list[dict[str, Any]]: ...
    async def xrange(
        self, name: str, min: str = "-", max: str = "+", count: int | None = None
    ) -> Entries: ...
    async def xread(
        self, streams: Mapping[str, str], *, count: int, block: int | None
    ) -> Streams: ...
    async def xreadgroup(
        self,
        groupname: str,
        consumername: str,
        streams: Mapping[str, str],
        *,
        count: int,
        block: int | None,
    ) -> Streams: ...
    async def xtrim(self, name: str, *, minid: str, approximate: bool) -> int: ...


def open_client(url: str, *, timeout_s: float) -> RedisClient:
    """A client that connects at its first command. Raises Misconfigured."""
    client: RedisClient = SingleNode.from_pool(pool_of(url, timeout_s=timeout_s))  # type: ignore[assignment]
    return client


def pool_of(url: str, *, timeout_s: float | None) -> ConnectionPool:
    """Connections as the URL says, without redis-py's retries. Raises Misconfigured."""
    if not url:
        raise Misconfigured("REDIS_URL is not set")
    try:
        return Connections.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=5,
            client_name=client_name.get(),
            retry=Retry(NoBackoff(), 0),
            **({} if url.startswith("unix:") else {"socket_keepalive": True}),
        )
    except ValueError as error:
        raise Misconfigured(f"REDIS_URL: {error}") from error


class SingleNode(aioredis.Redis):
    """The RedisClient of one server."""

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        with _translated():
            return await super().execute_command(*command, **options)  # type: ignore[no-untyped-call]

    def pipeline(
        self, transaction: bool = True, shard_hint: str | None = None
    ) -> redis_py.Pipeline:
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)

    def pubsub(self, **options: Any) -> redis_py.PubSub:
        return _PubSub(self.connection_pool, event_dispatcher=self._event_dispatcher, **options)


class _Pipeline(redis_py.Pipeline):
    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        with _translated():
            replies = await super().execute(raise_on_error)
        return [
            _translation(reply, OutcomeUnknown) if isinstance(reply, RedisError) else reply
            for reply in replies
        ]

    def annotate_exception(self, *_: Any) -> None:
        """Leave the reply as it is: redis-py would put the command in front of its prefix."""


class _PubSub(redis_py.PubSub):
    async def execute_command(self, *command: Any) -> None:
        with _translated():
            await super().execute_command(*command)

    async def parse_response(self, block: bool = True, timeout: float = 0) -> Any:
        with _translated():
            return await super().parse_response(block, timeout)


class Connections(ConnectionPool):
    """redis-py's pool. A connection that fails to open is Unavailable: no command was sent."""

    async def get_connection(self, *command: Any, **options: Any) -> Any:
        with _translated(Unavailable):
            return await super().get_connection(*command, **options)  # type: ignore[no-untyped-call]


@contextmanager
def _translated(lost: type[EngineError] = OutcomeUnknown) -> Iterator[None]:
    """Raise redis-py's errors as the engine's; `lost` is the one for a broken connection."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise _translation(error, lost) from error


def _translation(error: Exception, lost: type[EngineError]) -> EngineError:
    # While redis-py connects, it wraps the error reply to its greeting.
    if isinstance(error.__cause__, ResponseError | AuthenticationError):
        error = error.__cause__
    if isinstance(error, AuthenticationError):
        return Misconfigured("REDIS_URL: Redis wants another user or password")
    prefix = getattr(error, "status_code", None)  # not in the text where redis-py knows it
    if not prefix and not isinstance(error, ResponseError):
        return lost(f"the connection to Redis failed: {error}")
    reply = ErrorReply(f"{prefix} {error}" if prefix else str(error))
    return Unavailable(f"Redis cannot do this now: {reply}") if reply.is_transient else reply
