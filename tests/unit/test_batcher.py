"""The batcher: one pipeline a tick, bounded, and nobody gets another's answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from engine import connection
from engine.batcher import Batcher
from engine.errors import OutcomeUnknown, Overloaded, Unavailable
from engine.settings import Settings
from tests.support.proxy import Proxy


def make(
    redis_url: str, connections_max: int = 2, waiting_max: int = 100, timeout_ms: int = 5000
) -> Batcher:
    """A batcher of the test's own."""
    return Batcher(
        connection.pool_of(Settings(redis_url=redis_url)),
        connections_max=connections_max,
        waiting_max=waiting_max,
        timeout_ms=timeout_ms,
    )


@pytest.fixture
async def batcher(redis: Redis, redis_url: str) -> AsyncIterator[Batcher]:
    made = make(redis_url)
    yield made
    await made.close()


@pytest.fixture
async def proxy(redis: Redis, redis_url: str, tmp_path: Path) -> AsyncIterator[Proxy]:
    async with Proxy(redis_url, tmp_path) as made:
        yield made


async def _commands_processed(redis: Redis) -> int:
    count: int = (await redis.info("stats"))["total_commands_processed"]
    return count


async def test_call_many_at_once_gives_each_its_own_answer(batcher: Batcher) -> None:
    answers = await asyncio.gather(*(batcher.call(("ECHO", str(n))) for n in range(100)))
    assert answers == [str(n).encode() for n in range(100)]


async def test_call_many_at_once_uses_no_more_connections_than_allowed(
    proxy: Proxy,
) -> None:
    batcher = make(proxy.url, connections_max=2, waiting_max=5000)
    await asyncio.gather(*(batcher.call(("PING",)) for _ in range(3000)))
    assert proxy.connection_count <= 2
    await batcher.close()


async def test_call_with_an_error_reply_leaves_the_others_alone(batcher: Batcher) -> None:
    await batcher.call(("SET", "text", "x"))
    wrong, right = await asyncio.gather(
        batcher.call(("LPUSH", "text", "y")), batcher.call(("GET", "text"))
    )
    assert isinstance(wrong, Exception)
    assert right == b"x"


async def test_call_over_the_bound_is_turned_away_untried(redis_url: str, redis: Redis) -> None:
    batcher = make(redis_url, waiting_max=10)
    answers = await asyncio.gather(
        *(batcher.call(("INCR", "n")) for _ in range(15)), return_exceptions=True
    )
    assert sum(isinstance(answer, Overloaded) for answer in answers) == 5
    assert await redis.get("n") == b"10"
    await batcher.close()


async def test_call_cancelled_before_it_is_sent_has_no_effect(
    batcher: Batcher, redis: Redis
) -> None:
    task = asyncio.create_task(batcher.call(("INCR", "n")))
    other = asyncio.create_task(batcher.call(("PING",)))
    await asyncio.sleep(0)
    task.cancel()
    assert await other == b"PONG"
    assert await redis.get("n") is None


async def test_call_cancelled_at_any_moment_mixes_no_replies(batcher: Batcher) -> None:
    async def one(number: int) -> None:
        assert await batcher.call(("ECHO", str(number))) == str(number).encode()

    for round_number in range(200):
        tasks = [asyncio.create_task(one(number)) for number in range(8)]
        for _ in range(round_number % 7):
            await asyncio.sleep(0)
        tasks[round_number % 8].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        failed = [t.exception() for t in tasks if not t.cancelled() and t.exception()]
        assert failed == []


async def test_call_whose_answer_is_lost_is_of_unknown_outcome(proxy: Proxy, redis: Redis) -> None:
    batcher = make(proxy.url)
    assert await batcher.call(("PING",)) == b"PONG"
    proxy.drop_next_reply(b"INCR")
    with pytest.raises(OutcomeUnknown):
        await batcher.call(("INCR", "n"))
    assert await redis.get("n") == b"1"  # sent once, never again
    assert await batcher.call(("PING",)) == b"PONG"
    await batcher.close()


async def test_call_with_no_server_is_unavailable_and_recovers(proxy: Proxy) -> None:
    batcher = make(proxy.url)
    await proxy.cut()
    with pytest.raises(Unavailable):
        await batcher.call(("PING",))
    await proxy.restore()
    assert await batcher.call(("PING",)) == b"PONG"
    await batcher.close()


async def test_call_to_a_paused_server_ends_by_its_deadline(redis_url: str, redis: Redis) -> None:
    batcher = make(redis_url, timeout_ms=200)
    await batcher.call(("PING",))
    await redis.client_pause(600)
    started = asyncio.get_running_loop().time()
    with pytest.raises(OutcomeUnknown, match=r"within 0\.2 s"):
        await batcher.call(("SET", "n", "1"))
    assert asyncio.get_running_loop().time() - started < 0.6
    await redis.client_unpause()
    await batcher.close()


async def test_call_after_close_is_unavailable(batcher: Batcher) -> None:
    await batcher.call(("PING",))
    await batcher.close()
    with pytest.raises(Unavailable):
        await batcher.call(("PING",))
