"""`engine up` as people run it: real processes, real signals, and nothing left behind."""

import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from embedded import servers
from tests.support.running import Up, running_up
from tests.support.servers import children_of, is_running
from tests.support.waiting import until

Start = Callable[..., Awaitable[Up]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts `engine up` on the test's data folder; what a failed test leaves is ended."""
    async with AsyncExitStack() as stack:

        async def start(port: int | None = None) -> Up:
            return await stack.enter_async_context(running_up(tmp_path / "data", port or 0))

        yield start


async def test_up_runs_every_part_and_sigterm_leaves_nothing_but_the_data(start: Start) -> None:
    up = await start()
    await up.ready()
    processes = up.processes()
    assert len(processes) == 7, "Valkey, Postgres, api, expirer, writer, deliverer, reconciler"
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


async def test_up_prints_plain_text_and_other_commands_find_its_api(
    tmp_path: Path,
) -> None:
    async with running_up(tmp_path / "data", RATE_LIMITS="off") as up:
        said = await up.ready()
        url = f"http://127.0.0.1:{up.port}"
        assert f"API       {url}/api/v1" in said
        assert f"docs      {url}/api/docs" in said
        assert f"token     engine token --sub me --data {up.data}" in said
        assert "{" not in said
        assert up.servers().api_url == url
        assert (await up.engine("load", "venue:hall", "--event", "gala", "--hold-ttl", "1"))[0] == 0
        options = ("--users", "10", "--seconds", "2", "--require", "confirmed_count>=1")
        code, told = await up.engine("war", "--event", "gala", *options)
        assert code == 0, told
        await up.end(signal.SIGTERM)


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
    assert up.process.returncode == 2
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
        return len(others) == 7 and servers.find(up.data) is not None

    await until(all_run_again)
    await until(up.is_ready)
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
    assert msgspec.structs.replace(second.servers(), api_url=left.api_url) == left
    await second.end(signal.SIGTERM)
    assert not any(is_running(pid) for pid in processes)
