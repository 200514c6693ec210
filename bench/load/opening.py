"""The doors open: so many customers at one instant, each with a connection and one wish of its own.

Who is turned away comes again when told to, as a browser's page would; who cannot connect or is
hung up on, after a second. It is over when everybody has an answer that is not "later". How many
come in the first second is up to this one process: the busiest second says it.
"""

import asyncio
import os
import random
import re
from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from urllib.parse import urlsplit

import uvloop
from msgspec import Struct

from bench.load.beside import run_beside
from bench.load.volley import post_head

AGAIN_S = 1.0
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_RETRY_AFTER_MS = re.compile(rb'"retryAfterMs":(\d+)')
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)")


class Opening(Struct, frozen=True, kw_only=True):
    """A customer for each body; all come within `within_s`, and none asks after `gone_s`."""

    url: str
    token: str
    bodies: Sequence[str]
    within_s: float = 1.0
    gone_s: float = 120.0


class Opened(Struct, frozen=True, kw_only=True):
    """What came of it. `waited_s` is how long each customer waited for the seat, in order.

    `busiest_per_s` is how many requests went out in the busiest second; `unexplained_count` counts
    5xx other than 503 with Retry-After; `broken_count` connections that were refused or broke.
    """

    waited_s: list[float]
    statuses: dict[int, int]
    busiest_per_s: int
    unexplained_count: int
    broken_count: int


async def open_beside(opening: Opening) -> Opened:
    """From a process of its own."""
    return await run_beside(come, opening)


def come(opening: Opening) -> Opened:
    """Let all of them come, and wait for the last."""
    return uvloop.run(_Queue(opening).run())


class _Queue:
    """All customers."""

    def __init__(self, opening: Opening) -> None:
        address = urlsplit(opening.url)
        self.opening = opening
        self.statuses: Counter[int] = Counter()
        self.waited_s: list[float] = []
        self.unexplained_count = self.broken_count = 0
        self.over = asyncio.Event()
        self._sent: Counter[int] = Counter()
        self._host, self._port = address.hostname or "", address.port or 80
        self._left_count = len(opening.bodies)
        self._name = os.urandom(4).hex()
        self._head = post_head(opening.url, opening.token)

    async def run(self) -> Opened:
        """Everybody at once."""
        loop, within_s = asyncio.get_running_loop(), self.opening.within_s
        for number in range(len(self.opening.bodies)):
            customer = _Customer(self, self._request(number))
            loop.call_later(random.random() * within_s, customer.ask)
        if self._left_count:
            await self.over.wait()
        return Opened(
            waited_s=sorted(self.waited_s),
            statuses=dict(self.statuses),
            busiest_per_s=max(self._sent.values(), default=0),
            unexplained_count=self.unexplained_count,
            broken_count=self.broken_count,
        )

    async def connect(self, customer: "_Customer") -> None:
        """A connection for a customer; without one it comes again."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: customer, self._host, self._port)
        except OSError:
            customer.break_off()

    def count_sent(self) -> None:
        """One request more in this second."""
        self._sent[int(perf_counter())] += 1

    def leave(self) -> None:
        """A customer is done."""
        self._left_count -= 1
        if not self._left_count:
            self.over.set()

    def _request(self, number: int) -> bytes:
        body = self.opening.bodies[number]
        return (
            f"{self._head}Idempotency-Key: {self._name}-{number}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


class _Customer(asyncio.Protocol):
    """Asks until there is a last word, over one connection after the other."""

    def __init__(self, queue: _Queue, request: bytes) -> None:
        self._queue = queue
        self._request = request
        self._transport: asyncio.Transport | None = None
        self._came_s = 0.0
        self._received = b""
        self._connecting: asyncio.Task[None] | None = None
        self._asking = False

    def ask(self) -> None:
        """Send the request, on the connection there is or on a new one."""
        self._came_s = self._came_s or perf_counter()
        if self._transport is None:
            self._connecting = asyncio.create_task(self._queue.connect(self))
            return
        self._asking = True
        self._queue.count_sent()
        self._transport.write(self._request)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self.ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or len(body) < (int(length[1]) if length else 0):
            return
        self._received, self._asking = b"", False
        self._take(head.lower(), body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport, self._received = None, b""
        if self._asking:
            self.break_off()

    def break_off(self) -> None:
        """No answer: come again in a moment."""
        self._asking = False
        self._queue.broken_count += 1
        self._come_again(AGAIN_S)

    def _take(self, head: bytes, body: bytes) -> None:
        queue, status = self._queue, int(head[9:12])
        queue.statuses[status] += 1
        if status < 500:
            queue.waited_s.append(perf_counter() - self._came_s)
            self._leave()
            return
        told, told_ms = _RETRY_AFTER.search(head), _RETRY_AFTER_MS.search(body)
        queue.unexplained_count += status != 503 or told is None
        if self._transport and b"\r\nconnection: close" in head:
            self._transport.close()
            self._transport = None
        after_s = float(told[1]) if told else AGAIN_S
        self._come_again(int(told_ms[1]) / 1000 if told_ms else after_s)

    def _come_again(self, after_s: float) -> None:
        if perf_counter() - self._came_s > self._queue.opening.gone_s:
            self._leave()
        else:
            asyncio.get_running_loop().call_later(after_s, self.ask)

    def _leave(self) -> None:
        if self._transport:
            self._transport.close()
        self._queue.leave()
