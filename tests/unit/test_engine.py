"""Connecting: which servers are accepted, and how the others are refused."""

from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from engine import Engine, Misconfigured, Settings, Unavailable
from engine.settings.settings import load


async def _refused(settings: Settings, **over: str) -> str:
    with pytest.raises((Misconfigured, Unavailable)) as caught:
        await Engine.connect(msgspec.structs.replace(settings, **over))
    return str(caught.value)


async def test_connect_with_less_durability_than_asked_is_refused(
    settings: Settings, redis: Redis
) -> None:
    await redis.config_set("appendfsync", "everysec")
    try:
        assert "appendfsync everysec" in await _refused(settings)
        relaxed = msgspec.structs.replace(settings, durability="async")
        await (await Engine.connect(relaxed)).close()
    finally:
        await redis.config_set("appendfsync", "always")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_connect_to_a_server_that_evicts_is_refused(
    settings: Settings, redis: Redis, policy: str
) -> None:
    await redis.config_set("maxmemory-policy", policy)
    try:
        assert f"maxmemory-policy {policy}" in await _refused(settings)
        assert "set `maxmemory-policy noeviction`" in await _refused(settings, durability="async")
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")


async def test_connect_without_config_still_refuses_a_server_that_evicts(
    settings: Settings, redis: Redis
) -> None:
    await redis.acl_setuser(
        "api", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-config"]
    )
    await redis.config_set("maxmemory-policy", "volatile-lru")
    url = settings.redis_url.replace("unix://", "unix://api:pw@")
    try:
        assert "maxmemory-policy volatile-lru" in await _refused(settings, redis_url=url)
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.acl_deluser("api")


async def test_connect_with_no_server_names_the_place(settings: Settings) -> None:
    said = await _refused(settings, redis_url="redis://:secret@127.0.0.1:1/0")
    assert "redis://127.0.0.1:1 cannot be reached" in said
    assert "secret" not in said


async def test_connect_without_a_password_says_so(settings: Settings, redis: Redis) -> None:
    await redis.acl_setuser("default", enabled=True, passwords=["+pw"], reset_passwords=True)
    try:
        assert "password" in await _refused(settings)
        wrong = settings.redis_url.replace("unix://", "unix://default:nope@")
        assert "password" in await _refused(settings, redis_url=wrong)
        right = settings.redis_url.replace("unix://", "unix://default:pw@")
        engine = await Engine.connect(msgspec.structs.replace(settings, redis_url=right))
        await engine.ping()
        await engine.close()
    finally:
        await redis.acl_setuser("default", enabled=True, nopass=True)


async def test_connect_as_a_user_that_may_not_ask_goes_on(settings: Settings, redis: Redis) -> None:
    """The API's account needs no CONFIG; what cannot be checked is said in the log."""
    await redis.acl_setuser(
        "api", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-config", "-info"]
    )
    url = settings.redis_url.replace("unix://", "unix://api:pw@")
    engine = await Engine.connect(msgspec.structs.replace(settings, redis_url=url))
    await engine.ping()
    await engine.close()
    await redis.acl_deluser("api")


@pytest.mark.parametrize("url", ["", "http://x", "redis//x"])
async def test_connect_with_a_wrong_url_names_the_variable(settings: Settings, url: str) -> None:
    assert "REDIS_URL" in await _refused(settings, redis_url=url)


async def test_connect_to_a_server_that_is_too_old_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def old(*_: object) -> dict[str, str]:
        return {"redis_version": "6.2.14"}

    monkeypatch.setattr(Redis, "info", old)
    assert "redis 6.2.14; redis 7.0 or newer" in await _refused(settings)


async def test_parts_running_names_the_parts_with_a_heartbeat(engine: Engine) -> None:
    await engine.beat("writer")
    assert await engine.parts_running(["writer", "expirer"]) == {"writer": True, "expirer": False}


def test_load_settings_names_the_wrong_variable() -> None:
    with pytest.raises(Misconfigured, match="REDIS_TIMEOUT_MS"):
        load({"REDIS_TIMEOUT_MS": "many"})
    with pytest.raises(Misconfigured, match="DURABILITY"):
        load({"DURABILITY": "maybe"})
    with pytest.raises(Misconfigured, match="JWT_SECRET_FILE"):
        load({"JWT_SECRET_FILE": "/nowhere/at/all"})


def test_load_settings_reads_secrets_from_files(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("s" * 40 + "\n")
    assert load({"JWT_SECRET_FILE": str(path)}).jwt_secret == "s" * 40
