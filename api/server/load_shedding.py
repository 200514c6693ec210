"""The door of an API process: what it has no place for is turned away before it is parsed.

Under three times the load it can carry, a process gets two requests it must refuse for each that it
answers, so a refusal has to cost little of one (`python -m bench overload` tells how much); through
parser, task, app and token it would cost far more. Here a request that came whole in one read is
looked at as bytes, answered with bytes made in advance, and its connection stays open: to come
again on a new one would cost more than the refusal. What did not come whole goes the long way, to
the same answer.

Who is refused is given an appointment: so a crowd does not come back as one, and not later than it
could be served. Who comes before it, and finds no place again, is not read for REST_S: what he
sends waits in the kernel, where it costs nobody anything. So those who ask without end get about
one refusal a second for each of their connections, however often they ask, and take no second
appointment from those who wait for theirs.
"""

import asyncio
import random
import resource
from math import ceil
from time import monotonic

from api.http.dispatch import PAYING_FACTOR
from api.http.middleware import new_request_id
from api.http.problems import Problem, answer_of
from api.http.responses import NO_STORE, SAFE
from engine.metrics import metrics
from engine.settings.settings import Settings

FILES_KEPT = 100
"""Of the files a process may have open: for Redis, Postgres, mails, and what else it reads."""
LATE_S = 5.0
"""How long a connection too many may keep silent, until it is told so."""
CLOSE = b"\r\nconnection: close"
AHEAD_S_MAX = 30
"""Nobody is told to come later than that."""
PARTS = 16
"""Of a second, in what the body says: Retry-After has none, and a burst would come back as one."""
OVERBOOKED = 1.5
REST_S = 1.0
"""Nobody is left unread for longer: the next on this connection may be a payment."""
TURNS_PER_S = 10
"""How often a second all places are expected to be taken anew."""

_FIRST = (b"POST /api/v1/payment", b"GET /healthz", b"GET /readyz", b"GET /metrics", b"OPTIONS ")
_METHODS = (b"get ", b"post ", b"put ", b"patch ", b"delete ")


def allow_files(connections_max: int) -> int:
    """Let this process have so many connections, or as many as the system allows; how many.

    The limit that most systems set at first, 1,024 files, is there for programs that use select().
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections_max + FILES_KEPT
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, soft - FILES_KEPT)


class RetrySchedule:
    """When those who are turned away are to come again: who came first the soonest, and in any
    second some more than are answered in one, else nobody would see that it could be more.

    `per_s`: so many are expected to be answered, until it was seen.
    """

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._made_count = 0
        self._second = 0
        self._ahead_s = 1
        self._booked = [0] * (AHEAD_S_MAX + 1)
        self._answered_before = 0

    def make(self, now_s: float, answered_count: int) -> int:
        """After how many seconds; by chance when the next AHEAD_S_MAX are booked."""
        if (second := int(now_s)) != self._second:
            self._pass(second, answered_count)
        most = OVERBOOKED * self._per_s
        while self._ahead_s < AHEAD_S_MAX and self._booked[self._ahead_s] >= most:
            self._ahead_s += 1
        ahead_s = self._ahead_s
        if self._booked[ahead_s] >= most:
            ahead_s = random.randint(1, AHEAD_S_MAX)  # noqa: S311
        self._booked[ahead_s] += 1
        self._made_count += 1
        return ahead_s

    def _pass(self, second: int, answered_count: int) -> None:
        """The time that went by. A second in which few were turned away says nothing of more."""
        passed_s = min(second - self._second, len(self._booked))
        if passed_s == 1:
            seen = answered_count - self._answered_before
            was_full = self._made_count > seen / 10
            self._per_s = max(seen, (self._per_s + seen) / 2 if was_full else self._per_s, 1.0)
        self._made_count = 0
        self._booked = [*self._booked[passed_s:], *[0] * passed_s]
        self._second, self._answered_before = second, answered_count
        self._ahead_s = 1


class LoadShedder:
    """One a process. `unread_count` is told by the connections."""

    def __init__(self, settings: Settings) -> None:
        self.places = settings.requests_in_flight_max
        allowed = allow_files(2 * settings.connections_max)
        self.connections_max = min(settings.connections_max, allowed // 2)
        """Beyond them as many again are let in to be told so; even more are hung up on."""
        self.unread_count = 0
        """Requests that are still being read: they wait for their client and cost nothing."""
        self._appointments = RetrySchedule(settings.requests_in_flight_max * TURNS_PER_S)
        self._uncounted = 0
        self.may_rest = not settings.trusted_proxies
        """Whether each connection is one customer's: a proxy's carries many, and none rests."""
        shared = (*SAFE, NO_STORE)
        if settings.cors_origins:  # the answer says nothing that not everybody may know
            any_page = (b"access-control-allow-origin", b"*")
            shared += (any_page, (b"access-control-expose-headers", b"Retry-After"))
        self._answers = [_answer(parts, shared) for parts in range(AHEAD_S_MAX * PARTS + 1)]
        self._counter = metrics.http_requests.labels("OTHER", "unmatched", "turned_away", 503)

    def may_refuse(self, data: bytes, under_way_count: int) -> bool:
        """Whether what came in one read, where a request begins, is a request to turn away."""
        if data.startswith(_FIRST) and under_way_count < PAYING_FACTOR * self.places:
            return False
        return _is_whole(data)

    def turn_away(
        self, answered_count: int, appointed_s: float = 0, then: bytes = b""
    ) -> tuple[bytes, float]:
        """Count one that is refused; its answer, and after how many seconds it is to come again.

        `answered_count` is all that the process has answered so far. Who has an appointment in
        `appointed_s` keeps that one. `then` is CLOSE or nothing.
        """
        if not self._uncounted:
            asyncio.get_running_loop().call_soon(self._count)
        self._uncounted += 1
        if appointed_s > 0:
            parts = min(ceil(appointed_s * PARTS), AHEAD_S_MAX * PARTS)
        else:
            after_s = self._appointments.make(monotonic(), answered_count)
            parts = after_s * PARTS - int(random.random() * PARTS)  # noqa: S311
        head, tail = self._answers[parts]
        return b"%b%b%b%b" % (head, new_request_id(), then, tail), parts / PARTS

    def _count(self) -> None:
        """Those of one tick together: a shared metric costs a lock and a write."""
        self._counter.inc(self._uncounted)
        self._uncounted = 0


def _is_whole(data: bytes) -> bool:
    """Whether this is one plain request of HTTP/1.1 from its first byte to its last."""
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
    _, told, rest = head.partition(b"\r\ncontent-length:")
    if not told:
        return not body
    length = rest.partition(b"\r\n")[0].strip()
    return length.isdigit() and int(length) == len(body) and told not in rest


def _answer(parts: int, shared: tuple[tuple[bytes, bytes], ...]) -> tuple[bytes, bytes]:
    """How to say "after so many PARTS of a second": what stands in front of the request id, and
    behind it.
    """
    detail = "there is no place for it now, nothing was tried"
    answer = answer_of(Problem("overloaded", detail, {"retryAfterMs": ceil(parts * 1000 / PARTS)}))
    headers = (
        *shared,
        (b"retry-after", b"%d" % ceil(parts / PARTS)),
        (b"content-security-policy", answer.policy),
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", b""),
    )
    lines = [b"HTTP/1.1 503 Service Unavailable", *(b"%b: %b" % header for header in headers)]
    return b"\r\n".join(lines), b"\r\n\r\n" + answer.body
