"""The connection that every arrival policy uses: one request at a time, kept alive.

No HTTP library: a request is bytes, and an answer is read up to its Content-Length. That costs some
20 us of a core for each request. `run_in_process` gives the load its own process, so that it does
not share an event loop with other measurements.
"""

import asyncio
import multiprocessing
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_Given = TypeVar("_Given")
_Result = TypeVar("_Result")


async def run_in_process(run: Callable[[_Given], _Result], given: _Given) -> _Result:
    """Call `run` in a new process, which takes a moment to start. Raises what it raises."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return await asyncio.get_running_loop().run_in_executor(process, run, given)


class LoadConnection(asyncio.Protocol):
    """Sends requests and reads their answers. An arrival policy implements the three hooks."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting = False
        self._received = b""

    def ready(self) -> None:
        """Hook: the connection is open."""

    def answered(self, status: int, head: bytes, body: bytes) -> None:
        """Hook: the answer to the request is complete."""

    def lost(self, *, unanswered: bool) -> None:
        """Hook: the connection is closed, perhaps with a request on it."""

    async def open(self, url: str) -> None:
        """Connect. Raises: OSError."""
        address = urlsplit(url)
        await asyncio.get_running_loop().create_connection(
            lambda: self, address.hostname or "", address.port or 80
        )

    def send(self, request: bytes) -> None:
        """Send a request on the open connection."""
        assert self.transport  # noqa: S101
        self.waiting = True
        self.transport.write(request)

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self.transport:
            self.transport.close()
            self.transport = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.ready()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)  # 304 has none
        if not end or len(body) < (int(length[1]) if length else 0):
            return
        self._received, self.waiting = b"", False
        self.answered(int(head[9:12]), head, body)

    def connection_lost(self, exc: Exception | None) -> None:
        unanswered, self.waiting = self.waiting, False
        self.transport, self._received = None, b""
        self.lost(unanswered=unanswered)


class AnswerCounts:
    """The answers of a run by status.

    `unexplained_count`: 5xx other than 503 with Retry-After. `broken_count`: connections that were
    refused, or that closed with a request on them.
    """

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.unexplained_count = self.broken_count = 0

    def add(self, status: int, head: bytes) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        if status >= 500:
            explained = status == 503 and b"\r\nretry-after: " in head.lower()
            self.unexplained_count += not explained
