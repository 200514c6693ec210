"""What a load generator is told and what it tells: `bench.wrk` and `bench.sockets` are two.

Every request has a body of its own, so that every hold is for a free seat; a volley that runs out
of bodies begins again, and its refusals show as errors.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct

PATH = "/api/v1/booking"


class Volley(Struct, frozen=True, kw_only=True):
    """POST these bodies over so many connections that stay open, for so long."""

    token: str
    bodies: Sequence[str]
    connections: int
    seconds: float

    def head_lines(self, url: str) -> tuple[str, ...]:
        """A request up to what differs: its Idempotency-Key, its length and its body."""
        return (
            f"POST {PATH} HTTP/1.1",
            f"Host: {urlsplit(url).netloc}",
            f"Authorization: Bearer {self.token}",
            "Content-Type: application/json",
        )


class Shots(Struct, frozen=True, kw_only=True):
    """What came of a volley. Whatever is not 2xx is an error."""

    seconds: float
    answer_count: int
    error_count: int
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answers a second, without the errors."""
        return (self.answer_count - self.error_count) / self.seconds
