"""Real servers for the tests: one Valkey and one Postgres a session, each started when asked for.

TEST_REDIS_URL and TEST_DATABASE_URL name other servers, which the session then has to itself: a
Redis that it empties before each test, and a superuser of a Postgres in which it makes databases.

A missing wheel fails the test that needs it; nothing is skipped. Every test that asks for a
database gets its own, copied from a template that was migrated once.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from embedded import servers
from persistence import migrations

_TEMPLATE = "template_migrated"


def is_running(pid: int) -> bool:
    """Whether the process is there, and not only its exit code waiting to be read."""
    return pid in _processes()


def children_of(pid: int) -> list[int]:
    """The running processes that it started."""
    return [child for child, parent in _processes().items() if parent == pid]


def _processes() -> dict[int, int]:
    """Every running process and its parent."""
    rows = _rows_of_proc() if Path("/proc/self").exists() else _rows_of_ps()
    return {int(pid): int(parent) for pid, state, parent in rows if not state.startswith("Z")}


def _rows_of_proc() -> Iterator[list[str]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended while we looked
            yield [path.parent.name, *path.read_text().rpartition(") ")[2].split()[:2]]


def _rows_of_ps() -> Iterator[list[str]]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,stat=,ppid="], capture_output=True, check=True, text=True
    )
    yield from (line.split() for line in listed.stdout.splitlines())


class SessionServers:
    """The servers of one session, below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[str, servers.Servers] = {}
        self._databases = 0
        self._template_made = False

    @property
    def redis_url(self) -> str:
        """The URL of the session's Valkey."""
        return os.environ.get("TEST_REDIS_URL") or self._start("redis").redis_url

    @property
    def postgres_url(self) -> str:
        """The session's Postgres, as its superuser."""
        return os.environ.get("TEST_DATABASE_URL") or self._start("postgres").database_url

    async def create_database(self) -> str:
        """Make an empty, migrated database and return its URL."""
        if not self._template_made:
            await self._run(f"DROP DATABASE IF EXISTS {_TEMPLATE}")  # of a migration that failed
            await self._run(f"CREATE DATABASE {_TEMPLATE}")
            await migrations.migrate(self._url(_TEMPLATE))
            self._template_made = True
        self._databases += 1
        name = f"test_{self._databases}"
        await self._run(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self._url(name)

    async def drop_database(self, url: str) -> None:
        """Remove it, connections or not."""
        await self._run(f"DROP DATABASE {urlsplit(url).path[1:]} WITH (FORCE)")

    def stop(self) -> None:
        """Stop what was started."""
        for started in self._started.values():
            started.stop()

    def _start(self, name: str) -> servers.Servers:
        if name not in self._started:
            self._started[name] = servers.start(
                self._folder / name, redis=name == "redis", postgres=name == "postgres"
            )
        return self._started[name]

    def _url(self, database: str) -> str:
        return urlsplit(self.postgres_url)._replace(path=f"/{database}").geturl()

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
