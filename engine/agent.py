"""The life of an agent: the writer, the expirer, the deliverer and the reconciler share it.

    starting -> running -> draining -> stopped

Starting: `run` was called, and an essential step has not succeeded yet; the `up` gauge is 0.
Running: every essential step succeeded at its last try. A step that fails is logged and repeated
with backoff; the agent's other loops go on. Only an error that no agent expects ends the process.
Draining: `stop` is set. No step begins again, and the loops have `drain_s` to finish their work.
Stopped: what was still running is cancelled, and `run` returns. An agent that is killed skips the
draining: Redis and Postgres redeliver what it had in hand.

A heartbeat says that the process runs and reaches Redis, not that its work succeeds: metrics say
that. It is sent every BEAT_S and counts for HEARTBEAT_S (5 s), so a few may be lost.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import ClassVar

import msgspec
from prometheus_client import Gauge

from engine import logs
from engine.engine import Engine
from engine.errors import EngineError, ErrorReply

BEAT_S = 1.0
BACKOFF_S_MIN = 0.1

UNREADABLE: tuple[type[Exception], ...] = (
    msgspec.MsgspecError,
    EOFError,
    LookupError,
    ValueError,
)
"""What decoding raises for a value that no release has written; a broken gzip is an OSError."""
DAMAGED: tuple[type[Exception], ...] = (ErrorReply, *UNREADABLE)
"""What reading a key of an event raises that has another type, or such a value."""


class Agent:
    """A subclass names its loops, each a coroutine that ends once `_stopping` is set."""

    name: ClassVar[str]
    up: ClassVar[Gauge | None] = None
    essential: ClassVar[frozenset[str]] = frozenset()
    """The steps without which the agent does nothing useful, by the names of their methods."""
    failures: ClassVar[tuple[type[Exception], ...]] = (EngineError, OSError, *UNREADABLE)
    """What a step raises while a server is away, or for the damaged record of one event, which must
    not stop the agent for all others. Any other error is a defect."""
    backoff_s_max: ClassVar[float] = 2.0
    drain_s: ClassVar[float] = 0.0

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopping = asyncio.Event()
        self._failing = set(self.essential)
        self._log = logs.get(self.name)

    def _loops(self) -> Iterable[Coroutine[None, None, None]]:
        raise NotImplementedError

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, drain, and return; go on through any outage."""
        self._show()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._repeat(self._beat, BEAT_S))
                loops = [tasks.create_task(loop) for loop in self._loops()]
                try:
                    await stop.wait()
                finally:
                    self._stopping.set()
                await asyncio.wait(loops, timeout=self.drain_s)
                for task in loops:
                    task.cancel()
        finally:
            self._failing |= self.essential
            self._show()

    async def _repeat(self, step: Callable[[], Awaitable[object]], pause_s: float = 0.0) -> None:
        """Repeat a step until the stop: after a pause, or after a longer one while it fails."""
        name = getattr(step, "__name__", "")
        backoff_s = BACKOFF_S_MIN
        # Not `while True`: redis-py may swallow a cancellation when its reply has just arrived.
        while not self._stopping.is_set():
            wait_s = pause_s
            try:
                await step()
                self._failing.discard(name)
                backoff_s = BACKOFF_S_MIN
            except self.failures as error:
                self._failing.add(name)
                self._log.warning("step_failed", step=name, why=repr(error))
                wait_s = max(pause_s, backoff_s * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
                backoff_s = min(2 * backoff_s, self.backoff_s_max)
            self._show()
            if wait_s:
                await self._pause(wait_s)

    async def _pause(self, seconds: float, until: asyncio.Event | None = None) -> None:
        """Wait, but not longer than until the stop, or `until`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await (until or self._stopping).wait()

    async def _beat(self) -> None:
        await self._engine.beat(self.name)

    def _show(self) -> None:
        if self.up:
            self.up.set(not self._failing & self.essential)
