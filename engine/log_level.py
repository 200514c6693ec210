"""The level of the logs while everything runs: one key in Redis that every process looks at.

A key rather than a signal, which uvicorn's parent keeps from its workers and which reaches one
machine only, and rather than a route, which reaches one process of many. It ends by itself, so
nobody's debug level is left on. While Redis is away the level stays as it is.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine import keys, logs
from engine.errors import EngineError
from engine.transport.client import RedisClient

LOOK_S = 1.0
_log = logs.get("logs")


class LogLevel:
    """What is logged by the processes of this Redis, beside what LOG_LEVEL says of each."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def read(self) -> str | None:
        """The level that is set, if one is. Raises Unavailable."""
        level = await self._client.get(keys.LOG_LEVEL)
        text = level.decode() if level else ""
        return text if text in logs.LEVELS else None

    async def seconds_left(self) -> int:
        """How long what is set still holds; 0 if nothing is. Raises Unavailable."""
        return max(0, int(await self._client.ttl(keys.LOG_LEVEL)))

    async def set(self, level: str, seconds: int) -> None:
        """Have every process log at this level for so long."""
        await self._client.set(keys.LOG_LEVEL, level, ex=seconds)

    async def reset(self) -> None:
        """Back to what LOG_LEVEL says."""
        await self._client.delete(keys.LOG_LEVEL)

    @asynccontextmanager
    async def followed(self, usual: str) -> AsyncIterator[None]:
        """Keep this process at the level that is set, or else at the `usual` one."""
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
            with contextlib.suppress(EngineError):  # it stays as it is
                wanted = await self.read() or usual
                if wanted != level:
                    level = wanted
                    logs.configure(level)
                    _log.warning("log_level_changed", to=level)
            await asyncio.sleep(LOOK_S)
