"""The migration runner: several at once, and history that must not change."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from engine import Misconfigured, Unavailable
from persistence import migrations
from persistence.database import connect

EVERY_FILE = sorted(p.name for p in Path(migrations.__file__).with_suffix("").glob("*.sql"))


@pytest.fixture
async def empty_database_url(database_url: str) -> str:
    """A database without the schema."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    return database_url


async def test_migrate_empty_database_applies_every_file_once(empty_database_url: str) -> None:
    assert await migrations.migrate(empty_database_url) == EVERY_FILE
    assert await migrations.migrate(empty_database_url) == []


async def test_migrate_several_at_once_applies_each_file_once(empty_database_url: str) -> None:
    applied = await asyncio.gather(*(migrations.migrate(empty_database_url) for _ in range(6)))
    assert sorted(name for names in applied for name in names) == EVERY_FILE


async def test_migrate_changed_file_refuses(database_url: str) -> None:
    pool = await connect(database_url)
    async with pool, pool.acquire() as connection:
        assert await migrations.apply(connection, {"a.sql": "SELECT 1"}) == ["a.sql"]
        with pytest.raises(Misconfigured, match=r"a\.sql was changed after it was applied"):
            await migrations.apply(connection, {"a.sql": "SELECT 2"})


async def test_migrate_broken_file_leaves_nothing_of_it(database_url: str) -> None:
    files = {"a.sql": "CREATE TABLE kept (x int)", "b.sql": "CREATE TABLE lost (x int); SELECT 1/0"}
    pool = await connect(database_url)
    async with pool, pool.acquire() as connection:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrations.apply(connection, files)
        assert await connection.fetchval("SELECT to_regclass('kept')") is not None
        assert await connection.fetchval("SELECT to_regclass('lost')") is None
        assert await migrations.apply(connection, files | {"b.sql": "SELECT 1"}) == ["b.sql"]


async def test_migrate_file_of_a_newer_release_is_left_alone(database_url: str) -> None:
    pool = await connect(database_url)
    async with pool, pool.acquire() as connection:
        await migrations.apply(connection, {"9999_newer.sql": "SELECT 1"})
    assert await migrations.migrate(database_url) == []


async def test_migrate_absent_server_says_where() -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/tickets cannot be reached"):
        await migrations.migrate("postgresql://ada:secret@127.0.0.1:1/tickets")
