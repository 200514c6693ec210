"""The log level of all running processes: one key in Redis, which every process polls.

A signal would reach one machine only, and uvicorn's parent does not pass it to its workers. A route
would reach one process of many. The key expires, so a debug level cannot be left on. While Redis is
unavailable the level stays as it is.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine import keys, logs
from engine.errors import EngineError
from engine.transport.client import RedisClient

POLL_S = 1.0
_log = logs.get("logs")


class LogLevel:
    """The level that overrides LOG_LEVEL in every process of this Redis."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def read(self) -> str | None:
        """The level that is set, or None. Raises Unavailable, OutcomeUnknown."""
        level = await self._client.get(keys.LOG_LEVEL)
        text = level.decode() if level else ""
        return text if text in logs.LEVELS else None

    async def seconds_left(self) -> int:
        """Seconds until the level expires; 0 if none is set. Raises Unavailable, OutcomeUnknown."""
        return max(0, int(await self._client.ttl(keys.LOG_LEVEL)))

    async def set(self, level: str, seconds: int) -> None:
        """Make every process log at this level for `seconds`."""
        await self._client.set(keys.LOG_LEVEL, level, ex=seconds)

    async def reset(self) -> None:
        """Return every process to its LOG_LEVEL."""
        await self._client.delete(keys.LOG_LEVEL)

    @asynccontextmanager
    async def followed(self, usual: str) -> AsyncIterator[None]:
        """Keep this process at the level that is set, or at the `usual` one."""
        stop = asyncio.Event()
        task = asyncio.create_task(self._follow(usual, stop))
        try:
            yield
        finally:
            stop.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, usual: str, stop: asyncio.Event) -> None:
        level = usual
        # Not `while True`: redis-py may swallow a cancellation when its answer has just arrived.
        while not stop.is_set():
            with contextlib.suppress(EngineError):  # the level stays as it is
                wanted = await self.read() or usual
                if wanted != level:
                    level = wanted
                    logs.configure(level)
                    _log.warning("log_level_changed", to=level)
            await asyncio.sleep(POLL_S)
