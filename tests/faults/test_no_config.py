"""A Redis without CONFIG, as managed services have it: the engine starts, warns and sells."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import redis

from engine import Engine, Misconfigured, Settings
from engine.expirer import Expirer
from engine.gauges import Gauges
from engine.metrics import metrics
from tests.persistence.running import running
from tests.support.factories import GALA, layout, selection, terms
from tests.support.own_valkey import OwnValkey
from tests.support.waiting import until


class _NoConfig(OwnValkey):
    """`rename-command CONFIG ""`; notifications are off, as on a server of others."""

    def command(self, run: Path, keep: list[int]) -> list[str]:
        return [*super().command(run, keep), "--rename-command", "CONFIG", ""]

    def answering_pid(self) -> int | None:
        """Its folder cannot be read; no other server has this socket."""
        with self._client() as client:
            try:
                pid: int = client.info("server")["process_id"]
            except redis.RedisError:
                return None
        return pid


@pytest.fixture
async def without_config(tmp_path: Path, settings: Settings) -> AsyncIterator[Settings]:
    """Settings of a running server without CONFIG."""
    valkey = _NoConfig(tmp_path / "valkey", notify_keyspace_events="")
    valkey.start()
    yield msgspec.structs.replace(settings, redis_url=valkey.url)
    valkey.stop()


async def test_the_engine_starts_and_warns(
    without_config: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async with await Engine.connect(without_config) as engine:
        await engine.ping()
    assert "durability_not_checked" in capsys.readouterr().err


async def test_the_expirer_releases_by_its_sweep_and_measures(without_config: Settings) -> None:
    async with await Engine.connect(without_config) as engine:
        await engine.events.load_event(GALA, layout(), terms(hold_ttl_ms=1000, hold_max_ms=1000))
        await engine.bookings.hold_seats(selection("ann", "A-1-1"))

        async def released() -> bool:
            return (await engine.events.read_event(GALA)).counts.held == 0

        async with running(Expirer(engine)):
            await until(released)
        await Gauges(engine, "fsync").read_server()
        assert (metrics.redis_up._value.get(), metrics.durability_reached._value.get()) == (1, 1)


async def test_a_server_that_evicts_is_refused_all_the_same(
    tmp_path: Path, settings: Settings
) -> None:
    """INFO names the policy."""
    valkey = _NoConfig(tmp_path / "valkey", maxmemory_policy="allkeys-lru")
    await asyncio.to_thread(valkey.start)
    try:
        with pytest.raises(Misconfigured, match="maxmemory-policy allkeys-lru"):
            await Engine.connect(msgspec.structs.replace(settings, redis_url=valkey.url))
    finally:
        valkey.stop()
