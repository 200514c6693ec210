"""Load shedding: a full process rejects a request from its bytes, before it is parsed.

At three times the load a process can carry, it rejects two requests for each that it serves. So a
rejection must cost a small part of a request (`python -m bench overload` measures it); through
parser, task, app and token it would cost far more. Here a request that arrived in one read is
checked as bytes and rejected with bytes made in advance. Its connection stays open, because a new
one would cost more than the rejection. A request that arrived in pieces goes through the parser,
and gets the same response there.

Each rejected client gets its own Retry-After slot, so retries spread out, and none waits longer
than the process needs to serve it. A connection that retries early and is rejected again stops
being read for BACKOFF_S; its bytes stay in the kernel buffer (backpressure). So a client that
retries without pause gets about one rejection a second per connection, and takes no second slot.
"""

import asyncio
import random
import resource
from math import ceil
from time import monotonic

from api.http.calls import V1
from api.http.dispatch import PAYING_FACTOR
from api.http.middleware import new_request_id
from api.http.problems import Problem, response_of
from api.http.responses import NO_STORE, SAFE
from engine.metrics import metrics
from engine.settings.settings import Settings

FILES_RESERVED = 100
"""Open files kept free of client connections: for Redis, Postgres, mail and others."""
SURPLUS_IDLE_S = 5.0
"""How long a connection over the limit may stay silent before it is closed."""
CLOSE = b"\r\nconnection: close"
AHEAD_S_MAX = 30
"""The longest Retry-After."""
SLOTS_PER_S = 16
"""Retry-After slots in a second, for `retryAfterMs` in the body: the header has whole seconds, and
clients that follow it would return in one burst per second."""
OVERBOOKING = 1.5
"""Rejected clients booked for each second, as a multiple of the requests answered per second."""
BACKOFF_S = 1.0
"""No connection stays unread for longer: its next request may be a payment."""
TURNOVERS_PER_S = 10
"""Expected turnover of the in-flight limit per second, until a second was measured."""

_FIRST = (
    f"POST {V1}/payment".encode(),
    b"GET /healthz",
    b"GET /readyz",
    b"GET /metrics",
    b"OPTIONS ",
)
"""Starts of requests with the higher limit: payments, health, metrics and CORS preflight."""
_METHODS = (b"get ", b"post ", b"put ", b"patch ", b"delete ")


