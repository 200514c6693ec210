"""The metrics endpoint, and the gauge of requests in flight.

A scrape of eight processes takes 0.1 s of Python. A thread would still delay every request,
because it holds the interpreter's lock. So a subprocess of low priority collects the metrics, one
at a time: concurrent scrapes share its result (single-flight). A process without siblings has
little to collect, and uses a thread.

The gauge is sampled, not updated by each request, so a hold pays nothing for it.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST

from api.http.calls import Call
from api.http.payloads import NoQuery
from api.http.responses import Response
from api.services import Services
from engine import logs
from engine.metrics import metrics, shared_files

SAMPLE_S = 0.5
"""How often the requests in flight are sampled."""

_log = logs.get("api")


class _Scrape:
    """Single-flight: at most one scrape at a time in this process."""

    def __init__(self) -> None:
        self._running: asyncio.Task[bytes] | None = None

    async def text(self) -> bytes:
        """The result of the running scrape, or of a new one."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(_collect())
        return await asyncio.shield(self._running)


async def _collect() -> bytes:
    if os.environ.get(shared_files.FOLDER):
        try:
            return await _collect_in_subprocess()
        except OSError as error:  # the subprocess did not start, or was killed
            _log.warning("scrape_fallback", why=str(error))
    return await asyncio.to_thread(shared_files.scrape)


async def _collect_in_subprocess() -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", shared_files.__file__, stdout=asyncio.subprocess.PIPE
    )
    text, _ = await process.communicate()
    if process.returncode:
        raise OSError(f"the scrape ended with exit code {process.returncode}")
    return text


_scrape = _Scrape()


async def read_metrics(call: Call[NoQuery, None]) -> Response:
    """Every metric, in the Prometheus text format; of all processes if they share a directory."""
    return Response(await _scrape.text(), content_type=CONTENT_TYPE_LATEST.encode())


@asynccontextmanager
async def in_flight_measured(services: Services) -> AsyncIterator[None]:
    """Keep the gauge of requests in flight up to date, until the block ends."""
    task = asyncio.create_task(_measure_in_flight(services))
    try:
        yield
    finally:
        task.cancel()
        metrics.http_in_flight.set(0)


async def _measure_in_flight(services: Services) -> None:
    while True:
        metrics.http_in_flight.set(services.in_flight_count)
        await asyncio.sleep(SAMPLE_S)
