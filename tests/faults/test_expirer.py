"""Every hold ends (G3): with both paths, with one, and after the connection was lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from structlog.testing import capture_logs

from engine import Engine, Settings, expirer
from engine.bookings import EXPIRE_MAX
from engine.expirer import Expirer
from engine.ids import EventId
from engine.models import Booking, BookingStatus, Expired
from tests.support.factories import GALA, layout, selection, terms
from tests.support.proxy import Proxy
from tests.support.raw_redis import raw
from tests.support.waiting import until


def _released(path: str) -> float:
    return REGISTRY.get_sample_value("engine_release_delay_seconds_count", {"path": path}) or 0


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    """An expirer beside the test."""
    stop = asyncio.Event()
    task = asyncio.create_task(Expirer(engine).run(stop))
    yield
    stop.set()
    await task


async def _held(engine: Engine, ttl_ms: int = 1000) -> Booking:
    await engine.events.load_event(GALA, layout(), terms(hold_ttl_ms=ttl_ms), replace=True)
    return await engine.bookings.hold_seats(selection("ann", "A-1-1"))


async def _is_expired(engine: Engine, booking: Booking) -> bool:
    found = await engine.bookings.read_booking(booking.id, None)
    return found.status == BookingStatus.EXPIRED


async def test_expirer_releases_within_a_second_of_the_deadline(engine: Engine) -> None:
    async with running(engine):
        booking = await _held(engine)
        await until(lambda: _is_expired(engine, booking))
    ended = await engine.bookings.read_booking(booking.id, None)
    assert ended.ended_at_ms is not None
    assert 0 <= ended.ended_at_ms - ended.expires_at_ms < 1000


async def test_expirer_with_a_dead_listener_releases_by_the_sweep(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(_: Expirer) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Expirer, "_listen", deaf)
    before = _released("sweep")
    async with running(engine):
        booking = await _held(engine)
        await until(lambda: _is_expired(engine, booking))
    assert _released("sweep") == before + 1


async def test_expirer_with_a_dead_sweep_releases_by_the_listener(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Expirer, "sweep", lambda _: asyncio.sleep(60))
    before = _released("listener")
    async with running(engine):
        booking = await _held(engine)
        await until(lambda: _is_expired(engine, booking))
    assert _released("listener") == before + 1


async def test_expirer_that_may_not_switch_notifications_on_goes_on_with_the_sweep(
    settings: Settings, engine: Engine, redis: Redis
) -> None:
    await redis.config_set("notify-keyspace-events", "")
    commands = ["+@all", "-config"]
    await redis.acl_setuser(
        "plain", enabled=True, passwords=["+pw"], keys=["*"], channels=["*"], commands=commands
    )
    url = settings.redis_url.replace("unix://", "unix://plain:pw@")
    try:
        plain = await Engine.connect(msgspec.structs.replace(settings, redis_url=url))
        with capture_logs() as logged:
            async with plain, running(plain):
                booking = await _held(engine)
                await until(lambda: _is_expired(engine, booking))
    finally:
        await redis.config_set("notify-keyspace-events", "Ex")
        await redis.acl_deluser("plain")
    assert "notifications_not_switched_on" in [entry["event"] for entry in logged]


async def test_expirer_whose_connection_breaks_again_and_again_misses_nothing(
    settings: Settings,
    engine: Engine,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expirer, "RECONNECT_S", 0.05)
    async with Proxy(redis_url, tmp_path) as proxy:
        broken = await Engine.connect(msgspec.structs.replace(settings, redis_url=proxy.url))
        async with broken, running(broken):
            booking = await _held(engine)

            async def ended() -> bool:
                await proxy.cut_connections()
                await asyncio.sleep(0.15)
                return await _is_expired(engine, booking)

            await until(ended)


async def test_expirer_sweeps_more_than_one_call_takes(engine: Engine) -> None:
    await engine.events.load_event(
        GALA, layout(rows=60, seats=10), terms(hold_ttl_ms=1000, seats_max=1)
    )
    seats = [f"A-{row}-{seat}" for row in range(1, 61) for seat in range(1, 11)]
    bookings = await asyncio.gather(
        *(engine.bookings.hold_seats(selection("ann", seat)) for seat in seats)
    )
    async with running(engine):

        async def none_left() -> bool:
            return bool(await raw(engine).zcard("{gala}:deadlines") == 0)

        await until(none_left)
    ended = await engine.bookings.read_booking(bookings[-1].id, None)
    assert ended.status == BookingStatus.EXPIRED


async def test_expirer_meets_a_listed_event_that_is_not_loaded(engine: Engine) -> None:
    await engine.client.sadd("events", "half-loaded")
    async with running(engine):
        booking = await _held(engine)
        await until(lambda: _is_expired(engine, booking))


async def _subscribers(engine: Engine) -> int:
    [(_, count)] = await raw(engine).pubsub_numsub(expirer.CHANNEL.format(db=0))
    return int(count)


async def test_listener_hangs_up_in_a_rush_and_comes_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it rests holds end in time all the same; the rest is no break of the connection."""
    monkeypatch.setattr(expirer, "RECONNECT_S", 2.0)
    reconnects = REGISTRY.get_sample_value("engine_listener_reconnects_total")
    async with running(engine):
        await until(lambda: _subscribers(engine))
        pipeline = raw(engine).pipeline(transaction=False)
        for number in range(2000):
            pipeline.publish(expirer.CHANNEL.format(db=0), f"{{gala}}:hold:{number:026}")
        await pipeline.execute()

        async def hung_up() -> bool:
            return not await _subscribers(engine)

        await until(hung_up)
        assert REGISTRY.get_sample_value("engine_listener_up") == 1
        before = _released("sweep")
        booking = await _held(engine)
        await until(lambda: _is_expired(engine, booking))
        ended = await engine.bookings.read_booking(booking.id, None)
        assert 0 <= (ended.ended_at_ms or 0) - ended.expires_at_ms < 1000
        assert _released("sweep") == before + 1
        await until(lambda: _subscribers(engine))
        assert REGISTRY.get_sample_value("engine_listener_reconnects_total") == reconnects


async def test_rush_of_one_event_does_not_keep_another_waiting(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn asks every event that is due: here the rush never ends."""
    monkeypatch.setattr(Expirer, "_listen", lambda _: asyncio.sleep(60))
    rush = EventId("rush")
    asked = engine.bookings.expire_bookings

    async def endless(event: EventId, ulids: Sequence[str] = (), *, path: str) -> Expired:
        found = await asked(event, ulids, path=path)
        return replace(found, late_ms=(0,) * EXPIRE_MAX) if event == rush else found

    monkeypatch.setattr(engine.bookings, "expire_bookings", endless)
    await engine.events.load_event(rush, layout(), terms())
    async with running(engine):
        booking = await _held(engine)
        await until(lambda: _is_expired(engine, booking))
    ended = await engine.bookings.read_booking(booking.id, None)
    assert 0 <= (ended.ended_at_ms or 0) - ended.expires_at_ms < 1000
