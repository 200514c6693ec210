"""Graceful shutdown: what a draining API process responds, and that it stops."""

import asyncio
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

import httpx2
import msgspec

from bench.rig.stand import free_port
from engine import Settings
from tests.api.client import BOOKING, bearer
from tests.support.box_office import BoxOffice
from tests.support.servers import children_of, is_running
from tests.support.waiting import until

_ROOT = Path(__file__).parents[2]


class Served:
    """A running `engine serve`."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port

    async def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def _served(
    settings: Settings, *options: str, log: TextIO | None = None, **over: str
) -> AsyncIterator[Served]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine", "serve", "--port", str(port), *options), cwd=_ROOT,
        env={
            **os.environ, "REDIS_URL": settings.redis_url, "JWT_SECRET": settings.jwt_secret,
            "DATABASE_URL": "", **over,
        },
        stderr=log,
    )  # fmt: skip
    served = Served(process, port)
    try:
        await until(served.answers)
        yield served
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_draining_process_reports_it_and_still_sells(
    settings: Settings, office: BoxOffice, tmp_path: Path
) -> None:
    await office.open()
    log = tmp_path / "log"
    with log.open("w") as written:
        await _drained_while_selling(settings, written)
    lines = [msgspec.json.decode(line) for line in log.read_text().splitlines()]
    assert {"answered", "draining"} <= {line["event"] for line in lines}
    assert all(line.keys() >= {"ts", "level", "part", "event"} for line in lines)
    assert bearer("ann")["authorization"][:20] not in log.read_text()


async def _drained_while_selling(settings: Settings, log: TextIO) -> None:
    async with (
        _served(settings, log=log, DRAIN_WAIT_S="30", LOG_LEVEL="debug") as served,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as http,
    ):
        before = await http.get("/readyz")
        assert (before.status_code, before.json()["status"]) == (200, "ready")
        assert "connection" not in before.headers

        served.process.send_signal(signal.SIGTERM)

        async def draining() -> bool:
            return (await http.get("/readyz")).status_code == 503

        await until(draining)
        readiness = await http.get("/readyz")
        assert readiness.json()["status"] == "draining"
        assert (await http.get("/healthz")).status_code == 200
        held = await http.post(BOOKING, headers=bearer("ann"), json={"seatId": "gala:A-1-1"})
        assert (held.status_code, held.headers["connection"]) == (201, "close")

        served.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await served.process.wait() == 0


async def test_a_request_under_way_is_answered_and_its_connection_closed(
    settings: Settings, office: BoxOffice
) -> None:
    await office.open()
    body = msgspec.json.encode({"seatId": "gala:A-1-1"})
    async with _served(settings) as served:
        idle = await asyncio.open_connection("127.0.0.1", served.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(
            b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Authorization: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"
            % (BOOKING.encode(), bearer("ann")["authorization"].encode(), len(body))
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"

        served.process.send_signal(signal.SIGTERM)

        async def deaf() -> bool:
            return not await served.answers()

        await until(deaf)
        writer.write(body)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert b"\r\nconnection: close\r\n" in answer
        assert await idle[0].read() == b""
        async with asyncio.timeout(10):
            assert await served.process.wait() == 0
        writer.close()
        idle[1].close()


async def test_a_request_that_does_not_end_is_given_up(settings: Settings) -> None:
    async with _served(settings, DRAIN_S_MAX="1") as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        head = f"POST {BOOKING} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += f"Authorization: {bearer('ann')['authorization']}\r\nContent-Length: 9\r\n\r\n"
        writer.write(head.encode())
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        await asyncio.to_thread(connection.request, "GET", "/healthz")  # the head was read by then
        assert (await asyncio.to_thread(connection.getresponse)).status == 200
        served.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await served.process.wait() == 0
        await reader.read()
        writer.close()
        connection.close()


def _command(pid: int) -> str:
    asked = ["ps", "-ww", "-o", "command=", "-p", str(pid)]  # not cut at 80 characters
    return subprocess.run(asked, capture_output=True, check=True, text=True).stdout


async def test_a_worker_that_is_killed_comes_back_and_workers_end_with_their_parent(
    settings: Settings,
) -> None:
    async with _served(settings, "--workers", "2") as served:
        parent = served.process.pid
        before = set(children_of(parent))
        assert len(before) == 3, "two workers and what multiprocessing keeps"
        # Not by its number: the system's pids are reused from time to time.
        commands = {pid: await asyncio.to_thread(_command, pid) for pid in before}
        worker = next(pid for pid in before if "spawn_main" in commands[pid])

        os.kill(worker, signal.SIGKILL)

        async def comes_back() -> bool:
            now = set(children_of(parent))
            return len(now) == 3 and worker not in now

        await until(comes_back)
        await until(served.answers)
        workers = set(children_of(parent))

        served.process.kill()

        async def gone() -> bool:
            return not any(is_running(pid) for pid in workers)

        await until(gone)
