"""The app of one API process, put together: `uvicorn --factory cli.app:app_factory`."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.types import ASGIApp

from api.app import create_app
from api.server.draining import draining_on_signals
from cli import tracing
from engine import logs
from engine.settings import settings
from persistence.stores.stores import PostgresStores

GARBAGE_COUNT = 10_000
"""Objects made until the collector looks at the young: a request makes dozens and leaves none."""


def app_factory() -> ASGIApp:
    """The app with the settings of the environment. Postgres is asked when it is first needed."""
    found = settings.load()
    logs.configure(found.log_level)
    logs.say_crashes("api")
    provider = tracing.begin("api")
    app = create_app(found, PostgresStores(found.database_url))
    running = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with draining_on_signals(found.drain_wait_s):
            async with running(app):
                gc.freeze()  # what is there now stays: the collector need not look at it again
                gc.set_threshold(GARBAGE_COUNT)
                yield
            await tracing.flush(provider)

    app.router.lifespan_context = lifespan
    return tracing.TracedApp(app, provider.get_tracer("ticket-wars")) if provider else app
