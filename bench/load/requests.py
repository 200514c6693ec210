"""What a load sends, as the bytes of HTTP/1.1."""

from collections.abc import Sequence
from functools import cached_property
from urllib.parse import urlsplit

from msgspec import Struct

HOLD_PATH = "/api/v1/booking"
CONFIRM_PATH = "/api/v1/payment/{}/confirm"


class Load(Struct, frozen=True, kw_only=True, dict=True):
    """POST these bodies, one a request, then from the first again. Without bodies: GET.

    Every request has its own body, so every hold is for a free seat. A load that runs out of bodies
    starts over, and the refusals count as errors.
    """

    url: str
    bodies: Sequence[str]
    token: str = ""
    path: str = HOLD_PATH
    headers: Sequence[str] = ()

    @cached_property
    def head(self) -> str:
        """A request without its Idempotency-Key, its length and its body."""
        lines = [f"{'POST' if self.bodies else 'GET'} {self.path} HTTP/1.1"]
        lines += [f"Host: {urlsplit(self.url).netloc}", *self.headers]
        lines += [f"Authorization: Bearer {self.token}"] * bool(self.token)
        lines += ["Content-Type: application/json"] * bool(self.bodies)
        return "".join(f"{line}\r\n" for line in lines)

    def request(self, run: str, number: int) -> bytes:
        """One request. `run` makes its Idempotency-Key unique among the runs of an event."""
        if not self.bodies:
            return f"{self.head}\r\n".encode()
        return self.post(f"{run}-{number}", self.bodies[number % len(self.bodies)])

    def post(self, key: str, body: str) -> bytes:
        """A POST of this body."""
        key_line = f"Idempotency-Key: {key}\r\n" if self.token else ""
        length = len(body.encode())
        return f"{self.head}{key_line}Content-Length: {length}\r\n\r\n{body}".encode()
