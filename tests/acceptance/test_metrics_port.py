"""Metrics of real processes: each part on a port of its own, the API with one and two workers."""

import asyncio
import os
import signal
import sys
import urllib.request
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bench.rig.stand import free_port
from engine import Engine, Settings
from engine.metrics.shared_files import FOLDER
from tests.support.factories import GALA, layout, terms
from tests.support.servers import children_of
from tests.support.waiting import until

_ROOT = Path(__file__).parents[2]

PARTS = {
    "expire": "expirer_up",
    "write": "writer_up",
    "deliver": "webhook_oldest_undelivered_seconds",
    "reconcile": "reconcile_last_run_timestamp_seconds",
}
"""The command of each part, and a gauge that it alone sets."""


@asynccontextmanager
async def command(settings: Settings, *words: str, **more: str) -> AsyncIterator[Process]:
    """Run an `engine` command on the test's servers; it must end on SIGTERM with exit code 0."""
    environ = {name: text for name, text in os.environ.items() if name != FOLDER}
    environ |= {"REDIS_URL": settings.redis_url, "DATABASE_URL": settings.database_url}
    environ |= {"JWT_SECRET": settings.jwt_secret, "DRAIN_WAIT_S": "0", **more}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine", *words, cwd=_ROOT, env=environ, stderr=PIPE, stdout=DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
        print(said.decode())
    assert process.returncode == 0


async def scraped(port: int) -> dict[str, float]:
    """Every series without labels, and of the others one each; nothing while no server answers."""

    def fetch() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    families = text_string_to_metric_families(await asyncio.to_thread(fetch))
    return {sample.name: sample.value for family in families for sample in family.samples}


async def test_every_part_shows_what_it_does_and_nothing_of_the_others(
    engine: Engine, settings: Settings, database_url: str
) -> None:
    await engine.events.load_event(GALA, layout(), terms())
    ports = {part: free_port() for part in PARTS}
    async with AsyncExitStack() as stack:
        for part, port in ports.items():
            every = ("--every", "0.2") if part == "reconcile" else ()
            words = (part, *every, "--metrics-port", f"{port}")
            await stack.enter_async_context(command(settings, *words))
        for part, gauge in PARTS.items():

            async def shows(port: int = ports[part], gauge: str = gauge) -> bool:
                return gauge in await scraped(port)

            await until(shows)
        found = {part: await scraped(port) for part, port in ports.items()}
        for part, series in found.items():
            assert {gauge for gauge in PARTS.values() if gauge in series} == {PARTS[part]}
            assert series["process_resident_memory_bytes"] > 0
        assert "writer_lag_seconds" in found["write"]
        assert "engine_seats" in found["expire"]
        assert "reconcile_differences" in found["reconcile"]
        beats = await engine.parts_running(["expirer", "writer", "deliverer", "reconciler"])
        assert all(beats.values())


async def test_port_that_is_taken_is_refused_in_one_line(settings: Settings) -> None:
    taken = await asyncio.start_server(lambda *_: None, "0.0.0.0", 0)
    port = taken.sockets[0].getsockname()[1]
    async with taken:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine", "expire", "--metrics-port", f"{port}"),
            cwd=_ROOT, env={**os.environ, "REDIS_URL": settings.redis_url}, stderr=PIPE,
        )  # fmt: skip
        _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().splitlines()[-1] == (
        f"Error: --metrics-port {port}: Address already in use; choose another port"
    )


async def test_rounds_wait_for_a_postgres_that_is_not_there_yet(settings: Settings) -> None:
    port = free_port()
    words = ("reconcile", "--every", "0.2", "--metrics-port", f"{port}")
    away = "postgresql://postgres@/postgres?host=/nowhere"
    async with command(settings, *words, DATABASE_URL=away) as process:

        async def failed_twice() -> bool:
            found = await scraped(port)
            return found.get("reconcile_runs_total", 0) >= 2

        await until(failed_twice)
        assert process.returncode is None


async def test_api_of_one_process_has_metrics(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    async with command(settings, "serve", "--port", f"{port}", "--data", str(tmp_path)):

        async def has_them() -> bool:
            return "http_requests_total" in await scraped(port)

        await until(has_them)
        found = await scraped(port)
        assert {"http_requests_in_flight", "process_cpu_seconds_total"} <= set(found)
        assert "writer_up" not in found, "the API knows nothing of the writer"


async def test_killed_worker_leaves_its_counts_and_takes_its_gauges_along(
    settings: Settings, tmp_path: Path
) -> None:
    port = free_port()
    serve = ("serve", "--port", f"{port}", "--workers", "2", "--data", str(tmp_path))
    folder = tmp_path / "metrics"
    async with command(settings, *serve, **{FOLDER: str(folder)}) as process:

        async def both_run() -> bool:
            return len(list(folder.glob("gauge_livesum_*.db"))) == 3 and bool(await scraped(port))

        await until(both_run)
        files = {path.name for path in folder.iterdir()}
        size = sum(path.stat().st_size for path in folder.glob("*.db"))
        before = (await scraped(port))["http_requests_total"]
        for _ in range(2):
            killed = frozenset(children_of(process.pid))
            for worker in killed:
                os.kill(worker, signal.SIGKILL)

            async def all_again(killed: frozenset[int] = killed) -> bool:
                running = set(children_of(process.pid)) - killed
                return len(running) >= 2 and bool(await scraped(port))

            await until(all_again)
        await until(both_run)
        assert (await scraped(port))["http_requests_total"] > before
        assert {path.name for path in folder.iterdir()} == files
        assert sum(path.stat().st_size for path in folder.glob("*.db")) == size
