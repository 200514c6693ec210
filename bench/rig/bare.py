"""The least a Python endpoint can do: the measure that answers over HTTP are compared with.

Starlette with its own Request and Response, as anybody would write it. No Redis, no metrics, no
log. A hold: the token is checked and the JSON decoded as the API does, and the answer is a booking
as the API tells it. A read: the bytes of a file (BARE_ANSWER), or 304.
"""

import os
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.bookings import HoldBody
from api.http.payloads import encode
from api.http.tokens import Tokens
from engine.booking_view import BookingView
from engine.ids import CustomerId
from engine.models import BookingStatus

_tokens = Tokens(os.environ["JWT_SECRET"])
_decode = msgspec.json.Decoder(HoldBody).decode
_answer = Path(os.environ["BARE_ANSWER"]).read_bytes() if "BARE_ANSWER" in os.environ else b""
_ETAG = {"etag": '"1-0"', "cache-control": "no-cache"}


async def asked(request: Request) -> tuple[CustomerId, HoldBody]:
    """The caller and the call: the part that the baselines have in common with this."""
    caller = _tokens.caller(request.headers["authorization"].encode())
    return caller.customer_id, _decode(await request.body())


def booked(booking_id: str, event: str, seat_ids: tuple[str, ...]) -> Response:
    """The answer to a hold."""
    booking = BookingView(
        id=booking_id,
        event_id=event,
        status=BookingStatus.PENDING,
        seat_ids=seat_ids,
        areas=(),
        amount_minor=8900,
        currency="EUR",
        held_at="2030-06-01T19:30:00.000Z",
        expires_at="2030-06-01T19:45:00.000Z",
        late=False,
    )
    return Response(encode(booking), 201, media_type="application/json")


async def hold(request: Request) -> Response:
    """Answer as if the seats were held."""
    _, body = await asked(request)
    event, _, _ = body.seat_ids[0].partition(":")
    return booked(f"{event}:01JZ0000000000000000000000", event, body.seat_ids)


async def read(_: Request) -> Response:
    """The given bytes."""
    return Response(_answer, 200, _ETAG, media_type="application/json")


async def read_unchanged(_: Request) -> Response:
    """Nothing has changed, whatever the client has."""
    return Response(b"", 304, _ETAG)


app = Starlette(
    routes=[
        Route("/api/v1/booking", hold, methods=["POST"]),
        Route("/read", read),
        Route("/unchanged", read_unchanged),
    ]
)
