"""Which pages of other origins may call the API: CORS_ORIGINS, and none without it.

Starlette's middleware, put in only when the setting asks for it: without it a call pays nothing.
Credentials are never allowed: the API has no cookies, a token is sent by hand.
"""

import re

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from engine.errors import Misconfigured

MAX_AGE_S = 600
SENT = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Request-ID")
EXPOSED = (
    *("ETag", "Location", "Retry-After", "X-Request-ID", "WWW-Authenticate"),
    *("RateLimit", "RateLimit-Policy"),
)

_ORIGIN = re.compile(r"https?://[a-zA-Z0-9.:\[\]-]+")


def cors_middleware(setting: str) -> list[Middleware]:
    """The middleware for the origins of CORS_ORIGINS. Raises Misconfigured."""
    origins = _origins_of(setting)
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "POST", "PATCH", "PUT", "DELETE"),
            allow_headers=SENT,
            expose_headers=EXPOSED,
            max_age=MAX_AGE_S,
        )
    ]


def _origins_of(setting: str) -> list[str]:
    origins = [origin.strip() for origin in setting.split(",") if origin.strip()]
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise Misconfigured(
                f"CORS_ORIGINS: {origin!r} is no origin: write https://host or https://host:port, "
                "with no path and no slash at its end, or * for any"
            )
    return origins
