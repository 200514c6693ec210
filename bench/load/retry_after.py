"""Retry-After: customers who all arrive within a second and retry when the server tells them to.

Each customer has one connection and wants one thing. A customer that is refused a connection, or
whose connection closes without an answer, retries after a second. The run is over when every
customer has an answer other than "later". The arrival rate is limited by this one process: the
result has the busiest second.
"""

import asyncio
import os
import random
import re
from collections import Counter
from time import perf_counter

import uvloop
from msgspec import Struct

from bench.load.connection import AnswerCounts, LoadConnection
from bench.load.requests import Load

RETRY_S = 1.0
_RETRY_AFTER_MS = re.compile(rb'"retryAfterMs":(\d+)')
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)")


class RetryAfter(Load, frozen=True, kw_only=True):
    """One customer for each body. All arrive within `within_s`; none retries after `gone_s`."""

    within_s: float = 1.0
    gone_s: float = 120.0


class RetryAfterResult(Struct, frozen=True, kw_only=True):
    """The answers, and how long each customer waited for the last one, in order.

    `busiest_per_s`: requests in the busiest second; `unexplained_count`: 5xx other than 503 with
    Retry-After; `broken_count`: connections that were refused or closed without an answer.
    """

    waited_s: list[float]
    statuses: dict[int, int]
    busiest_per_s: int
    unexplained_count: int
    broken_count: int


def run(load: RetryAfter) -> RetryAfterResult:
    """Run the load until the last customer has left."""
    return uvloop.run(_Run(load).run())


class _Run:
    """What the customers share."""

    def __init__(self, load: RetryAfter) -> None:
        self.load = load
        self.counts = AnswerCounts()
        self.waited_s: list[float] = []
        self.sent: Counter[int] = Counter()
        self._left_count = len(load.bodies)
        self._over = asyncio.Event()

    async def run(self) -> RetryAfterResult:
        """Let every customer arrive, and wait for the last one."""
        loop, name = asyncio.get_running_loop(), os.urandom(4).hex()
        for number in range(len(self.load.bodies)):
            customer = _Customer(self, self.load.request(name, number))
            loop.call_later(random.random() * self.load.within_s, customer.ask)
        if self._left_count:
            await self._over.wait()
        return RetryAfterResult(
            waited_s=sorted(self.waited_s),
            statuses=dict(self.counts.statuses),
            busiest_per_s=max(self.sent.values(), default=0),
            unexplained_count=self.counts.unexplained_count,
            broken_count=self.counts.broken_count,
        )

    def leave(self) -> None:
        """One customer has left."""
        self._left_count -= 1
        if not self._left_count:
            self._over.set()


class _Customer(LoadConnection):
    """Retries until the answer is final, with one connection at a time."""

    def __init__(self, shared: _Run, request: bytes) -> None:
        super().__init__()
        self._shared = shared
        self._request = request
        self._came_s = 0.0
        self._connecting: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Send the request, on the open connection or a new one."""
        self._came_s = self._came_s or perf_counter()
        if self.transport is None:
            self._connecting = asyncio.create_task(self._connect())
            return
        self._shared.sent[int(perf_counter())] += 1
        self.send(self._request)

    async def _connect(self) -> None:
        try:
            await self.open(self._shared.load.url)
        except OSError:
            self.lost(unanswered=True)

    def ready(self) -> None:
        self.ask()

    def answered(self, status: int, head: bytes, body: bytes) -> None:
        self._shared.counts.add(status, head)
        if status < 500:
            self._shared.waited_s.append(perf_counter() - self._came_s)
            self._leave()
            return
        head = head.lower()
        if b"\r\nconnection: close" in head:
            self.close()
        told, told_ms = _RETRY_AFTER.search(head), _RETRY_AFTER_MS.search(body)
        after_s = float(told[1]) if told else RETRY_S
        self._retry(int(told_ms[1]) / 1000 if told_ms else after_s)

    def lost(self, *, unanswered: bool) -> None:
        if unanswered:
            self._shared.counts.broken_count += 1
            self._retry(RETRY_S)

    def _retry(self, after_s: float) -> None:
        if perf_counter() - self._came_s > self._shared.load.gone_s:
            self._leave()
        else:
            asyncio.get_running_loop().call_later(after_s, self.ask)

    def _leave(self) -> None:
        self.close()
        self._shared.leave()
