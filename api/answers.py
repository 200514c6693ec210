"""What goes out: an answer whose bytes are ready, and how it is sent."""

from msgspec import Struct
from starlette.types import Send

Header = tuple[bytes, bytes]

JSON = b"application/json"
_WITHOUT_BODY = (204, 304)


class Answer(Struct, frozen=True):
    """`status` 0 stands for the route's own status of success."""

    body: bytes
    headers: tuple[Header, ...] = ()
    status: int = 0
    content_type: bytes = JSON


async def send_answer(send: Send, answer: Answer, status: int, *, head: bool) -> None:
    """Send it; to HEAD without its body."""
    headers: list[Header] = [*answer.headers]
    if status not in _WITHOUT_BODY:
        headers.append((b"content-type", answer.content_type))
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else answer.body})
