"""The batcher: one pipeline a tick, bounded, and no caller gets another's answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from engine.errors import ErrorReply, OutcomeUnknown, Overloaded, Unavailable
from engine.settings.settings import Settings
from engine.transport import connection
from engine.transport.batcher import Batcher
from tests.support.proxy import Proxy
from tests.support.waiting import until


def make(redis_url: str, waiting_max: int = 100, timeout_ms: int = 5000) -> Batcher:
    """A batcher of the test's own."""
    opener = connection.opener_of(Settings(redis_url=redis_url))
    return Batcher(opener, waiting_max=waiting_max, timeout_ms=timeout_ms)


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


async def test_call_many_at_once_uses_one_connection(proxy: Proxy) -> None:
    batcher = make(proxy.url, waiting_max=5000)
    await asyncio.gather(*(batcher.call(("PING",)) for _ in range(3000)))
    assert proxy.connection_count == 1
    await batcher.close()


async def test_call_with_an_error_reply_leaves_the_others_alone(batcher: Batcher) -> None:
    await batcher.call(("SET", "text", "x"))
    wrong, right = await asyncio.gather(
        batcher.call(("LPUSH", "text", "y")), batcher.call(("GET", "text"))
    )
    assert isinstance(wrong, ErrorReply)
    assert wrong.prefix == "WRONGTYPE"
    assert right == b"x"


@pytest.mark.parametrize(("bad", "error"), [("\ud800", UnicodeEncodeError), (None, TypeError)])
async def test_call_that_cannot_be_packed_fails_alone(
    batcher: Batcher, bad: Any, error: type[Exception]
) -> None:
    echoes = [batcher.call(("ECHO", text)) for text in ("a", bad, "b")]
    first, alone, last = await asyncio.gather(*echoes, return_exceptions=True)
    assert isinstance(alone, error)
    assert (first, last) == (b"a", b"b")


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
    call = batcher.call(("INCR", "n"))
    other = batcher.call(("PING",))
    call.cancel()
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


async def test_call_after_the_server_closed_an_idle_connection_is_answered(proxy: Proxy) -> None:
    batcher = make(proxy.url)
    assert await batcher.call(("PING",)) == b"PONG"
    await proxy.cut_connections()

    async def noticed() -> bool:
        return not batcher.connected

    await until(noticed)
    assert await batcher.call(("PING",)) == b"PONG"
    await batcher.close()


async def test_call_answered_with_what_is_not_the_protocol_is_of_unknown_outcome(
    tmp_path: Path,
) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"SETNAME")  # what every connection begins with
        writer.write(b"+OK\r\n")
        await reader.readuntil(b"PING")
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_unix_server(babble, tmp_path / "babble.sock"):
        batcher = make(f"unix://{tmp_path / 'babble.sock'}")
        with pytest.raises(OutcomeUnknown, match="broke the protocol"):
            await batcher.call(("PING",))
        await batcher.close()


async def test_call_with_a_wrong_password_is_unavailable_and_says_so(
    redis: Redis, redis_url: str
) -> None:
    batcher = make(redis_url.replace("unix://", "unix://ann:wrong@"))
    with pytest.raises(Unavailable, match="WRONGPASS"):
        await batcher.call(("PING",))
    await batcher.close()


async def test_calls_larger_than_the_socket_takes_at_once_are_all_answered(
    batcher: Batcher,
) -> None:
    texts = [bytes([65 + number]) * 300_000 for number in range(20)]
    answers = await asyncio.gather(*(batcher.call(("ECHO", text)) for text in texts))
    assert answers == texts


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


async def test_call_that_could_not_be_sent_in_time_fails_untried(
    proxy: Proxy, redis: Redis
) -> None:
    batcher = make(proxy.url, timeout_ms=400)
    assert await batcher.call(("PING",)) == b"PONG"
    proxy.stall()
    large = batcher.call(("SET", "large", b"x" * 10_000_000))
    await asyncio.sleep(0)  # it is on its way, and what comes now waits behind it
    waiting = [batcher.call(("INCR", "n")) for _ in range(5)]
    found = await asyncio.gather(large, *waiting, return_exceptions=True)
    assert isinstance(found[0], OutcomeUnknown)
    assert {type(error) for error in found[1:]} == {Unavailable}
    proxy.flow()
    assert await batcher.call(("PING",)) == b"PONG"
    assert await redis.get("n") is None
    await batcher.close()
