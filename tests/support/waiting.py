"""Waiting for a condition instead of sleeping: as short as it takes, with an end."""

import asyncio
from collections.abc import Awaitable, Callable

_LOOK_AGAIN_S = 0.01


async def until(condition: Callable[[], Awaitable[object]], timeout_s: float = 60.0) -> None:
    """Wait until the condition answers something true. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110  # another process changes it: no signal
            await asyncio.sleep(_LOOK_AGAIN_S)
