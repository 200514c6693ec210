"""What goes out: an answer whose bytes are ready, and how it is sent.

Every answer carries the headers that keep a browser from making of it what it is not. They are
tuples made once: a hold pays for their bytes alone.
"""

from msgspec import Struct
from starlette.types import Scope, Send

Header = tuple[bytes, bytes]

JSON = b"application/json"
NO_STORE: Header = (b"cache-control", b"no-store")
SAFE: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
DATA_POLICY = b"default-src 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of what is no page: nothing may be loaded, nothing may frame it."""

_WITHOUT_BODY = (204, 304)


class Answer(Struct, frozen=True, gc=False):
    """`status` 0 stands for the route's own status of success. `policy` is its CSP."""

    body: bytes
    headers: tuple[Header, ...] = ()
    status: int = 0
    content_type: bytes = JSON
    policy: bytes = DATA_POLICY


async def send_answer(
    scope: Scope, send: Send, answer: Answer, status: int, always: tuple[Header, ...] = SAFE
) -> None:
    """Send it; to HEAD without its body. `always` are the headers of every answer of its kind.

    The status is left in the scope for the edge, whose headers go with the answer: wrapping `send`
    there would cost every call two closures more.
    """
    scope["api.status"] = status
    headers: list[Header] = [
        *answer.headers,
        *always,
        *scope["api.headers"],
        (b"content-security-policy", answer.policy),
    ]
    if status not in _WITHOUT_BODY:
        headers.append((b"content-type", answer.content_type))
        headers.append((b"content-length", b"%d" % len(answer.body)))
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
