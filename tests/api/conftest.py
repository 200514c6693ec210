"""The app on the real Valkey, called in process."""

from collections.abc import AsyncIterator

import pytest
from httpx2 import ASGITransport, AsyncClient
from redis.asyncio import Redis

from api.app import create_app
from engine import Engine, Settings
from tests.api.client import Api
from tests.support.box_office import BoxOffice


@pytest.fixture
async def api(settings: Settings, engine: Engine, redis: Redis) -> AsyncIterator[Api]:
    """The started app, and a box office beside it that needs no HTTP."""
    app = create_app(settings)
    transport = ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=transport, base_url="http://api") as http,
    ):
        yield Api(http, BoxOffice(engine, redis))
