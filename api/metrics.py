"""For Prometheus: every metric, and what is under way.

A scrape of eight processes is 0.1 s of Python. In a thread it would still hold every request up,
by the interpreter's lock: so a process of low priority does it, one at a time, and whoever asks
meanwhile gets the same answer. A process alone has little to collect, and does it in a thread.

The requests in flight are looked at now and then rather than counted on the way: a hold pays
nothing for it.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST

from api.http.calls import Call, Services
from api.http.payloads import NoQuery
from api.http.responses import Response
from engine import logs
from engine.metrics import metrics, shared_files

LOOK_S = 0.5
"""How often the requests in flight are looked at."""

_log = logs.get("api")


class _Scrape:
    """One at a time in a process."""

    def __init__(self) -> None:
        self._running: asyncio.Task[bytes] | None = None

    async def text(self) -> bytes:
        """The scrape that runs, or a new one."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(_scraped())
        return await asyncio.shield(self._running)


async def _scraped() -> bytes:
    if os.environ.get(shared_files.FOLDER):
        try:
            return await _scraped_beside()
        except OSError as error:  # no process could be made, or it was killed
            _log.warning("scraped_here", why=str(error))
    return await asyncio.to_thread(shared_files.scrape)


async def _scraped_beside() -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", shared_files.__file__, stdout=asyncio.subprocess.PIPE
    )
    text, _ = await process.communicate()
    if process.returncode:
        raise OSError(f"the scrape ended with exit code {process.returncode}")
    return text


_scrape = _Scrape()


async def read_metrics(call: Call[NoQuery, None]) -> Response:
    """Every metric, in the Prometheus text format; of all processes if they share a folder."""
    return Response(await _scrape.text(), content_type=CONTENT_TYPE_LATEST.encode())


@asynccontextmanager
async def in_flight_shown(services: Services) -> AsyncIterator[None]:
    """Show how many requests this process works on, until the block ends."""
    task = asyncio.create_task(_show_in_flight(services))
    try:
        yield
    finally:
        task.cancel()
        metrics.http_in_flight.set(0)


async def _show_in_flight(services: Services) -> None:
    while True:
        metrics.http_in_flight.set(services.in_flight_count)
        await asyncio.sleep(LOOK_S)
