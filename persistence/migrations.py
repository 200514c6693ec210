"""Brings the schema up to date: applies the SQL files of `migrations/` in the order of their names.

It has its own runner because alembic needs SQLAlchemy and yoyo needs psycopg. Each file is applied
in its own transaction, which first takes one advisory lock. So any number of processes may start at
once, also behind a connection pooler. Each applied file is recorded with its checksum, and a file
that changed after that is an error. A recorded file that this release does not have is ignored: a
newer release applied it.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import asyncpg

from engine.errors import Misconfigured
from persistence.database import Connection, connect

_DIRECTORY = Path(__file__).with_suffix("")
_LOCK = 0x7469636B6574  # "ticket": one lock for every process that migrates this database

_CREATE = """
CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


async def migrate(url: str) -> list[str]:
    """Apply the missing files and return their names; safe to run at any time.

    Raises Misconfigured when an applied file has changed or Postgres rejects one, Unavailable
    while Postgres is away.
    """
    pool = await connect(url)
    try:
        async with pool.acquire() as connection:
            return await apply(connection, _read_files(_DIRECTORY))
    except asyncpg.PostgresError as error:
        raise Misconfigured(f"Postgres rejected a migration: {error}") from error
    finally:
        await pool.close()


async def apply(connection: Connection, files: Mapping[str, str]) -> list[str]:
    """Apply the files (name -> SQL) that are missing, in the given order."""
    return [name for name, sql in files.items() if await _apply_file(connection, name, sql)]


async def _apply_file(connection: Connection, name: str, sql: str) -> bool:
    checksum = sha256(sql.encode()).hexdigest()
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(_CREATE)
        applied = await connection.fetchval("SELECT checksum FROM migrations WHERE name = $1", name)
        if applied is None:
            await connection.execute(sql)
            await connection.execute(
                "INSERT INTO migrations (name, checksum) VALUES ($1, $2)", name, checksum
            )
    if applied not in (None, checksum):
        raise Misconfigured(
            f"migration {name} was changed after it was applied: "
            "restore the file and put the change into a new one"
        )
    return applied is None


def _read_files(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted(directory.glob("*.sql"))}