def allow_files(connections_max: int) -> int:
    """Raise the limit of open files for this many connections. Returns how many it allows.

    Most systems start with 1,024 files, a limit for programs that use select().
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections_max + FILES_RESERVED
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, soft - FILES_RESERVED)


class RetrySchedule:
    """Assigns each rejected client a second to retry in; the first rejected retries first.

    Each second takes OVERBOOKING times the clients that the process answers in one. Without the
    surplus it could not notice that it can serve more. `per_s` is the expected rate until a second
    was measured.
    """

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._booked_count = 0
        self._second = 0
        self._ahead_s = 1
        self._booked = [0] * (AHEAD_S_MAX + 1)
        self._answered_before = 0

    def book(self, now_s: float, answered_count: int) -> int:
        """Seconds until the retry; random if all of the next AHEAD_S_MAX seconds are booked."""
        if (second := int(now_s)) != self._second:
            self._advance(second, answered_count)
        most = OVERBOOKING * self._per_s
        while self._ahead_s < AHEAD_S_MAX and self._booked[self._ahead_s] >= most:
            self._ahead_s += 1
        ahead_s = self._ahead_s
        if self._booked[ahead_s] >= most:
            ahead_s = random.randint(1, AHEAD_S_MAX)  # noqa: S311
        self._booked[ahead_s] += 1
        self._booked_count += 1
        return ahead_s

    def _advance(self, second: int, answered_count: int) -> None:
        """Move to this second and measure the rate of the last one.

        The rate falls only if the last second had many rejections; otherwise load was low.
        """
        passed_s = min(second - self._second, len(self._booked))
        if passed_s == 1:
            answered = answered_count - self._answered_before
            was_full = self._booked_count > answered / 10
            average = (self._per_s + answered) / 2
            self._per_s = max(answered, average if was_full else self._per_s, 1.0)
        self._booked_count = 0
        self._booked = [*self._booked[passed_s:], *[0] * passed_s]
        self._second, self._answered_before = second, answered_count
        self._ahead_s = 1


class LoadShedder:
    """The limits of one process, and its rejections. There is one per process."""

    def __init__(self, settings: Settings) -> None:
        self.in_flight_max = settings.requests_in_flight_max
        allowed = allow_files(2 * settings.connections_max)
        self.connections_max = min(settings.connections_max, allowed // 2)
        """As many again are accepted and rejected at their first request; more are closed."""
        self.unread_count = 0
        """Requests still being read, counted by the connections. They wait for their clients, so
        they do not count as in flight."""
        self._schedule = RetrySchedule(settings.requests_in_flight_max * TURNOVERS_PER_S)
        self._uncounted = 0
        self.may_back_off = not settings.trusted_proxies
        """Whether a connection belongs to one client. A proxy's carries many: it is always read."""
        shared = (*SAFE, NO_STORE)
        if settings.cors_origins:  # any page may read this response, it holds nothing private
            any_page = (b"access-control-allow-origin", b"*")
            shared += (any_page, (b"access-control-expose-headers", b"Retry-After"))
        self._rejections = [
            _rejection(slot, shared) for slot in range(AHEAD_S_MAX * SLOTS_PER_S + 1)
        ]
        self._counter = metrics.http_requests.labels("OTHER", "unmatched", "turned_away", 503)

    def may_reject(self, data: bytes, in_flight_count: int) -> bool:
        """Whether this read is one whole request, and over its limit.

        The caller has checked the lower limit, and that a request begins here.
        """
        if data.startswith(_FIRST) and in_flight_count < PAYING_FACTOR * self.in_flight_max:
            return False
        return _is_whole(data)

    def reject(
        self, answered_count: int, booked_s: float = 0, ending: bytes = b""
    ) -> tuple[bytes, float]:
        """Count a rejection. Returns its response, and the seconds until the retry.

        `answered_count` is what the process has answered so far. A client with a slot in `booked_s`
        keeps that slot. `ending` is CLOSE or empty.
        """
        if not self._uncounted:
            asyncio.get_running_loop().call_soon(self._count)
        self._uncounted += 1
        if booked_s > 0:
            slot = min(ceil(booked_s * SLOTS_PER_S), AHEAD_S_MAX * SLOTS_PER_S)
        else:
            after_s = self._schedule.book(monotonic(), answered_count)
            slot = after_s * SLOTS_PER_S - int(random.random() * SLOTS_PER_S)  # noqa: S311
        head, tail = self._rejections[slot]
        return b"%b%b%b%b" % (head, new_request_id(), ending, tail), slot / SLOTS_PER_S

    def _count(self) -> None:
        """Count the rejections of one tick together: a shared metric costs a lock and a write."""
        self._counter.inc(self._uncounted)
        self._uncounted = 0


def _is_whole(data: bytes) -> bool:
    """Whether this is exactly one plain HTTP/1.1 request, from its first byte to its last."""
    head, end, body = data.partition(b"\r\n\r\n")
    head = head.lower()
    if (
        not end
        or not head.startswith(_METHODS)
        or b" http/1.1\r\n" not in head
        or b"\r\ntransfer-encoding:" in head
        or b"\r\nconnection: close" in head
        or b"\r\nexpect:" in head
        or b"\r\nupgrade:" in head
    ):
        return False
    _, header, rest = head.partition(b"\r\ncontent-length:")
    if not header:
        return not body
    length = rest.partition(b"\r\n")[0].strip()
    return length.isdigit() and int(length) == len(body) and header not in rest


def _rejection(slot: int, shared: tuple[tuple[bytes, bytes], ...]) -> tuple[bytes, bytes]:
    """The response for one Retry-After slot: its bytes before and after the request id."""
    detail = "the server is overloaded; nothing was changed"
    after_ms = ceil(slot * 1000 / SLOTS_PER_S)
    response = response_of(Problem("overloaded", detail, {"retryAfterMs": after_ms}))
    headers = (
        *shared,
        (b"retry-after", b"%d" % ceil(slot / SLOTS_PER_S)),
        (b"content-security-policy", response.policy),
        (b"content-type", response.content_type),
        (b"content-length", b"%d" % len(response.body)),
        (b"x-request-id", b""),
    )
    lines = [b"HTTP/1.1 503 Service Unavailable", *(b"%b: %b" % header for header in headers)]
    return b"\r\n".join(lines), b"\r\n\r\n" + response.body
