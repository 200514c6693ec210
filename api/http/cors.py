"""Which pages of other origins may call the API: CORS_ORIGINS, and none without it.

Starlette's middleware, put in only when the setting asks for it: without it a call pays nothing.
Credentials are never allowed: the API has no cookies, a token is sent by hand.
"""

import re
from functools import partial

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import Misconfigured

MAX_AGE_S = 600
SENT = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Request-ID")
EXPOSED = (
    *("ETag", "Location", "Retry-After", "X-Request-ID", "WWW-Authenticate"),
    *("RateLimit", "RateLimit-Policy"),
)

_ORIGIN = re.compile(r"https?://[a-zA-Z0-9.:\[\]-]+")


def with_cors(app: ASGIApp, setting: str) -> ASGIApp:
    """The app for pages of the origins of CORS_ORIGINS too. Raises Misconfigured."""
    origins = _origins_of(setting)
    if not origins:
        return app
    return _Cors(
        app,
        allow_origins=origins,
        allow_methods=("GET", "POST", "PATCH", "PUT", "DELETE"),
        allow_headers=SENT,
        expose_headers=EXPOSED,
        max_age=MAX_AGE_S,
    )


class _Cors(CORSMiddleware):
    """Starlette's, which answers a browser's question before a call itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            send = partial(_send_accounted, scope, send)
        await super().__call__(scope, receive, send)


async def _send_accounted(scope: Scope, send: Send, message: Message) -> None:
    """Do for its answer what `answers.send_answer` does for ours."""
    if message["type"] == "http.response.start" and "api.status" not in scope:
        scope["api.status"] = message["status"]
        message["headers"] = [*message["headers"], *scope["api.headers"]]
    await send(message)


def _origins_of(setting: str) -> list[str]:
    origins = [origin.strip() for origin in setting.split(",") if origin.strip()]
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise Misconfigured(
                f"CORS_ORIGINS: {origin!r} is no origin: write https://host or https://host:port, "
                "with no path and no slash at its end, or * for any"
            )
    return origins
