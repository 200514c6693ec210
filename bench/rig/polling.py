"""Polls for a condition in another process, which sends no signal."""

import asyncio
from collections.abc import Awaitable, Callable

from engine import Engine
from engine.ids import EventId

LOOK_AGAIN_S = 0.1
_REWRITE_S_MAX = 120


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Wait until the condition holds. False when the time was over first."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    while not await condition():
        if loop.time() >= end_s:
            return False
        await asyncio.sleep(LOOK_AGAIN_S)
    return True


async def until_written(engine: Engine, event: EventId, seconds: float) -> bool:
    """Wait until the writer has persisted the whole journal. False when it has not in time."""

    async def nothing_open() -> bool:
        return (await engine.journal.backlog(event)).entries == 0

    return await until(nothing_open, seconds)


async def is_rewritten(engine: Engine) -> bool:
    """Whether Redis rewrites its append-only file neither now nor soon."""
    info = await engine.client.info("persistence")
    return not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]


async def until_rewritten(engine: Engine) -> None:
    """Wait until Redis has rewritten its append-only file. Raises TimeoutError after 120 s."""
    if not await until(lambda: is_rewritten(engine), _REWRITE_S_MAX):
        raise TimeoutError("Redis does not finish its append-only file")
