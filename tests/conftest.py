"""Fixtures on real servers: `redis_url`, `database_url`, `redis`, `settings` and `engine`."""

from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
from redis.asyncio import Redis

from engine import Engine, Settings, logs
from tests.support.box_office import BoxOffice
from tests.support.servers import SessionServers

pytest_plugins = ("tests.support.trials",)

# By default Hypothesis fails a test that takes more than 200 ms for one example.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def usual_logs() -> None:
    """The log level of a fresh process, whatever a command run in this one has set before."""
    logs.configure()


@pytest.fixture(scope="session")
def session_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionServers]:
    """The session's servers; nothing runs before it is asked for."""
    servers = SessionServers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def redis_url(session_servers: SessionServers) -> str:
    """A Valkey that runs as in production: `appendfsync always`, notifications on."""
    return session_servers.redis_url


@pytest.fixture
async def database_url(session_servers: SessionServers) -> AsyncIterator[str]:
    """A database of this test alone, with the schema and no rows."""
    url = await session_servers.create_database()
    yield url
    await session_servers.drop_database(url)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of the emptied Valkey; replies are bytes."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
        yield client


@pytest.fixture
def settings(redis: Redis, redis_url: str, request: pytest.FixtureRequest) -> Settings:
    """Settings of the emptied Valkey, and of the test's database if it asks for one."""
    needs_database = "database_url" in request.fixturenames
    return Settings(
        redis_url=redis_url,
        database_url=request.getfixturevalue("database_url") if needs_database else "",
        jwt_secret="s" * 48,
        rate_limits="off",
        payment_webhook_secret="p" * 32,
        payments="demo",
        stripe_webhook_secret="p" * 32,
    )


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[Engine]:
    """A connected engine."""
    async with await Engine.connect(settings) as connected:
        yield connected


@pytest.fixture
def office(engine: Engine, redis: Redis) -> BoxOffice:
    """A box office with its own clock; no event is loaded yet: `await office.open(...)`."""
    return BoxOffice(engine, redis)
