"""What a load generator is told and what it reports: `bench.load.wrk` or `bench.load.sockets`.

Every request has a body of its own, so that every hold is for a free seat; a volley that runs out
of bodies begins again, and its refusals show as errors.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

PATH = "/api/v1/booking"
CONFIRM_PATH = "/api/v1/payment/{}/confirm"


def post_head(url: str, token: str) -> str:
    """A hold's request up to what differs: its Idempotency-Key, its length and its body."""
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    )


class Volley(Struct, frozen=True, kw_only=True):
    """POST these bodies over so many connections that stay open, for so long; no bodies: GET.

    `counted`: tell the answers by status, which costs the generator some time. `pays`: every
    booking that was held is confirmed, by the next request of any connection.
    """

    token: str
    bodies: Sequence[str]
    connections: int
    seconds: float
    path: str = PATH
    headers: Sequence[str] = ()
    counted: bool = False
    pays: bool = False

    def head_lines(self, url: str) -> tuple[str, ...]:
        """A request up to what differs: its Idempotency-Key, its length and its body."""
        head = (
            f"{'POST' if self.bodies else 'GET'} {self.path} HTTP/1.1",
            f"Host: {urlsplit(url).netloc}",
            f"Authorization: Bearer {self.token}",
        )
        return (*head, *(["Content-Type: application/json"] if self.bodies else []), *self.headers)


class Shots(Struct, frozen=True, kw_only=True):
    """What came of a volley. An error is an answer from 400 up or a connection that failed.

    `statuses` is empty unless they were counted. `cpu_s`: what the generator took, 0 if unknown.
    """

    seconds: float
    answer_count: int
    error_count: int
    p50_ms: float
    p99_ms: float
    failed_count: int = 0
    statuses: Mapping[int, int] = {}
    cpu_s: float = 0.0

    @property
    def per_second(self) -> float:
        """Answers a second, without the errors."""
        return (self.answer_count - self.error_count) / self.seconds

    @property
    def answers_per_second(self) -> float:
        """Answers a second, whatever they say."""
        return self.answer_count / self.seconds
