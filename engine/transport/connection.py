"""Connects to Redis, and checks the server's version, eviction and durability at the start."""

import asyncio
from socket import SO_KEEPALIVE, SOL_SOCKET
from ssl import SSLContext
from urllib.parse import urlsplit

from redis.asyncio.connection import ConnectionPool, SSLConnection

from engine import logs
from engine.errors import ErrorReply, Misconfigured, OutcomeUnknown, Unavailable
from engine.settings.settings import Settings
from engine.transport.batcher import Opener
from engine.transport.client import RedisClient, open_client, pool_of
from engine.transport.wire import Answer, Command, Wire, packed

BLOCK_MS_MAX = 2000
"""A blocking read must end well before the socket timeout, or redis-py fails it."""

_log = logs.get("redis")


def opener_of(settings: Settings) -> Opener:
    """How the batcher connects its wire. redis-py parses the URL and makes the TLS context."""
    pool = pool_of(settings.redis_url, timeout_s=None)
    found = pool.connection_kwargs
    greeting: list[Command] = []
    if found.get("password"):
        greeting.append(("AUTH", found.get("username") or "default", found["password"]))
    if found.get("db"):
        greeting.append(("SELECT", int(found["db"])))
    greeting.append(("CLIENT", "SETNAME", found["client_name"]))

    async def connect(wire: Wire) -> None:
        loop = asyncio.get_running_loop()
        try:
            if "path" in found:
                await loop.create_unix_connection(lambda: wire, found["path"])
            else:
                tls = _tls_of(pool)
                host, port = found.get("host", "localhost"), found.get("port", 6379)
                transport, _ = await loop.create_connection(lambda: wire, host, port, ssl=tls)
                transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        except OSError as error:
            raise Unavailable(f"Redis cannot be reached: {error}") from error
        for command in greeting:
            answer: Answer = loop.create_future()
            wire.send(list(packed([(command, answer)])))
            if isinstance(refused := await answer, ErrorReply):
                raise Unavailable(f"Redis rejects the connection: {refused}")

    return connect


def _tls_of(pool: ConnectionPool) -> SSLContext | None:
    connection = pool.make_connection()  # type: ignore[no-untyped-call]
    return connection.ssl_context.get() if isinstance(connection, SSLConnection) else None


def client_of(settings: Settings) -> RedisClient:
    """A client for everything that is not a script. Raises Misconfigured."""
    timeout_s = (settings.redis_timeout_ms + BLOCK_MS_MAX) / 1000
    return open_client(settings.redis_url, timeout_s=timeout_s)


def place_of(url: str) -> str:
    """The address in a URL, without its password."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    return f"{parts.scheme}://{parts.hostname or 'localhost'}:{parts.port or 6379}"


async def check(settings: Settings) -> None:
    """Reject a server that is too old, evicts keys, or is less durable than DURABILITY asks for.

    Raises: Misconfigured, Unavailable; the message names the server and what to change.
    """
    place = place_of(settings.redis_url)
    client = open_client(settings.redis_url, timeout_s=5)
    try:
        await _check_info(place, client)
        if settings.durability == "fsync":
            await _check_config(place, client)
    except (Unavailable, OutcomeUnknown) as error:
        raise Unavailable(f"Redis at {place} cannot be reached: {error}") from error
    finally:
        await client.aclose()


async def _check_info(place: str, client: RedisClient) -> None:
    try:
        _check_version(place, await client.info("server"))
        _check_policy(place, await client.info("memory"))
    except ErrorReply as reply:
        _log.warning("redis_not_checked", place=place, why=str(reply))


async def _check_config(place: str, client: RedisClient) -> None:
    """Managed services rename or forbid CONFIG, and INFO does not tell `appendfsync`."""
    try:
        _check_fsync(place, await client.config_get("append*"))
    except ErrorReply as reply:
        _log.warning(
            "durability_not_checked",
            place=place,
            why=str(reply),
            fix="make sure of `appendonly yes` and `appendfsync always`, or set DURABILITY=async",
        )


def _check_version(place: str, info: dict[str, object]) -> None:
    name = str(info.get("server_name", "redis"))
    version = str(info.get("valkey_version", info.get("redis_version", "0")))
    least = 8 if name == "valkey" else 7
    if int(version.split(".")[0]) < least:
        raise Misconfigured(f"{place} runs {name} {version}; {name} {least}.0 or newer is needed")


def _check_policy(place: str, info: dict[str, object]) -> None:
    """`volatile-*` evicts too: the keys of idempotency have a TTL."""
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise Misconfigured(
            f"{place} runs maxmemory-policy {policy} and would evict seats and bookings when its "
            "memory is full: set `maxmemory-policy noeviction` there"
        )


def _check_fsync(place: str, config: dict[str, str]) -> None:
    if config.get("appendonly") != "yes" or config.get("appendfsync") != "always":
        raise Misconfigured(
            f"DURABILITY=fsync, but {place} runs appendonly {config.get('appendonly')}, "
            f"appendfsync {config.get('appendfsync')}: set `appendonly yes` and "
            "`appendfsync always` there, or DURABILITY=async and read docs/durability.md"
        )
