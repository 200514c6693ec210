"""The Redis client on fakeredis: its error translation, its commands, and the spelling of keys."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from fakeredis import FakeAsyncRedisConnection, FakeServer
from redis._parsers.base import BaseParser

from engine import keys
from engine.errors import EngineError, ErrorReply, Misconfigured, OutcomeUnknown, Unavailable
from engine.ids import CustomerId, EventId
from engine.log_level import LogLevel
from engine.revocations import Revocations
from engine.transport import client as clients
from engine.transport.client import RedisClient

GALA = EventId("gala")


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[RedisClient]:
    pool = clients.Connections(connection_class=FakeAsyncRedisConnection, server=server)
    opened: Any = clients.SingleNode.from_pool(pool)
    yield opened
    await opened.aclose()


async def _get(client: RedisClient) -> object:
    return await client.get("name")


async def _pipeline(client: RedisClient) -> object:
    pipeline = client.pipeline(transaction=False)
    pipeline.get("name")
    return await pipeline.execute()


async def _transaction(client: RedisClient) -> object:
    pipeline = client.pipeline(transaction=True)
    pipeline.get("name")
    return await pipeline.execute()


async def _subscription(client: RedisClient) -> object:
    async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe("channel")
        return await pubsub.get_message(timeout=1)


WAYS = (_get, _pipeline, _transaction, _subscription)

Way = Callable[[RedisClient], Coroutine[Any, Any, object]]


@pytest.mark.parametrize("way", WAYS)
async def test_command_without_a_connection_is_unavailable(
    client: RedisClient, server: FakeServer, way: Way
) -> None:
    server.connected = False
    with pytest.raises(Unavailable):
        await way(client)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [ConnectionResetError("reset"), TimeoutError("late")])
async def test_command_whose_reply_is_lost_is_of_unknown_outcome(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch, way: Way, error: OSError
) -> None:
    await client.ttl("name")  # connected

    async def lose(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(FakeAsyncRedisConnection, "read_response", lose)
    with pytest.raises(OutcomeUnknown):
        await way(client)


@pytest.mark.parametrize("way", WAYS[:2])
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", Unavailable),
        ("LOADING Redis is loading the dataset in memory", Unavailable),
        ("MISCONF Redis is configured to save RDB snapshots", Unavailable),
        ("READONLY You can't write against a read only replica.", Unavailable),
        ("NOAUTH Authentication required.", Misconfigured),
        ("WRONGPASS invalid username-password pair", Misconfigured),
        ("NOPERM User api has no permissions to run the 'config|get' command", ErrorReply),
        ("BUSYGROUP Consumer Group name already exists", ErrorReply),
        ("ERR unknown command 'CONFIG'", ErrorReply),
    ],
)
async def test_error_reply_is_an_error_of_the_engine(
    client: RedisClient,
    monkeypatch: pytest.MonkeyPatch,
    reply: str,
    kind: type[EngineError],
    way: Way,
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise BaseParser.parse_error(reply)  # type: ignore[no-untyped-call]

    await client.ttl("name")  # connected
    monkeypatch.setattr(FakeAsyncRedisConnection, "read_response", refuse)
    with pytest.raises(kind) as caught:
        await way(client)
    if isinstance(caught.value, ErrorReply):
        assert str(caught.value) == reply
        assert caught.value.prefix == reply.split(" ")[0]


@pytest.mark.parametrize(
    ("protocol", "implementation"),
    [
        (clients.RedisClient, clients.SingleNode),
        (clients.Pipeline, clients.SingleNode().pipeline().__class__),
        (clients.Subscription, clients.SingleNode().pubsub().__class__),
    ],
)
def test_client_has_every_command_of_its_protocol(protocol: type, implementation: type) -> None:
    commands = [name for name in vars(protocol) if not name.startswith("_")]
    assert commands
    assert [name for name in commands if not hasattr(implementation, name)] == []


async def test_log_level_is_one_key_that_ends_by_itself(client: RedisClient) -> None:
    levels = LogLevel(client)
    await levels.set("debug", 60)
    assert (await levels.read(), await levels.seconds_left()) == ("debug", 60)
    await levels.reset()
    assert (await levels.read(), await levels.seconds_left()) == (None, 0)


async def test_revoke_without_redis_is_published_once_redis_is_back(
    client: RedisClient, server: FakeServer
) -> None:
    revocations = Revocations(client)
    server.connected = False
    assert await revocations.revoke(["one"], access_ttl_s=900) is False
    server.connected = True
    assert await revocations.revoke(["two"], access_ttl_s=900) is True
    told = [fields[b"session"] for _, fields in await client.xrange(keys.REVOKED)]
    assert told == [b"one", b"two"]


def test_keys_of_an_event_share_its_slot() -> None:
    ann = CustomerId("ann")
    names = [
        *keys.of_event(GALA),
        keys.hold(GALA, "ULID"),
        keys.request(GALA, ann, "r-1"),
        keys.request(GALA, ann, None),
        *keys.of_layout(GALA),
        keys.loading(GALA, "load", "rows"),
        keys.damaged(GALA, "seats"),
        keys.restored(GALA, "restore", "seats"),
        keys.dead_letters(GALA),
        keys.limit("{gala}", "sale", "ann"),
    ]
    assert {name.partition(":")[0] for name in names} == {"{gala}"}
    assert len(set(names)) == len(names)


def test_split_hold_reads_only_hold_keys() -> None:
    assert keys.split_hold(keys.hold(GALA, "ULID")) == (GALA, "ULID")
    assert keys.split_hold("{gala}:event") is None
    assert keys.split_hold("gala}:hold:ULID") is None


def test_hashed_keys_tell_customers_apart() -> None:
    requests = [("ann", "b-c"), ("ann-b", "c"), ("ann", "c")]
    names = {keys.request(GALA, CustomerId(who), request) for who, request in requests}
    names |= {keys.answered(CustomerId(who), request) for who, request in requests}
    assert len(names) == 6
