"""Fires a volley from Python, where there is no wrk: one asyncio protocol a connection.

No HTTP library: a request is bytes made in advance, an answer is read up to its Content-Length.
It still takes a good part of a core, so figures made with it are lower than the server's own.
"""

import asyncio
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, cycle, repeat
from time import perf_counter
from urllib.parse import urlsplit

import msgspec

from bench.load.volley import CONFIRM_PATH, Shots, Volley
from bench.war.tally import percentile

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class _Round:
    """What the connections of one volley share."""

    def __init__(self, url: str, volley: Volley) -> None:
        self._requests = _requests(url, volley)
        self._confirmations = _confirmations(url, volley)
        self._pays = volley.pays
        self._held: list[str] = []
        self.ends_s = perf_counter() + volley.seconds
        self.times_ms = array("d")
        self.statuses: Counter[int] = Counter()
        self.failed_count = 0

    def next_request(self) -> bytes:
        """A confirmation of what was held, or the next body."""
        if self._held:
            return self._confirmations(self._held.pop())
        return next(self._requests)

    def add_answer(self, status: int, body: bytes, ms: float) -> None:
        """Count it; remember a booking that is to be paid."""
        self.times_ms.append(ms)
        self.statuses[status] += 1
        if self._pays and status == 201:
            self._held.append(msgspec.json.decode(body)["id"])


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last is there, until the time is over."""

    def __init__(self, shared: _Round) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self._shared = shared
        self._received = b""
        self._sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        length = _LENGTH.search(self._received, 0, head_end + 2)
        body_bytes = int(length[1]) if length else 0  # 304 has none
        if head_end < 0 or len(self._received) < head_end + 4 + body_bytes:
            return
        status, ms = int(self._received[9:12]), (perf_counter() - self._sent_s) * 1000
        self._shared.add_answer(status, self._received[head_end + 4 :], ms)
        self._received = b""
        if perf_counter() < self._shared.ends_s:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if error or perf_counter() < self._shared.ends_s:
            self._shared.failed_count += 1
        self.closed.set_result(None)

    def _send(self) -> None:
        self._sent_s = perf_counter()
        self._transport.write(self._shared.next_request())


def fire(url: str, volley: Volley) -> Shots:
    """Fire and wait for the last answers. Raises: OSError when nobody listens."""
    return asyncio.run(_fire(url, volley))


async def _fire(url: str, volley: Volley) -> Shots:
    loop, address = asyncio.get_running_loop(), urlsplit(url)
    shared = _Round(url, volley)
    began_s = perf_counter()
    opened = [
        await loop.create_connection(
            lambda: _Connection(shared), address.hostname or "", address.port or 80
        )
        for _ in range(volley.connections)
    ]
    await asyncio.gather(*(connection.closed for _, connection in opened))
    seconds = perf_counter() - began_s
    times_ms = sorted(shared.times_ms or [0.0])
    refused = sum(count for status, count in shared.statuses.items() if status >= 400)
    return Shots(
        seconds=seconds,
        answer_count=len(shared.times_ms),
        error_count=refused + shared.failed_count,
        failed_count=shared.failed_count,
        statuses=dict(shared.statuses),
        p50_ms=percentile(times_ms, 50),
        p99_ms=percentile(times_ms, 99),
    )


def _requests(url: str, volley: Volley) -> Iterator[bytes]:
    head = volley.head_lines(url)
    if not volley.bodies:
        yield from repeat("\r\n".join((*head, "", "")).encode())
    for number, body in zip(count(1), cycle(volley.bodies)):
        length = len(body.encode())
        own_lines = (f"Idempotency-Key: py-{number}", f"Content-Length: {length}", "", body)
        yield "\r\n".join((*head, *own_lines)).encode()


def _confirmations(url: str, volley: Volley) -> Callable[[str], bytes]:
    _, *rest = volley.head_lines(url)
    numbers = count(1)

    def confirmation(booking: str) -> bytes:
        head = (f"POST {CONFIRM_PATH.format(booking)} HTTP/1.1", *rest)
        own_lines = (f"Idempotency-Key: pay-{next(numbers)}", "Content-Length: 0", "", "")
        return "\r\n".join((*head, *own_lines)).encode()

    return confirmation
