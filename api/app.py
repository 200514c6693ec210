"""The ASGI app, assembled: route table, CORS, edge, and the engine's lifetime.

Our layers wrap Starlette's whole stack. A request for a route of the table passes neither that
stack nor Starlette's router; these get only the paths that the table does not have.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route as StarletteRoute

from api import document, problem_pages
from api.http.calls import Route
from api.http.cors import with_cors
from api.http.middleware import Edge
from api.http.responses import Header
from api.http.router import PathTable, Resource, not_found
from api.metrics import in_flight_measured
from api.routes import ROUTES
from api.routes.path_ids import PATH_IDS
from api.services import Services
from api.stores import NoStores, Stores
from engine import Engine, EngineError, Settings, logs

HSTS: Header = (b"strict-transport-security", b"max-age=31536000")
SWITCH_INTERVAL_S = 0.0005
"""How long a thread that computes keeps the GIL while the event loop wants it.

With CPython's 5 ms, a request waits that long several times while a large event is counted.
"""


def create_app(engine_settings: Settings, stores: Stores | None = None) -> Starlette:
    """Make the app; the engine is connected when it starts.

    Raises: Misconfigured for a JWT_SECRET under 32 bytes or an invalid CORS_ORIGINS. The start of
    the app raises Misconfigured or Unavailable if Redis is misconfigured or down.
    """
    services = Services(engine_settings, stores or NoStores())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        try:
            services.engine = await Engine.connect(engine_settings)
        except EngineError as error:
            logs.get("api").error("start_refused", code=error.code, why=str(error))
            raise
        log_level = services.engine.log_level.followed(engine_settings.log_level)
        accounts = _accounts_running(services)
        async with services.engine, log_level, accounts, in_flight_measured(services):
            yield
        await services.stores.close()

    services.document = document.document()
    services.problem_pages = problem_pages.problem_pages()
    paths: dict[str, list[Route]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, []).append(route)
    resources = [Resource(path, routes, PATH_IDS, services) for path, routes in paths.items()]
    app = Starlette(
        routes=[StarletteRoute(resource.path, resource) for resource in resources],
        lifespan=lifespan,
    )
    table = PathTable(app.build_middleware_stack(), resources)
    app.middleware_stack = Edge(
        with_cors(table, engine_settings.cors_origins), always=_always(engine_settings)
    )
    app.router.redirect_slashes = False
    app.router.default = not_found
    return app


@asynccontextmanager
async def _accounts_running(services: Services) -> AsyncIterator[None]:
    """Follow revoked sessions and the provider's keys; at the end send the queued mails."""
    revocations = services.engine.revocations
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(revocations.followed())
        services.tokens.revoked = revocations.revoked
        await stack.enter_async_context(services.tokens.kept_fresh())
        stack.callback(services.passwords.close)
        stack.push_async_callback(services.mailer.close)
        yield


def _always(settings: Settings) -> tuple[Header, ...]:
    """The headers that the settings add to every response, beside `responses.SAFE`."""
    behind_https = settings.public_url.startswith("https://")
    return (HSTS,) if behind_https else ()
