"""Every connection tells its server which process it belongs to."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
from redis.asyncio import Redis

from bench.rig.stand import free_port
from engine import Engine, Settings, client_name
from persistence.database import connect
from tests.support.waiting import until

_ROOT = Path(__file__).parents[2]
_COMMANDS = {"api": "serve", "writer": "write", "expirer": "expire", "deliverer": "deliver"}


@asynccontextmanager
async def _running(settings: Settings, folder: Path) -> AsyncIterator[None]:
    """One process for each part."""
    environ = {
        **os.environ,
        "REDIS_URL": settings.redis_url,
        "DATABASE_URL": settings.database_url,
        "JWT_SECRET": settings.jwt_secret,
    }
    processes = []
    for command in _COMMANDS.values():
        port = ["--port", str(free_port())] if command == "serve" else []
        arguments = ["-m", "engine", command, *port, "--data", str(folder)]
        processes.append(
            await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                cwd=_ROOT,
                env=environ,
                stderr=asyncio.subprocess.DEVNULL,
            )
        )
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        await asyncio.gather(*(process.wait() for process in processes))


async def test_connections_of_every_part_have_its_name(
    settings: Settings, database_url: str, redis: Redis, tmp_path: Path
) -> None:
    own_id = await redis.client_id()

    async def in_redis() -> set[str]:
        return {c["name"] for c in await redis.client_list() if c["id"] != str(own_id)}

    async def in_postgres() -> set[str]:
        rows = await probe.fetch(
            "SELECT DISTINCT application_name AS name FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return {row["name"] for row in rows}

    probe = await asyncpg.connect(database_url)
    before = await in_redis()
    settings = msgspec.structs.replace(settings, database_url=database_url)
    expected = {f"ticketing-{part}" for part in _COMMANDS}

    async def all_named() -> bool:
        return await in_redis() - before == expected and await in_postgres() == {
            "ticketing-writer",
            "ticketing-deliverer",
        }

    async with _running(settings, tmp_path):
        await until(all_named)  # none is without a name
    await probe.close()


async def test_connections_of_a_library_are_named_too(
    settings: Settings, database_url: str, redis: Redis
) -> None:
    client_name.set_part("shop")
    try:
        async with await Engine.connect(settings) as engine, await connect(database_url) as pool:
            await engine.ping()
            await engine.client.time()
            names = [client["name"] for client in await redis.client_list()]
            assert names.count("ticketing-shop") == 2
            assert await pool.fetchval("SHOW application_name") == "ticketing-shop"
    finally:
        client_name._name = client_name._PREFIX


async def test_a_name_in_the_url_of_postgres_stays(database_url: str) -> None:
    mark = "&" if "?" in database_url else "?"
    async with await connect(f"{database_url}{mark}application_name=box-office") as pool:
        assert await pool.fetchval("SHOW application_name") == "box-office"
