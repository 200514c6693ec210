"""CORS: CORS_ORIGINS names the origins whose pages may call the API; by default there are none.

Starlette's middleware is added only if the setting names an origin, so without it a call pays
nothing. Credentials are never allowed: the API has no cookies, a page sends its token in a header.
"""

from functools import partial

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response as StarletteResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import Problem, response_of
from api.http.responses import EDGE_HEADERS, SAFE, STATUS
from engine.settings import checks

MAX_AGE_S = 600
DOCUMENTED_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Payment-Signature",
    "Stripe-Signature",
    "X-Request-ID",
)
TRACING_HEADERS = ("traceparent", "tracestate", "baggage")
"""W3C Trace Context and Baggage: a traced page sends them with every call, asked or not."""
REQUEST_HEADERS = (*DOCUMENTED_HEADERS, *TRACING_HEADERS)
EXPOSED_HEADERS = (
    "ETag",
    "Location",
    "Retry-After",
    "X-Request-ID",
    "WWW-Authenticate",
    "RateLimit",
    "RateLimit-Policy",
)

_OF_TEXT = ("content-type", "content-length")


def with_cors(app: ASGIApp, setting: str) -> ASGIApp:
    """The app, with CORS if CORS_ORIGINS names an origin. Raises Misconfigured."""
    checks.refuse("CORS_ORIGINS", setting, checks.listed(checks.origin))
    origins = checks.parts(setting)
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

    def preflight_response(self, request_headers: Headers) -> StarletteResponse:
        """As Starlette's; a refusal is a problem that says what is not allowed."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        problem = response_of(Problem("preflight_refused", bytes(response.body).decode()))
        named = {name: value for name, value in response.headers.items() if name not in _OF_TEXT}
        security = {name.decode(): value.decode() for name, value in SAFE}
        return StarletteResponse(
            problem.body,
            problem.status,
            {**named, **security, "content-security-policy": problem.policy.decode()},
            media_type=problem.content_type.decode(),
        )

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
