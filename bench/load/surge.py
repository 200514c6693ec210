"""Offers holds at a fixed rate, several times what a server can do, and times those it accepts.

Open loop: a request goes out when its time has come, on a connection that is free, and its time
counts from then. One asyncio protocol a connection on uvloop and requests made of bytes, in a
process of its own: `storm` would need more than a core for such a rate. It takes some 20 us of a
core for each request, and gives way to the server (nice): real customers have machines of their
own. What it took, and what found no connection, is told with the rest.
"""

import asyncio
import os
import re
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from time import perf_counter
from urllib.parse import urlsplit

import uvloop
from msgspec import Struct

from bench.load.beside import run_beside
from bench.load.storm import Timed
from bench.load.volley import post_head
from bench.war.tally import percentile

GIVEN_UP_S = 5.0
"""After so long without an answer a customer is gone."""
RECOVERED_MS = 250
"""No slower than that is as before."""
NICENESS = 10
PATIENCE_S = 0.05
"""Who finds no free connection for so long is gone, as all of them wait for answers."""
_TICK_S = 0.001
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_RETRY_AFTER = b"\r\nretry-after: "


class Step(Struct, frozen=True):
    """So many requests a second, for so long."""

    per_s: float
    seconds: float


class Surge(Struct, frozen=True, kw_only=True):
    """POST these bodies, once each, in steps that follow one another."""

    url: str
    token: str
    bodies: Sequence[str]
    steps: Sequence[Step]
    connections: int = 1000


class Surged(Struct, frozen=True, kw_only=True):
    """What came of it.

    `accepted` are those held, in the order of their answers: when each was due (Unix time), and how
    long it took from then. `slowest_ms` is of all answers. `unexplained_count`: 5xx other than 503
    with Retry-After; `failed_count`: connections that broke with a request on them;
    `unsent_count`: requests that found no free connection within PATIENCE_S; `cpu_s`: what this
    process took.
    """

    began_ms: float
    statuses: dict[int, int]
    accepted: list[Timed]
    slowest_ms: float
    unexplained_count: int
    failed_count: int
    unsent_count: int
    cpu_s: float

    @property
    def answer_count(self) -> int:
        """Whatever they say."""
        return sum(self.statuses.values())

    def within(self, from_ms: float, seconds: float) -> list[Timed]:
        """The accepted that were due within this time."""
        return [one for one in self.accepted if 0 <= one.due_ms - from_ms < seconds * 1000]

    def goodput_per_s(self, from_ms: float, seconds: float) -> float:
        """Due within this time and accepted before its customer was gone, a second."""
        due = self.within(from_ms, seconds)
        return sum(one.ms <= GIVEN_UP_S * 1000 for one in due) / seconds

    def p99_ms(self, from_ms: float, seconds: float) -> float:
        """Of those accepted; 0 without any."""
        return percentile(sorted(one.ms for one in self.within(from_ms, seconds)) or [0.0], 99)

    def recovered_ms(self, from_ms: float) -> float:
        """How long after an instant the first that was due then had its answer, and every later one
        took at most RECOVERED_MS; infinite without any.
        """
        after = [one for one in self.accepted if one.due_ms >= from_ms]
        ends_ms = [one.due_ms + one.ms for one in after if one.ms > RECOVERED_MS]
        first_ms = min((one.due_ms + one.ms for one in after), default=float("inf"))
        return max([first_ms, *ends_ms]) - from_ms


async def surge_beside(surge: Surge) -> Surged:
    """Offer it from a process of its own. Raises: OSError when nobody listens."""
    return await run_beside(_offer_nicely, surge)


def _offer_nicely(surge: Surge) -> Surged:
    os.nice(NICENESS)
    return offer(surge)


def offer(surge: Surge) -> Surged:
    """Offer, and wait for the last answers."""
    return uvloop.run(_Crowd(surge).run())


