"""Closed loop: each connection sends its next request when the last one is answered.

By wrk where it is installed: it takes far less CPU than Python, and on a small machine that is what
the server gets. Without wrk the load client takes a good part of a core, so the figures are lower
than the server's own.
"""

import asyncio
import os
import resource
import shutil
import subprocess
from array import array
from collections.abc import Mapping
from itertools import count
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bench.load.connection import AnswerCounts, LoadConnection
from bench.load.requests import CONFIRM_PATH, Load
from bench.war.tally import percentile
from engine.errors import Misconfigured

GENERATOR = "wrk" if shutil.which("wrk") else "python"
_SCRIPT = Path(__file__).with_name("wrk.lua")


class ClosedLoop(Load, frozen=True, kw_only=True):
    """`connections` that stay open, for `seconds`.

    `counted`: count the answers by status, which costs wrk some time. `pays`: confirm every held
    booking, by the next request of any connection.
    """

    connections: int
    seconds: float
    counted: bool = False
    pays: bool = False


class ClosedLoopResult(Struct, frozen=True, kw_only=True):
    """The answers and their times. An error is a status from 400 or a connection that failed.

    `statuses` is empty unless they were counted. `cpu_s`: CPU time of wrk, 0 if unknown.
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
        """Answers a second, errors included."""
        return self.answer_count / self.seconds


def run(load: ClosedLoop) -> ClosedLoopResult:
    """Run the load to its last answer. Raises: Misconfigured with the error of wrk, or OSError."""
    return run_wrk(load) if GENERATOR == "wrk" else run_python(load)


def run_wrk(load: ClosedLoop) -> ClosedLoopResult:
    """By wrk, for whole seconds. `wrk.lua` reads the requests from a file."""
    with TemporaryDirectory(prefix="wrk-") as folder:
        file = Path(folder) / "requests"
        file.write_text("\n".join([load.head.replace("\r\n", "\n"), *load.bodies]))
        command = ["wrk", "-t1", f"-c{load.connections}", f"-d{ceil(load.seconds)}s"]
        command += ["--script", str(_SCRIPT), load.url, "--", str(file)]
        command += ["counted"] * load.counted + ["pays"] * load.pays
        before_s = _children_cpu_s()
        ran = subprocess.run(command, capture_output=True, text=True)
        cpu_s = _children_cpu_s() - before_s
    if ran.returncode:
        raise Misconfigured(f"wrk: {ran.stderr or ran.stdout}")
    return parse_wrk(ran.stdout.splitlines()[-1], cpu_s)


def parse_wrk(line: str, cpu_s: float) -> ClosedLoopResult:
    """The last line that `wrk.lua` prints: six numbers, then `status:count` pairs."""
    numbers, pairs = line.split()[:6], line.split()[6:]
    us, answers, refused, failed, p50_us, p99_us = map(int, numbers)
    return ClosedLoopResult(
        seconds=us / 1e6,
        answer_count=answers,
        error_count=refused + failed,
        failed_count=failed,
        p50_ms=p50_us / 1000,
        p99_ms=p99_us / 1000,
        statuses={int(status): int(count) for status, count in (p.split(":") for p in pairs)},
        cpu_s=cpu_s,
    )


def _children_cpu_s() -> float:
    """CPU time of every child process that has ended, so no other child may end meanwhile."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_python(load: ClosedLoop) -> ClosedLoopResult:
    """By the load client. Raises: OSError when nothing listens."""
    return asyncio.run(_Run(load).run())


class _Run:
    """What the connections share."""

    def __init__(self, load: ClosedLoop) -> None:
        self.load = load
        self.counts = AnswerCounts()
        self.times_ms = array("d")
        self.held: list[str] = []
        self.ends_s = perf_counter() + load.seconds
        self._name, self._numbers = os.urandom(4).hex(), count()

    async def run(self) -> ClosedLoopResult:
        """Open the connections and wait until each has closed."""
        began_s = perf_counter()
        connections = [_Connection(self) for _ in range(self.load.connections)]
        for connection in connections:
            await connection.open(self.load.url)
        await asyncio.gather(*(connection.closed for connection in connections))
        statuses, failed_count = self.counts.statuses, self.counts.broken_count
        times_ms = sorted(self.times_ms or [0.0])
        refused_count = sum(count for status, count in statuses.items() if status >= 400)
        return ClosedLoopResult(
            seconds=perf_counter() - began_s,
            answer_count=len(self.times_ms),
            error_count=refused_count + failed_count,
            failed_count=failed_count,
            statuses=dict(statuses),
            p50_ms=percentile(times_ms, 50),
            p99_ms=percentile(times_ms, 99),
        )

    def next_request(self) -> bytes:
        """A confirmation of a held booking, or the next body."""
        number = next(self._numbers)
        if not self.held:
            return self.load.request(self._name, number)
        confirmation = replace(self.load, path=CONFIRM_PATH.format(self.held.pop()))
        return confirmation.post(f"{self._name}-{number}", "")


class _Connection(LoadConnection):
    def __init__(self, shared: _Run) -> None:
        super().__init__()
        self.closed = asyncio.get_running_loop().create_future()
        self._shared = shared
        self._sent_s = 0.0

    def ready(self) -> None:
        if perf_counter() >= self._shared.ends_s:
            self.close()
            return
        request = self._shared.next_request()
        self._sent_s = perf_counter()
        self.send(request)

    def answered(self, status: int, head: bytes, body: bytes) -> None:
        shared = self._shared
        shared.times_ms.append((perf_counter() - self._sent_s) * 1000)
        shared.counts.add(status, head)
        if shared.load.pays and status == 201:
            shared.held.append(msgspec.json.decode(body)["id"])
        self.ready()

    def lost(self, *, unanswered: bool) -> None:
        self._shared.counts.broken_count += unanswered
        self.closed.set_result(None)
