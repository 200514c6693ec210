"""CORS: CORS_ORIGINS names the origins whose pages may call the API; by default there are none.

Starlette's middleware is added only if the setting names an origin, so without it a call pays
nothing. Credentials are never allowed: the API has no cookies, a page sends its token in a header.
"""

import re
from functools import partial

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.responses import EDGE_HEADERS, STATUS
from engine.errors import Misconfigured

MAX_AGE_S = 600
REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "X-Request-ID",
)
EXPOSED_HEADERS = (
    "ETag",
    "Location",
    "Retry-After",
    "X-Request-ID",
    "WWW-Authenticate",
    "RateLimit",
    "RateLimit-Policy",
)

_ORIGIN = re.compile(r"https?://[a-zA-Z0-9.:\[\]-]+")


def with_cors(app: ASGIApp, setting: str) -> ASGIApp:
    """The app, with CORS if CORS_ORIGINS names an origin. Raises Misconfigured."""
    origins = _origins_of(setting)
    if not origins:
        return app
    return _Cors(
        app,
        allow_origins=origins,
        allow_methods=("GET", "POST", "PATCH", "PUT", "DELETE"),
        allow_headers=REQUEST_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=MAX_AGE_S,
    )


class _Cors(CORSMiddleware):
    """Starlette's middleware, which responds to a preflight request by itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            send = partial(_send_preflight, scope, send)
        await super().__call__(scope, receive, send)


async def _send_preflight(scope: Scope, send: Send, message: Message) -> None:
    """Do for its response what `responses.send_response` does for ours."""
    if message["type"] == "http.response.start" and STATUS not in scope:
        scope[STATUS] = message["status"]
        message["headers"] = [*message["headers"], *scope[EDGE_HEADERS]]
    await send(message)


def _origins_of(setting: str) -> list[str]:
    origins = [origin.strip() for origin in setting.split(",") if origin.strip()]
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise Misconfigured(
                f"CORS_ORIGINS: {origin!r} is not an origin: write https://host or "
                "https://host:port without a path or a trailing slash, or * for any origin"
            )
    return origins
