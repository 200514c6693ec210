"""Fires a volley from Python, where there is no wrk: one asyncio protocol a connection.

No HTTP library: a request is bytes made in advance, an answer is read up to its Content-Length.
It still takes a good part of a core, so figures made with it are lower than the server's own.
"""

import asyncio
import re
from array import array
from collections.abc import Iterator
from itertools import count, cycle
from time import perf_counter
from urllib.parse import urlsplit

from bench.tally import latency_of
from bench.volley import Shots, Volley

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class _Round:
    """What the connections of one volley share."""

    def __init__(self, url: str, volley: Volley) -> None:
        self.requests = _requests(url, volley)
        self.ends_s = perf_counter() + volley.seconds
        self.times_ms = array("d")
        self.error_count = 0


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
        if head_end < 0 or not length or len(self._received) < head_end + 4 + int(length[1]):
            return
        self._shared.times_ms.append((perf_counter() - self._sent_s) * 1000)
        self._shared.error_count += self._received[9:10] != b"2"
        self._received = b""
        if perf_counter() < self._shared.ends_s:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if error or perf_counter() < self._shared.ends_s:
            self._shared.error_count += 1
        self.closed.set_result(None)

    def _send(self) -> None:
        self._sent_s = perf_counter()
        self._transport.write(next(self._shared.requests))


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
    latency = latency_of(shared.times_ms or [0.0])
    return Shots(
        seconds=seconds,
        answer_count=len(shared.times_ms),
        error_count=shared.error_count,
        p50_ms=latency.p50_ms,
        p99_ms=latency.p99_ms,
    )


def _requests(url: str, volley: Volley) -> Iterator[bytes]:
    head = volley.head_lines(url)
    for number, body in zip(count(1), cycle(volley.bodies)):
        length = len(body.encode())
        own_lines = (f"Idempotency-Key: py-{number}", f"Content-Length: {length}", "", body)
        yield "\r\n".join((*head, *own_lines)).encode()
