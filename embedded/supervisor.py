"""Keeps the parts of `engine up` running: restarts a part that dies, and stops all in order.

A part is a process in a session of its own. So Ctrl-C in the terminal reaches only the supervisor,
and the children of a part are stopped with it. A part that dies early is restarted with backoff. A
part that ignores SIGTERM is killed.
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from embedded import tether
from engine import logs

STOP_TIMEOUT_S = 20.0
FORCE_S = 3.0
"""Grace period of a part after `force`. It is safe: unacknowledged work is redelivered."""
_DELAY_MIN_S, _DELAY_MAX_S = 0.5, 10.0


@dataclass(frozen=True, slots=True)
class Part:
    """A command to keep running; its first word is the path of a program.

    `niceness`: its scheduling priority, as in nice(2).
    """

    name: str
    command: Sequence[str]
    niceness: int = 0


async def supervise(
    parts: Sequence[Part],
    environ: Mapping[str, str],
    stop: asyncio.Event,
    stop_timeout_s: float = STOP_TIMEOUT_S,
    force: asyncio.Event | None = None,
) -> None:
    """Keep the parts running until `stop` is set, then stop them one after the other.

    Once `force` is set too, all are stopped at once, each within FORCE_S. Returns when no process
    of any part is left.
    """
    kept = [_Kept(part, environ, stop_timeout_s) for part in parts]
    async with asyncio.TaskGroup() as tasks:
        for one in kept:
            tasks.create_task(one.keep())
        await stop.wait()
        forcing = tasks.create_task(_force_stop(kept, force or asyncio.Event()))
        for one in kept:
            await one.stop()
        forcing.cancel()


async def _force_stop(kept: "Sequence[_Kept]", force: asyncio.Event) -> None:
    await force.wait()
    for one in kept:
        one.force()


class _Kept:
    """One part: its current process, and whether it is to stop."""

    def __init__(self, part: Part, environ: Mapping[str, str], stop_timeout_s: float) -> None:
        self._part = part
        self._environ = environ
        self._stop_timeout_s = stop_timeout_s
        self._stopping = asyncio.Event()
        self._forced = asyncio.Event()
        self._stopped = asyncio.Event()
        self._log = logs.get("supervisor")

    async def keep(self) -> None:
        """Run the part and restart it until it is stopped."""
        delay_s = _DELAY_MIN_S
        clock = asyncio.get_running_loop().time
        try:
            while not self._stopping.is_set():
                started_at = clock()
                try:
                    reason = await self._run_once()
                except OSError as error:  # the process could not be started
                    reason = str(error)
                if self._stopping.is_set():
                    return
                if clock() - started_at > _DELAY_MAX_S:
                    delay_s = _DELAY_MIN_S
                self._log.error(
                    "part_died", name=self._part.name, reason=reason, again_in_s=delay_s
                )
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay_s)
                delay_s = min(2 * delay_s, _DELAY_MAX_S)
        finally:
            self._stopped.set()

    def force(self) -> None:
        """Stop the part within FORCE_S, also if it is stopping already."""
        self._forced.set()
        self._stopping.set()

    async def stop(self) -> None:
        """Stop the part and wait until it has ended."""
        self._stopping.set()
        await self._stopped.wait()

    async def _run_once(self) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", tether.__file__, str(os.getpid()),
            str(self._part.niceness), *self._part.command,
            env=dict(self._environ), stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._terminate(process, ended)
        finally:
            stopping.cancel()
            _kill_group(process.pid)  # an API that died may leave workers
            code = await ended
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    async def _terminate(self, process: Process, ended: "asyncio.Task[int]") -> None:
        waited_s = self._stop_timeout_s
        _terminate(process)
        forcing = asyncio.create_task(self._forced.wait())
        await asyncio.wait({ended, forcing}, timeout=waited_s, return_when=asyncio.FIRST_COMPLETED)
        if self._forced.is_set() and not ended.done():
            waited_s = min(FORCE_S, waited_s)
            _terminate(process)  # on the second SIGTERM an API skips its wait for the load balancer
            await asyncio.wait({ended}, timeout=waited_s)
        forcing.cancel()
        if not ended.done():
            self._log.warning("part_killed", name=self._part.name, ignored_sigterm_s=waited_s)


def _terminate(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: only zombies are left
        os.killpg(leader, signal.SIGKILL)
