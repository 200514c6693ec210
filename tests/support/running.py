"""A real `engine up` on the folder of a test, with all its processes; nothing of it is left."""

import asyncio
import http.client
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.rig.stand import free_port
from embedded import servers
from tests.support.servers import children_of

_ROOT = Path(__file__).parents[2]
_OURS = {"REDIS_URL", "DATABASE_URL", "JWT_SECRET"}


class Up:
    """A running `engine up`."""

    def __init__(self, process: asyncio.subprocess.Process, data: Path, port: int) -> None:
        self.process = process
        self.data = data
        self.port = port

    async def ready(self) -> str:
        """Wait for its word, and for /readyz to agree. Returns what it printed."""
        said = await self._read_until("ready\n")
        assert said.endswith("ready\n"), said
        assert await self.is_ready()
        return said

    async def is_ready(self) -> bool:
        """Whether /readyz answers 200."""

        def ask() -> bool:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            except OSError:
                return False
            finally:
                connection.close()

        return await asyncio.to_thread(ask)

    def servers(self) -> servers.ServerUrls:
        """What other commands find."""
        found = servers.find(self.data)
        assert found is not None
        return found

    def parts(self) -> set[int]:
        """The pids of the API, the expirer, the writer and the deliverer."""
        return set(children_of(self.process.pid)) - set(self.servers().pids.values())

    def processes(self) -> set[int]:
        """Every process that must be gone at the end."""
        return self.parts() | set(self.servers().pids.values())

    def tree(self) -> set[int]:
        """Itself and every process below it, workers of workers included."""
        found, looked = {self.process.pid}, set[int]()
        while new := found - looked:
            looked |= new
            found |= {child for pid in new for child in children_of(pid)}
        return found

    async def engine(self, *command: str) -> tuple[int, str]:
        """Run another command on its folder: exit code and what it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine", *command, "--data", str(self.data)),
            cwd=_ROOT, env=_environ(),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def end(self, *numbers: signal.Signals) -> str:
        """Send the signals, each when the one before was handled, and return what it said since.

        A part may tell at any time that all is well: those lines are left out.
        """
        said = ""
        for number in numbers:
            self.process.send_signal(number)
            said += await self._read_until("stopping\n")
        said += await self._read_until("")
        await self.process.wait()
        return said

    async def _read_until(self, end: str) -> str:
        assert self.process.stdout
        said = ""
        async with asyncio.timeout(60):
            async for line in self.process.stdout:
                said += "" if re.match(rb"\d\d:\d\d:\d\d info ", line) else line.decode()
                if end and said.endswith(end):
                    break
        return said


@asynccontextmanager
async def running_up(data: Path, port: int = 0, *options: str, **over: str) -> AsyncIterator[Up]:
    """Start it, on a free port if none is said; what a failed test leaves is ended."""
    port = port or free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine", "up", "--port", str(port), "--data", str(data),
        *options, cwd=_ROOT, env={**_environ(), **over},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    up = Up(process, data, port)
    try:
        yield up
    finally:
        if process.returncode is None:
            await up.end(signal.SIGTERM)


def _environ() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if name not in _OURS}
