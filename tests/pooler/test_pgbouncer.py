"""PgBouncer in transaction mode, a session for each transaction: all that uses Postgres works."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from embedded import postgres
from engine import Engine, Settings
from persistence import migrations
from persistence.database import Pool, connect
from persistence.journal.writer import Writer
from persistence.restorer import Restorer, RestoreRuns
from tests.persistence.running import drained, running
from tests.persistence.sale import Sale
from tests.support.factories import GALA, selection
from tests.support.waiting import until

pytestmark = pytest.mark.pgbouncer

_CONFIG = """
[databases]
* = host={host} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
server_round_robin = 1
"""


def _program() -> str:
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "pgbouncer is missing: apt-get install pgbouncer"
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _pgbouncer(host: str, port: int) -> Iterator[None]:
    """It refuses to run as root, and runs as the user of the embedded Postgres then."""
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder:
        Path(folder).chmod(0o755)
        config = Path(folder, "pgbouncer.ini")
        config.write_text(_CONFIG.format(host=host, port=port))
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                [_program(), str(config)], stdout=log, stderr=log, **postgres._identity()
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture
async def pooled_url(database_url: str) -> AsyncIterator[str]:
    """The test's database behind a pooler that gives each transaction another session."""
    port = _free_port()
    url = f"postgresql://postgres@127.0.0.1:{port}{urlsplit(database_url).path}"
    with _pgbouncer(parse_qs(urlsplit(database_url).query)["host"][0], port):
        await until(lambda: _answers(url))
        yield url


async def _answers(url: str) -> bool:
    try:
        await (await asyncpg.connect(url, statement_cache_size=0)).close()
    except OSError:
        return False
    return True


@pytest.fixture
async def pooled(pooled_url: str) -> AsyncIterator[Pool]:
    """A pool through the pooler."""
    async with await connect(pooled_url) as pool:
        yield pool


async def test_migrations_run_at_once_from_several_processes(pooled_url: str, pool: Pool) -> None:
    await pool.execute("DROP SCHEMA public CASCADE")
    await pool.execute("CREATE SCHEMA public")
    applied = await asyncio.gather(*(migrations.migrate(pooled_url) for _ in range(4)))
    assert sum(map(len, applied)) == len(await pool.fetch("SELECT FROM migrations"))


async def test_the_name_of_the_process_passes_the_pooler(pooled: Pool) -> None:
    named = await asyncio.gather(*(pooled.fetchval("SHOW application_name") for _ in range(8)))
    assert named == ["ticketing"] * 8


async def test_two_writers_and_the_reconciler_agree(
    engine: Engine, pooled_url: str, settings: Settings, redis: Redis
) -> None:
    async with await connect(pooled_url) as one, await connect(pooled_url) as two:
        sale = Sale(engine, one, redis)
        await sale.open()
        quick = msgspec.structs.replace(settings, writer_batch_wait_ms=1)
        async with running(Writer(engine, one, quick), Writer(engine, two, quick)):
            for _ in range(40):
                held = await engine.bookings.hold_seats(selection("bob", "A-2-1"))
                await engine.bookings.release_booking(held.id, None)
            await drained(engine)
        reports = await asyncio.gather(*(sale.reconcile() for _ in range(8)))
        assert [list(report.differences) for report in reports] == [[]] * 8


async def test_a_restore_has_its_lease_and_gives_it_back(
    engine: Engine, pooled: Pool, redis: Redis
) -> None:
    sale = Sale(engine, pooled, redis)
    await sale.open()
    await redis.delete("{gala}:seats")
    restorer = Restorer(engine, pooled)
    async with restorer._lease(GALA):
        for _ in range(8):
            with pytest.raises(RestoreRuns):
                await restorer.restore(GALA)
    for _ in range(3):
        assert (await restorer.restore(GALA)).standing == ()
    assert await sale.found() == []


async def test_no_statement_and_no_lock_stays_in_a_session(
    engine: Engine, pooled: Pool, pool: Pool, redis: Redis
) -> None:
    sale = Sale(engine, pooled, redis)
    await sale.open()
    await Restorer(engine, pooled).restore(GALA)
    assert await pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    left = await asyncio.gather(
        *(pooled.fetchval("SELECT count(*) FROM pg_prepared_statements") for _ in range(8))
    )
    assert left == [0] * 8
