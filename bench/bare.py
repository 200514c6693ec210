"""The least a Python endpoint can do: the measure that holds over HTTP are compared with.

Starlette with its own Request and Response, as anybody would write it: the token is checked and
the JSON decoded as the API does, and the answer is a booking as the API tells it. No Redis, no
metrics, no log.
"""

import os

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.auth import Tokens
from api.payloads import BookingShown, HoldBody, encode
from engine.models import BookingStatus

_tokens = Tokens(os.environ["JWT_SECRET"])
_decode = msgspec.json.Decoder(HoldBody).decode


async def hold(request: Request) -> Response:
    """Answer as if the seats were held."""
    _tokens.caller(request.headers["authorization"].encode())
    body = _decode(await request.body())
    event, _, _ = body.seat_ids[0].partition(":")
    booking = BookingShown(
        id=f"{event}:01JZ0000000000000000000000",
        event_id=event,
        status=BookingStatus.PENDING,
        seat_ids=body.seat_ids,
        areas=(),
        amount_minor=8900,
        currency="EUR",
        held_at="2030-06-01T19:30:00.000Z",
        expires_at="2030-06-01T19:45:00.000Z",
        late=False,
    )
    return Response(encode(booking), 201, media_type="application/json")


app = Starlette(routes=[Route("/api/v1/booking", hold, methods=["POST"])])
