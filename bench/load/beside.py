"""Load from a process of its own, so that making it does not delay what is measured elsewhere."""

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

_Given = TypeVar("_Given")
_Came = TypeVar("_Came")


async def run_beside(fire: Callable[[_Given], _Came], given: _Given) -> _Came:
    """Call it in a new process, which takes a moment to start. Raises what it raises."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return await asyncio.get_running_loop().run_in_executor(process, fire, given)
