"""What goes out: a response whose bytes are ready, and how it is sent.

Every response has the headers that keep a browser from guessing a content type, leaking a referrer
or using the device. They are tuples made once, so a hold pays only for their bytes.

Our own server takes a response in one piece (`OnePiece`): with ASGI's two messages, uvicorn would
look at every header again. Any other server, and any middleware that wants to see the messages,
gets the messages.
"""

from functools import cache

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
"""The Content-Security-Policy of data: it loads nothing, and no page may frame it."""

EDGE_HEADERS = "api.edge_headers"
"""Key of the scope: the headers that the edge adds to the response."""
STATUS = "api.status"
"""Key of the scope: the status that was sent; the edge counts it."""
ERROR = "api.error"
"""Key of the scope: the error behind a 5xx; the edge logs it."""

_WITHOUT_BODY = (204, 304)


class Response(Struct, frozen=True, gc=False):
    """`status` 0 stands for the route's own status of success. `policy` is its CSP."""

    body: bytes
    headers: tuple[Header, ...] = ()
    status: int = 0
    content_type: bytes = JSON
    policy: bytes = DATA_POLICY


class OnePiece:
    """A server that can take a body and send a response without ASGI's messages.

    It is found as the owner of the bound methods `receive` and `send`. Not an ABC: an `isinstance`
    check of an ABC costs a call more than it saves.
    """

    def take_body(self) -> bytes | None:
        """The request's body if all of it has arrived; None: read it by messages."""
        raise NotImplementedError

    def send_whole(self, status: int, head: bytes, body: bytes) -> bool:
        """Send a response: its header lines, each with its line end, and its body.

        False: nothing was sent, send it by messages.
        """
        raise NotImplementedError


async def send_response(
    scope: Scope, send: Send, response: Response, status: int, always: tuple[Header, ...] = SAFE
) -> None:
    """Send a response; to HEAD without its body. `always` are the headers shared by its kind.

    The status goes into the scope for the edge, and the edge's headers come from there: wrapping
    `send` in the edge would cost every call two closures more.
    """
    scope[STATUS] = status
    own: list[Header] = [*response.headers, *scope[EDGE_HEADERS]]
    if status not in _WITHOUT_BODY:
        own.append((b"content-length", b"%d" % len(response.body)))
    content_type = b"" if status in _WITHOUT_BODY else response.content_type
    server = getattr(send, "__self__", None)
    if isinstance(server, OnePiece):
        head = b"\r\n".join(map(b": ".join, own))
        if head.count(b"\n") == head.count(b"\r") == len(own) - 1:  # no line break inside a value
            head += _lines(always, response.policy, content_type)
            if server.send_whole(status, head, response.body):
                return
    headers = [*own, *_common(always, response.policy, content_type)]
    body = b"" if scope["method"] == "HEAD" else response.body
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _common(always: tuple[Header, ...], policy: bytes, content_type: bytes) -> tuple[Header, ...]:
    typed: tuple[Header, ...] = ((b"content-type", content_type),) if content_type else ()
    return (*always, (b"content-security-policy", policy), *typed)


@cache
def _lines(always: tuple[Header, ...], policy: bytes, content_type: bytes) -> bytes:
    """The header lines shared by all responses of a kind; there are about a dozen kinds.

    They begin with the end of the line before them.
    """
    common = _common(always, policy, content_type)
    return b"".join([b"\r\n%b: %b" % header for header in common]) + b"\r\n"
