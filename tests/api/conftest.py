"""The app on the real Valkey, called in process."""

from collections.abc import AsyncIterator

import pytest
from httpx2 import ASGITransport, AsyncClient
from redis.asyncio import Redis

from api.app import create_app
from api.stores import NoStores
from engine import Engine, Settings
from persistence.stores.stores import PostgresStores
from tests.api.cases import needs_postgres
from tests.api.client import Api
from tests.api.visitor import Mailbox, Visitor
from tests.support.box_office import BoxOffice


@pytest.fixture
def stores(request: pytest.FixtureRequest) -> NoStores | PostgresStores:
    """Postgres, for a test that asks for a database or calls a route that needs one."""
    callspec = getattr(request.node, "callspec", None)
    route = callspec.params.get("route") if callspec else None
    if "database_url" in request.fixturenames or (route and needs_postgres(route)):
        return PostgresStores(request.getfixturevalue("database_url"))
    return NoStores()


@pytest.fixture
async def api(
    settings: Settings, engine: Engine, redis: Redis, stores: NoStores | PostgresStores
) -> AsyncIterator[Api]:
    """The started app, and a box office beside it that needs no HTTP."""
    app = create_app(settings, stores)
    transport = ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=transport, base_url="http://api") as http,
    ):
        yield Api(http, BoxOffice(engine, redis), stores)


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    """The mails that were sent, instead of sending them."""
    return Mailbox(monkeypatch)


@pytest.fixture
def ann(api: Api, mailbox: Mailbox, database_url: str) -> Visitor:
    """A visitor with no account yet, at an API that has Postgres."""
    return Visitor(api, mailbox)
