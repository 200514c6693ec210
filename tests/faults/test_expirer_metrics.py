"""What the expirer shows of a sale and of Redis: moved by what really happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from engine import Engine, Settings, expirer
from engine.expirer import Expirer
from tests.support.factories import GALA, layout, selection, terms
from tests.support.proxy import Proxy
from tests.support.readings import exceeds, reads, value


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often."""
    monkeypatch.setattr(expirer, "IDLE_S", 0.05)
    monkeypatch.setattr(expirer, "RECONNECT_S", 0.05)
    monkeypatch.setattr(expirer, "SERVER_S", 0.05)


@asynccontextmanager
async def running(engine: Engine, **more: Any) -> AsyncIterator[None]:
    """An expirer beside the test."""
    stop = asyncio.Event()
    task = asyncio.create_task(Expirer(engine, **more).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def test_seats_and_pending_bookings_are_what_the_event_has(
    engine: Engine, redis: Redis
) -> None:
    plan = layout(areas={"floor": 50}, blocked="A-2-5")
    await engine.events.load_event(GALA, plan, terms())
    async with running(engine):
        await reads(59, "engine_seats", event="gala", status="available")
        await reads(1, "engine_seats", event="gala", status="blocked")
        assert value("bookings_pending", event="gala") == 0
        held = await engine.bookings.hold_seats(selection("ann", "A-1-1", areas={"floor": 4}))
        other = await engine.bookings.hold_seats(selection("bob", "A-1-2"))
        await reads(2, "bookings_pending", event="gala")
        await reads(6, "engine_seats", event="gala", status="held")
        await engine.bookings.confirm_booking(held.id, None)
        await engine.bookings.release_booking(other.id, None)
        await reads(0, "bookings_pending", event="gala")
        await reads(5, "engine_seats", event="gala", status="sold")
        await reads(0, "engine_seats", event="gala", status="held")
        await redis.srem("events", "gala")
        await reads(None, "bookings_pending", event="gala")
        await reads(None, "engine_seats", event="gala", status="sold")


async def test_expired_bookings_are_counted_and_leave_the_pending(engine: Engine) -> None:
    expired = value("bookings_expired_total") or 0
    late = [value("engine_release_delay_seconds_count", path=path) or 0 for path in _PATHS]
    await engine.events.load_event(GALA, layout(), terms(hold_ttl_ms=1000))
    async with running(engine):
        await engine.bookings.hold_seats(selection("ann", "A-1-1"))
        await reads(1, "bookings_pending", event="gala")
        await reads(expired + 1, "bookings_expired_total")
        await reads(0, "bookings_pending", event="gala")
    now = [value("engine_release_delay_seconds_count", path=path) or 0 for path in _PATHS]
    assert sum(now) == sum(late) + 1


_PATHS = ("listener", "sweep", "hold")


async def test_gauges_tell_that_redis_went_and_came_back(
    settings: Settings, engine: Engine, redis_url: str, tmp_path: Path
) -> None:
    names = ("engine_redis_up", "engine_durability_reached", "engine_listener_up", "expirer_up")
    reconnects = value("engine_listener_reconnects_total") or 0
    async with Proxy(redis_url, tmp_path) as proxy:
        behind = await Engine.connect(msgspec.structs.replace(settings, redis_url=proxy.url))
        async with behind:
            async with running(behind):
                await engine.events.load_event(GALA, layout(), terms())
                for name in names:
                    await reads(1, name)
                await proxy.cut()
                for name in names:
                    await reads(0, name)
                await exceeds(reconnects, "engine_listener_reconnects_total")
                await proxy.restore()
                for name in names:
                    await reads(1, name)
            assert value("expirer_up") == 0


async def test_durability_is_not_reached_when_redis_syncs_less_than_asked(
    engine: Engine, redis: Redis
) -> None:
    async with running(engine):
        await reads(1, "engine_durability_reached")
        try:
            await redis.config_set("appendfsync", "everysec")
            await reads(0, "engine_durability_reached")
            assert value("engine_redis_up") == 1
        finally:
            await redis.config_set("appendfsync", "always")
        await reads(1, "engine_durability_reached")


async def test_durability_async_is_reached_with_less(engine: Engine, redis: Redis) -> None:
    try:
        await redis.config_set("appendfsync", "everysec")
        async with running(engine, durability="async"):
            await reads(1, "engine_durability_reached")
    finally:
        await redis.config_set("appendfsync", "always")


async def test_durability_goes_by_info_alone_where_config_may_not_be_asked(
    settings: Settings, engine: Engine, redis: Redis
) -> None:
    await redis.acl_setuser(
        "plain", enabled=True, passwords=["+pw"], keys=["*"], channels=["*"],
        commands=["+@all", "-config"],
    )  # fmt: skip
    url = settings.redis_url.replace("unix://", "unix://plain:pw@")
    try:
        plain = await Engine.connect(msgspec.structs.replace(settings, redis_url=url))
        async with plain, running(plain):
            await reads(1, "engine_durability_reached")
    finally:
        await redis.acl_deluser("plain")
