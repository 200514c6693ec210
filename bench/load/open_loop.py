"""Open loop: requests leave at a fixed rate, whether or not the earlier ones are answered.

The time of a request counts from the moment it was due, so a server that stalls cannot slow the
load down and hide the stall (coordinated omission). The result also has the CPU time of the load
and the requests that found no free connection.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from time import perf_counter

import uvloop
from msgspec import Struct

from bench.load.connection import AnswerCounts, LoadConnection
from bench.load.requests import Load
from bench.war.tally import percentile

GIVEN_UP_S = 5.0
"""A customer without an answer gives up after this time."""
RECOVERED_MS = 250
"""The server has recovered when no later answer takes longer."""
PATIENCE_S = 0.05
"""A request without a free connection is dropped after this time: all wait for answers."""
DRAIN_S_MAX = 30.0
_TICK_S = 0.001


class Step(Struct, frozen=True):
    """A rate, and for how long."""

    per_s: float
    seconds: float


class OpenLoop(Load, frozen=True, kw_only=True):
    """Steps that follow one another.

    `connections` are opened before the first request; 0: one more whenever none is free.
    `niceness` lowers the priority of the process, as real customers have machines of their own.
    """

    steps: Sequence[Step]
    connections: int = 0
    niceness: int = 0


class TimedAnswer(Struct, frozen=True):
    """When a request was due (Unix time), and how long its answer took from then."""

    due_ms: float
    ms: float


class OpenLoopResult(Struct, frozen=True, kw_only=True):
    """The answers and their times.

    `accepted` are the answers with status 201, in the order they came. `slowest_ms` is of all
    answers. `unexplained_count`: 5xx other than 503 with Retry-After; `failed_count`: connections
    that closed with a request on them; `unsent_count`: requests dropped after PATIENCE_S.
    """

    began_ms: float
    sent_s: float
    statuses: dict[int, int]
    accepted: list[TimedAnswer]
    slowest_ms: float
    unexplained_count: int
    failed_count: int
    unsent_count: int
    cpu_s: float

    @property
    def answer_count(self) -> int:
        """Answers of any status."""
        return sum(self.statuses.values())

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.answer_count / self.sent_s

    def accepted_between(self, from_ms: float, to_ms: float) -> list[TimedAnswer]:
        """The accepted that were due in this span."""
        return [answer for answer in self.accepted if from_ms <= answer.due_ms < to_ms]

    def goodput_per_s(self, seconds: float) -> float:
        """Accepted before the customer gave up, of those due in the first `seconds`."""
        due = self.accepted_between(self.began_ms, self.began_ms + seconds * 1000)
        return sum(answer.ms <= GIVEN_UP_S * 1000 for answer in due) / seconds

    def p99_ms(self, seconds: float) -> float:
        """Of the accepted that were due in the first `seconds`; 0 without any."""
        due = self.accepted_between(self.began_ms, self.began_ms + seconds * 1000)
        return percentile(sorted(answer.ms for answer in due) or [0.0], 99)

    def recovered_ms(self, from_ms: float) -> float:
        """From this instant until the first answer due after it has come, and every later one takes
        at most RECOVERED_MS. Infinite without any.
        """
        after = self.accepted_between(from_ms, float("inf"))
        slow_ends_ms = [a.due_ms + a.ms for a in after if a.ms > RECOVERED_MS]
        first_ms = min((a.due_ms + a.ms for a in after), default=float("inf"))
        return max([first_ms, *slow_ends_ms]) - from_ms


def run(load: OpenLoop) -> OpenLoopResult:
    """Run the load to its last answer, in a process of its own. Raises: OSError."""
    os.nice(load.niceness)
    return uvloop.run(_Run(load).run())


class _Run:
    """What the connections share."""

    def __init__(self, load: OpenLoop) -> None:
        self.free: list[_Connection] = []
        self.idle = asyncio.Event()
        self.counts = AnswerCounts()
        self.accepted: list[TimedAnswer] = []
        self.slowest_ms = 0.0
        self.under_way_count = 0
        self._load, self._name = load, os.urandom(4).hex()
        self._over = False
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self) -> OpenLoopResult:
        """Open the connections, send, and wait for the last answer."""
        for _ in range(self._load.connections):
            await _Connection(self).open(self._load.url)
        began_ms, began_s, began_cpu_s = time.time() * 1000, perf_counter(), time.process_time()
        unsent_count = await self._send_all()
        sent_s = perf_counter() - began_s
        async with asyncio.timeout(DRAIN_S_MAX):
            while self.under_way_count:
                self.idle.clear()
                await self.idle.wait()
        cpu_s = time.process_time() - began_cpu_s
        await self._close()
        return OpenLoopResult(
            began_ms=began_ms,
            sent_s=sent_s,
            statuses=dict(self.counts.statuses),
            accepted=self.accepted,
            slowest_ms=self.slowest_ms,
            unexplained_count=self.counts.unexplained_count,
            failed_count=self.counts.broken_count,
            unsent_count=unsent_count,
            cpu_s=cpu_s,
        )

    async def _send_all(self) -> int:
        """Send each request when it is due. Returns how many found no connection."""
        times, waiting = _due_times(self._load.steps, perf_counter()), deque[float]()
        next_s, number, unsent_count = next(times, None), 0, 0
        while next_s is not None or waiting:
            until_next_s = _TICK_S if waiting or next_s is None else next_s - perf_counter()
            await asyncio.sleep(max(_TICK_S, until_next_s))
            now_s = perf_counter()
            while next_s is not None and next_s <= now_s:
                waiting.append(next_s)
                next_s = next(times, None)
            while waiting and (self.free or not self._load.connections):
                connection = self.free.pop() if self.free else _Connection(self)
                self.under_way_count += 1
                connection.ask(self._load.request(self._name, number), waiting.popleft())
                number += 1
            while waiting and now_s - waiting[0] > PATIENCE_S:
                waiting.popleft()
                unsent_count += 1
        return unsent_count

    async def _close(self) -> None:
        self._over = True
        for connection in self.free:
            connection.close()
        while self.free:
            self.idle.clear()
            await self.idle.wait()

    def open(self, connection: "_Connection") -> None:
        """Open it in the background."""
        task = asyncio.create_task(self._open(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def replace(self) -> None:
        """Open one in place of a connection that closed, if their number is fixed."""
        if self._load.connections and not self._over:
            self.open(_Connection(self))

    async def _open(self, connection: "_Connection") -> None:
        try:
            await connection.open(self._load.url)
        except OSError:
            if connection.waiting:
                self.break_off()

    def break_off(self) -> None:
        """A request has lost its connection."""
        self.counts.broken_count += 1
        self.settle()

    def settle(self) -> None:
        """A request is answered or lost."""
        self.under_way_count -= 1
        self.idle.set()


def _due_times(steps: Sequence[Step], began_s: float) -> Iterator[float]:
    for step in steps:
        for number in range(int(step.per_s * step.seconds)):
            yield began_s + number / step.per_s
        began_s += step.seconds


class _Connection(LoadConnection):
    def __init__(self, shared: _Run) -> None:
        super().__init__()
        self._shared = shared
        self._due_s = 0.0
        self._first_request = b""

    def ask(self, request: bytes, due_s: float) -> None:
        """Send a request, on a new connection as soon as that is open."""
        self._due_s = due_s
        if self.transport:
            self.send(request)
        else:
            self._first_request, self.waiting = request, True
            self._shared.open(self)

    def ready(self) -> None:
        if self.waiting:
            self.send(self._first_request)
        else:
            self._shared.free.append(self)

    def answered(self, status: int, head: bytes, body: bytes) -> None:
        shared, ms = self._shared, (perf_counter() - self._due_s) * 1000
        shared.counts.add(status, head)
        shared.slowest_ms = max(shared.slowest_ms, ms)
        if status == 201:
            shared.accepted.append(TimedAnswer(time.time() * 1000 - ms, ms))
        shared.free.append(self)
        shared.settle()

    def lost(self, *, unanswered: bool) -> None:
        shared = self._shared
        if unanswered:
            shared.break_off()
        elif self in shared.free:
            shared.free.remove(self)
            shared.idle.set()
        shared.replace()
