"""A baseline behind HTTP: `uvicorn bench.baselines.app:app`, with BASELINE naming the method.

The endpoint is that of `bench.rig.bare`: the same token check, the same JSON in and out; the
booking is made in between.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.baselines import METHODS
from bench.baselines.method import HoldRefused
from bench.baselines.tables import CONNECTIONS
from bench.rig.bare import asked, booked
from engine.settings import settings


@asynccontextmanager
async def _connected(app: Starlette) -> AsyncIterator[None]:
    async with await METHODS[os.environ["BASELINE"]](settings.load(), CONNECTIONS) as method:
        app.state.method = method
        yield


async def hold(request: Request) -> Response:
    """Hold the seats, or 409."""
    customer, body = await asked(request)
    event = body.seat_ids[0].partition(":")[0]
    try:
        ulid = await request.app.state.method.hold(
            body.seat_ids, customer, request.headers.get("idempotency-key")
        )
    except HoldRefused:
        return Response(b'{"code":"refused"}', 409, media_type="application/problem+json")
    return booked(f"{event}:{ulid}", event, body.seat_ids)


app = Starlette(routes=[Route("/api/v1/booking", hold, methods=["POST"])], lifespan=_connected)
