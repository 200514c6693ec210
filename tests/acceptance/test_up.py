"""`engine up` as people run it: real processes, real signals, and nothing left behind."""

import asyncio
import http.client
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from engine.embedded import servers
from tests.support.servers import children_of, is_running
from tests.support.waiting import until

_ROOT = Path(__file__).parents[2]
_OURS = {"REDIS_URL", "DATABASE_URL", "JWT_SECRET"}


class Up:
    """A running `engine up`."""

    def __init__(self, process: asyncio.subprocess.Process, data: Path, port: int) -> None:
        self.process = process
        self.data = data
        self.port = port

    async def ready(self) -> None:
        """Wait for its word, and for /readyz to agree."""
        said = await self._read_until("ready\n")
        assert said.endswith("ready\n"), said
        assert await self.is_ready()

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

    async def end(self, *numbers: signal.Signals) -> str:
        """Send the signals, each when the one before was heard, and return what it said."""
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
                said += line.decode()
                if end and said.endswith(end):
                    break
        return said


Start = Callable[..., Awaitable[Up]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts `engine up` on the test's data folder; what a failed test leaves is ended."""
    async with AsyncExitStack() as stack:

        async def start(port: int | None = None) -> Up:
            return await stack.enter_async_context(_up(tmp_path / "data", port or _free_port()))

        yield start


@asynccontextmanager
async def _up(data: Path, port: int) -> AsyncIterator[Up]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine", "up", "--port", str(port), "--data", str(data),
        cwd=_ROOT, env={name: text for name, text in os.environ.items() if name not in _OURS},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    up = Up(process, data, port)
    try:
        yield up
    finally:
        if process.returncode is None:
            await up.end(signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_up_runs_every_part_and_sigterm_leaves_nothing_but_the_data(start: Start) -> None:
    up = await start()
    await up.ready()
    processes = up.processes()
    assert len(processes) == 6, "Valkey, Postgres, api, expirer, writer, deliverer"
    async with Redis.from_url(up.servers().redis_url) as client:
        await client.set("kept", "1")

    said = await up.end(signal.SIGTERM)

    assert (up.process.returncode, said) == (0, "stopping\nstopped\n")
    assert not any(is_running(pid) for pid in processes)
    assert servers.find(up.data) is None

    up = await start()
    await up.ready()
    processes = up.processes()
    async with Redis.from_url(up.servers().redis_url) as client:
        assert await client.get("kept") == b"1"

    await up.end(signal.SIGINT, signal.SIGINT)

    assert up.process.returncode == 0
    assert not any(is_running(pid) for pid in processes)


async def test_up_beside_another_on_its_folder_is_refused(start: Start) -> None:
    first = await start()
    await first.ready()
    second = await start()
    said = await second.end()
    assert second.process.returncode == 2
    assert f"in use by `engine up` with pid {first.process.pid}" in said
    assert await first.is_ready()


async def test_up_on_a_taken_port_says_so_and_starts_nothing(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        up = await start(taken.getsockname()[1])
        said = await up.end()
    assert up.process.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {up.port}: Address already in use" in said
    assert servers.find(up.data) is None


async def test_up_starts_what_was_killed_again(start: Start) -> None:
    up = await start()
    await up.ready()
    killed = up.processes()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)

    async def all_run_again() -> bool:
        others = set(children_of(up.process.pid)) - killed
        return len(others) == 6 and servers.find(up.data) is not None

    await until(all_run_again, timeout_s=30)
    await until(up.is_ready, timeout_s=30)
    await up.end(signal.SIGTERM)
    assert up.process.returncode == 0


async def test_up_after_a_killed_one_adopts_its_servers(start: Start) -> None:
    first = await start()
    await first.ready()
    left, parts, processes = first.servers(), first.parts(), first.processes()
    first.process.kill()
    await first.end()

    async def parts_are_gone() -> bool:
        return not any(is_running(pid) for pid in parts)

    await until(parts_are_gone)

    second = await start()
    await second.ready()
    assert second.servers() == left
    await second.end(signal.SIGTERM)
    assert not any(is_running(pid) for pid in processes)
