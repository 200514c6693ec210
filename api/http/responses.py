"""What goes out: an answer whose bytes are ready, and how it is sent.

Every answer carries the headers that keep a browser from making of it what it is not. They are
tuples made once: a hold pays for their bytes alone.

Our own server takes an answer in one piece (`OnePiece`): ASGI's two messages have it look at every
header again. Any other server, and any middleware that wants to see the messages, gets them.
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
"""The Content-Security-Policy of what is no page: nothing may be loaded, nothing may frame it."""

_WITHOUT_BODY = (204, 304)


class Response(Struct, frozen=True, gc=False):
    """`status` 0 stands for the route's own status of success. `policy` is its CSP."""

    body: bytes
    headers: tuple[Header, ...] = ()
    status: int = 0
    content_type: bytes = JSON
    policy: bytes = DATA_POLICY


class OnePiece:
    """Whose bound methods `receive` and `send` are, if it can do better than ASGI's messages.

    No ABC: to ask for one costs a call more than it saves.
    """

    def take_body(self) -> bytes | None:
        """The request's body, if all of it has come; None: to be asked for by messages."""
        raise NotImplementedError

    def send_whole(self, status: int, head: bytes, body: bytes) -> bool:
        """Send an answer: the lines of its headers, each with its end, and its body.

        False: not this one, and nothing was sent.
        """
        raise NotImplementedError


async def send_answer(
    scope: Scope, send: Send, answer: Response, status: int, always: tuple[Header, ...] = SAFE
) -> None:
    """Send it; to HEAD without its body. `always` are the headers of every answer of its kind.

    The status is left in the scope for the edge, whose headers go with the answer: wrapping `send`
    there would cost every call two closures more.
    """
    scope["api.status"] = status
    own: list[Header] = [*answer.headers, *scope["api.headers"]]
    if status not in _WITHOUT_BODY:
        own.append((b"content-length", b"%d" % len(answer.body)))
    content_type = b"" if status in _WITHOUT_BODY else answer.content_type
    server = getattr(send, "__self__", None)
    if isinstance(server, OnePiece):
        head = b"".join([b"%b: %b\r\n" % header for header in own])
        if head.count(b"\n") == head.count(b"\r") == len(own):  # no value brings a line of its own
            head += _lines(always, answer.policy, content_type)
            if server.send_whole(status, head, answer.body):
                return
    headers = [*own, *_common(always, answer.policy, content_type)]
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _common(always: tuple[Header, ...], policy: bytes, content_type: bytes) -> tuple[Header, ...]:
    typed: tuple[Header, ...] = ((b"content-type", content_type),) if content_type else ()
    return (*always, (b"content-security-policy", policy), *typed)


@cache
def _lines(always: tuple[Header, ...], policy: bytes, content_type: bytes) -> bytes:
    """The same for all answers of a kind: there are a dozen kinds."""
    return b"".join([b"%b: %b\r\n" % header for header in _common(always, policy, content_type)])
