"""Assembles the app of one API process: `uvicorn --factory cli.app:app_factory`."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.types import ASGIApp

from api.app import create_app
from api.server.draining import draining_on_signals
from cli import tracing
from engine import client_name, logs
from engine.settings import settings
from persistence.stores.stores import PostgresStores

GARBAGE_COUNT = 10_000
"""New objects that start a collection: a request creates dozens and leaves none."""


def app_factory() -> ASGIApp:
    """The app with the settings of the environment. Connects to Postgres at first use."""
    found = settings.load()
    logs.configure(found.log_level)
    logs.say_crashes("api")
    client_name.set_part("api")
    provider = tracing.begin("api")
    app = create_app(found, PostgresStores(found.database_url))
    running = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with draining_on_signals(found.drain_wait_s):
            async with running(app):
                gc.freeze()  # objects made so far stay: exempt them from collection
                gc.set_threshold(GARBAGE_COUNT)
                yield
            await tracing.flush(provider)

    app.router.lifespan_context = lifespan
    return tracing.TracedApp(app, provider.get_tracer("ticket-wars")) if provider else app
