"""Fires calls at a fixed rate, whatever becomes of those before: a storm does not wait its turn.

One request when its time has come, on a connection that is free or on a new one. Runs in a
process of its own, so that counting here does not delay what is measured elsewhere.
"""

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import count
from time import perf_counter
from urllib.parse import urlsplit

from msgspec import Struct

from bench.load.beside import run_beside

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Storm(Struct, frozen=True, kw_only=True):
    """POST these bodies to a path, so many a second; with no bodies GET it.

    `timed`: keep every answer's time, from the moment its request was due.
    """

    url: str
    path: str
    bodies: Sequence[str]
    per_s: float
    seconds: float
    token: str = ""
    timed: bool = False


class Timed(Struct, frozen=True):
    """A call: when it was due (Unix time) and how long its answer took from then."""

    due_ms: float
    ms: float


class Weathered(Struct, frozen=True):
    """How many answers had which status, and how many calls went out a second."""

    statuses: dict[int, int]
    per_s: float
    times: list[Timed] = []


def blow(storm: Storm) -> Weathered:
    """Fire, and wait for the last answers. Raises: OSError when nobody listens."""
    return asyncio.run(_blow(storm))


async def blow_beside(storm: Storm) -> Weathered:
    """The same in a process of its own, which takes a moment to start."""
    return await run_beside(blow, storm)


async def _blow(storm: Storm) -> Weathered:
    """Every storm has request ids of its own: two may blow at one event."""
    name = os.urandom(4).hex()
    free: list[_Connection] = []
    statuses: Counter[int] = Counter()
    times: list[Timed] = []
    under_way: set[asyncio.Task[None]] = set()
    began_s = perf_counter()
    for number in count():
        due_s = began_s + number / storm.per_s
        if due_s >= began_s + storm.seconds:
            break
        await asyncio.sleep(max(0.0, due_s - perf_counter()))
        task = asyncio.create_task(_call(storm, f"{name}-{number}", free, statuses))
        if storm.timed:
            task.add_done_callback(partial(_keep_time, times, due_s))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    sent_s = perf_counter() - began_s
    if under_way:
        await asyncio.wait(under_way)
    for _, writer in free:
        writer.close()
    return Weathered(dict(statuses), sum(statuses.values()) / sent_s, times)


def _keep_time(times: list[Timed], due_s: float, _: asyncio.Task[None]) -> None:
    late_ms = (perf_counter() - due_s) * 1000
    times.append(Timed(time.time() * 1000 - late_ms, late_ms))


async def _call(
    storm: Storm, request_id: str, free: list[_Connection], statuses: Counter[int]
) -> None:
    address = urlsplit(storm.url)
    connection = (
        free.pop() if free else await asyncio.open_connection(address.hostname, address.port)
    )
    reader, writer = connection
    writer.write(_request(storm, request_id, address.netloc))
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    await reader.readexactly(int(length[1]) if length else 0)
    statuses[int(head[9:12])] += 1
    free.append(connection)


def _request(storm: Storm, request_id: str, host: str) -> bytes:
    if not storm.bodies:
        return f"GET {storm.path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    owner = ""
    if storm.token:
        owner = f"Authorization: Bearer {storm.token}\r\nIdempotency-Key: {request_id}\r\n"
    body = storm.bodies[int(request_id.rpartition("-")[2]) % len(storm.bodies)]
    return (
        f"POST {storm.path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"{owner}Content-Length: {len(body.encode())}\r\n\r\n{body}"
    ).encode()
