"""Sessions that were ended: known here at once, elsewhere soon, through outages, at no cost."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from api.http.problems import Problem
from api.http.tokens import Tokens
from engine import Engine, Settings
from engine.ids import CustomerId
from engine.ports.accounts import Session
from engine.revocations import Revocations
from tests.api.client import SECRET
from tests.support.proxy import Proxy
from tests.support.waiting import until

SESSION = Session("s-1", CustomerId("acc_1"), ("booking:create:own",))


def test_token_of_an_ended_session_is_refused_though_it_had_been_seen() -> None:
    tokens = Tokens(SECRET)
    header = f"Bearer {tokens.issue(SESSION, 60)}".encode()
    assert tokens.caller(header).session_id == "s-1"
    tokens.revoked = {"s-2"}
    assert tokens.caller(header)
    tokens.revoked = {"s-1"}
    with pytest.raises(Problem, match="ended"):
        tokens.caller(header)


def test_checking_a_seen_token_costs_at_most_10_us_beside_many_ended_sessions() -> None:
    tokens = Tokens(SECRET)
    tokens.revoked = dict.fromkeys(map(str, range(100_000))).keys()
    header = f"Bearer {tokens.issue(SESSION, 60)}".encode()
    tokens.caller(header)

    def cost_s() -> float:
        began = time.perf_counter()
        for _ in range(1000):
            tokens.caller(header)
        return (time.perf_counter() - began) / 1000

    assert min(cost_s() for _ in range(5)) < 10e-6


async def test_revoke_is_known_to_others_that_run_and_that_start_later(engine: Engine) -> None:
    here, there, later = (Revocations(engine.client) for _ in range(3))
    async with there.followed():
        assert await here.revoke(["s-1", "s-2"], 60)
        assert set(here.revoked) == {"s-1", "s-2"}

        async def heard() -> bool:
            return set(there.revoked) == {"s-1", "s-2"}

        await until(heard)
    async with later.followed():
        assert set(later.revoked) == {"s-1", "s-2"}


async def test_revoked_session_is_forgotten_when_its_tokens_are_over(
    engine: Engine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Revocations(engine.client)
    kept = here.revoked
    await here.revoke(["s-1"], 60)
    later = time.time() + 60 + 61
    monkeypatch.setattr("engine.revocations.time.time", lambda: later)
    async with here.followed():
        assert set(kept) == set()
    monkeypatch.undo()
    assert await redis.xlen("revoked") == 1


async def test_stream_of_ended_sessions_is_trimmed(engine: Engine, redis: Redis) -> None:
    for number in range(300):
        await redis.xadd("revoked", {"session": f"s-{number}", "until_s": 1}, id=f"{number + 1}-0")
    await Revocations(engine.client).revoke(["s-1"], 60)
    assert await redis.xlen("revoked") < 150  # trimmed by whole nodes of 100


async def test_revoke_through_an_outage_is_kept_and_published_afterwards(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(settings.redis_url, tmp_path))
        through = msgspec.structs.replace(settings, redis_url=proxy.url)
        cut = await stack.enter_async_context(await Engine.connect(through))
        here, there = cut.revocations, engine.revocations
        await stack.enter_async_context(here.followed())
        await stack.enter_async_context(there.followed())
        await proxy.cut()

        assert not await here.revoke(["s-1"], 60)
        assert "s-1" in here.revoked
        await there.revoke(["s-2"], 60)
        await proxy.restore()

        async def both_know() -> bool:
            return set(here.revoked) == set(there.revoked) == {"s-1", "s-2"}

        await until(both_know)


async def test_following_ends_at_once(engine: Engine) -> None:
    async with asyncio.timeout(1), engine.revocations.followed():
        await engine.revocations.revoke(["s-1"], 60)
