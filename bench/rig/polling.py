"""Polls for a condition in another process, which sends no signal."""

import asyncio
from collections.abc import Awaitable, Callable

from engine import Engine
from engine.ids import EventId

LOOK_AGAIN_S = 0.1


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
