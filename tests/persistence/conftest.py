"""Fixtures of Postgres, and of a small event that is on sale."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from redis.asyncio import Redis

from engine import Engine, Event, Settings
from persistence.database import Pool, connect
from persistence.journal.tables import Store
from persistence.journal.writer import Writer
from persistence.restorer import Restorer
from tests.persistence.sale import Sale
from tests.persistence.telling import Telling
from tests.support.factories import GALA, layout, terms
from tests.support.proxy import Proxy
from tests.support.receiver import Receiver


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool on the test's own database."""
    async with await connect(database_url) as pool:
        yield pool


@pytest.fixture
def store(pool: Pool) -> Store:
    """A store on the test's own database."""
    return Store(pool)


@pytest.fixture
async def gala(engine: Engine) -> Event:
    """An event of ten seats and fifty standing places, in Redis and on sale."""
    return await engine.events.load_event(GALA, layout(areas={"floor": 50}), terms())


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Settings with which the pending entries of a dead writer are claimed at once."""
    return msgspec.structs.replace(settings, writer_claim_idle_ms=50, writer_batch_wait_ms=1)


@pytest.fixture
def writer(engine: Engine, pool: Pool, quick: Settings) -> Writer:
    """A writer that is not running yet."""
    return Writer(engine, pool, quick)


@pytest.fixture
async def sale(engine: Engine, pool: Pool, redis: Redis) -> Sale:
    """A sale on which both sides agree."""
    sale = Sale(engine, pool, redis)
    await sale.open()
    return sale


@pytest.fixture
def restorer(engine: Engine, pool: Pool) -> Restorer:
    """A restorer that reports no progress."""
    return Restorer(engine, pool)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that accepts every message by default."""
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def telling(engine: Engine, pool: Pool, settings: Settings) -> AsyncIterator[Telling]:
    """The gala, known to Postgres, and a deliverer."""
    telling = Telling(engine, pool, settings)
    await telling.open()
    yield telling
    await telling.close()


@pytest.fixture
async def postgres_proxy(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Proxy]:
    """A proxy to Postgres whose connections can be cut."""
    host = parse_qs(urlsplit(database_url).query)["host"][0]
    folder = tmp_path_factory.mktemp("pg")
    async with Proxy(f"unix://{host}/.s.PGSQL.5432", folder) as proxy:
        yield proxy


@pytest.fixture
async def cuttable_pool(postgres_proxy: Proxy, database_url: str) -> AsyncIterator[Pool]:
    """A pool that goes through the proxy."""
    socket = Path(urlsplit(postgres_proxy.url).path)
    (socket.parent / ".s.PGSQL.5432").symlink_to(socket)
    url = urlsplit(database_url)._replace(query=f"host={socket.parent}").geturl()
    pool = await connect(url)
    yield pool
    pool.terminate()