class _Crowd:
    """All that the connections share."""

    def __init__(self, surge: Surge) -> None:
        address = urlsplit(surge.url)
        self.host, self.port = address.hostname or "", address.port or 80
        self.free: list[_Connection] = []
        self.idle = asyncio.Event()
        self.accepted: list[Timed] = []
        self.slowest_ms = 0.0
        self.statuses: Counter[int] = Counter()
        self.failed_count = self.unexplained_count = self.under_way_count = 0
        self._surge = surge
        self._over = False
        self._opening: set[asyncio.Task[None]] = set()
        self._name = os.urandom(4).hex()
        self._head = post_head(surge.url, surge.token).encode()

    async def run(self) -> Surged:
        """Open the connections, then offer tick by tick."""
        for _ in range(self._surge.connections):
            await self.open()
        began_ms, began_cpu_s = time.time() * 1000, time.process_time()
        unsent_count = await self._offer()
        async with asyncio.timeout(30):
            while self.under_way_count:
                self.idle.clear()
                await self.idle.wait()
        self._over = True
        return Surged(
            began_ms=began_ms,
            statuses=dict(self.statuses),
            accepted=self.accepted,
            slowest_ms=self.slowest_ms,
            unexplained_count=self.unexplained_count,
            failed_count=self.failed_count,
            unsent_count=unsent_count,
            cpu_s=time.process_time() - began_cpu_s,
        )

    async def _offer(self) -> int:
        """Send each when it is due; how many found no connection."""
        times, waiting = _times(self._surge.steps, perf_counter()), deque[float]()
        next_s, number, unsent_count = next(times, None), 0, 0
        while next_s is not None or waiting:
            await asyncio.sleep(_TICK_S)
            now_s = perf_counter()
            while next_s is not None and next_s <= now_s:
                waiting.append(next_s)
                next_s = next(times, None)
            while waiting and self.free:
                due_s = waiting.popleft()
                self.free.pop().send(self._request(number), due_s)
                number += 1
            while waiting and now_s - waiting[0] > PATIENCE_S:
                waiting.popleft()
                unsent_count += 1
        return unsent_count

    async def open(self) -> None:
        """One connection more."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: _Connection(self), self.host, self.port)

    def reopen(self) -> None:
        """One in place of a connection that broke, unless all is over."""
        if not self._over:
            task = asyncio.create_task(self.open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def take(self, head: bytes, ms: float) -> None:
        """Count an answer."""
        status = int(head[9:12])
        self.statuses[status] += 1
        self.slowest_ms = max(self.slowest_ms, ms)
        if status == 201:
            self.accepted.append(Timed(time.time() * 1000 - ms, ms))
        elif status >= 500:
            self.unexplained_count += status != 503 or _RETRY_AFTER not in head.lower()

    def settle(self) -> None:
        """One is done, answered or not."""
        self.under_way_count -= 1
        self.idle.set()

    def _request(self, number: int) -> bytes:
        body = self._surge.bodies[number % len(self._surge.bodies)].encode()
        return b"%bIdempotency-Key: %b-%d\r\nContent-Length: %d\r\n\r\n%b" % (
            *(self._head, self._name.encode(), number, len(body), body),
        )


def _times(steps: Sequence[Step], began_s: float) -> Iterator[float]:
    """When each request is due."""
    for step in steps:
        for number in range(int(step.per_s * step.seconds)):
            yield began_s + number / step.per_s
        began_s += step.seconds


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._received = b""
        self._due_s = 0.0
        self._waiting = False

    def send(self, request: bytes, due_s: float) -> None:
        """Send it; its time counts from when it was due."""
        self._due_s, self._waiting = due_s, True
        self._crowd.under_way_count += 1
        self._transport.write(request)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._crowd.free.append(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or len(body) < (int(length[1]) if length else 0):
            return
        self._crowd.take(head, (perf_counter() - self._due_s) * 1000)
        self._received, self._waiting = b"", False
        self._crowd.settle()
        self._crowd.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._crowd.failed_count += 1
            self._crowd.settle()
        elif self in self._crowd.free:
            self._crowd.free.remove(self)
        self._crowd.reopen()
