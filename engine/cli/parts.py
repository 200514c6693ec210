"""`engine serve`, `expire`, `write`, `deliver`, `migrate`: one part of the system each.

Each runs until SIGTERM or Ctrl-C, finishes what it has in hand, and ends with exit code 0.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

import click
import uvicorn

from engine import logs
from engine.cli.sources import (
    data_option,
    find_settings,
    refuse_without_database,
    settings_for,
)
from engine.engine import Engine
from engine.errors import Misconfigured
from engine.expirer import Expirer
from engine.settings import Settings

DRAIN_S = 10


class _Part(Protocol):
    async def run(self, stop: asyncio.Event) -> None: ...


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
@data_option
def serve(host: str, port: int, workers: int, data: Path) -> None:
    """Serve the HTTP API."""
    settings = settings_for(data)
    if len(settings.jwt_secret.encode()) < 32:
        raise Misconfigured("JWT_SECRET must have at least 32 bytes; it signs every token")
    asyncio.run(_check(settings))
    os.environ["REDIS_URL"] = settings.redis_url  # for the worker processes
    os.environ["DATABASE_URL"] = settings.database_url
    os.environ["JWT_SECRET"] = settings.jwt_secret
    os.environ["PUBLIC_URL"] = settings.public_url or url_of(host, port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again at its end
    with _metrics_folder():
        uvicorn.run(
            "engine.cli.app:app_factory",
            factory=True,
            host=host,
            port=port,
            http="engine.cli.protocol:BoundedProtocol",
            workers=workers,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=DRAIN_S,
            timeout_worker_healthcheck=30,
        )


def reachable(host: str) -> str:
    """Where to call a server that listens on every address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104


def url_of(host: str, port: int) -> str:
    """The URL of a server that listens there."""
    host = reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _metrics_folder() -> Iterator[None]:
    """Where the worker processes share their metrics: the one that is set, or one for now."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="engine-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


@click.command()
@data_option
def expire(data: Path) -> None:
    """Release what expired: the listener and the sweep."""
    settings = settings_for(data)
    logs.configure(settings.log_level)

    async def run(stop: asyncio.Event) -> None:
        async with await Engine.connect(settings) as engine:
            await Expirer(engine).run(stop)

    asyncio.run(_until_stopped(run))


@click.command()
@data_option
def write(data: Path) -> None:
    """Persist the journal in Postgres."""
    from persistence.writer import Writer

    _run_with_database(data, Writer)


@click.command()
@data_option
def deliver(data: Path) -> None:
    """Bring messages to webhooks: what was sold, expired, cancelled, and what is to be refunded."""
    from persistence.deliverer import Deliverer

    _run_with_database(data, Deliverer)


@click.command()
@data_option
def migrate(data: Path) -> None:
    """Bring the Postgres schema up to date; safe when several start at once."""
    from persistence import migrations

    settings = find_settings(data)
    refuse_without_database(settings, data)
    for name in asyncio.run(migrations.migrate(settings.database_url)):
        click.echo(f"applied {name}")


def _run_with_database(data: Path, make: Callable[[Engine, Any, Settings], _Part]) -> None:
    """Run a part that needs Redis and Postgres until it is told to stop."""
    from persistence import database

    settings = settings_for(data)
    logs.configure(settings.log_level)
    refuse_without_database(settings, data)

    async def run(stop: asyncio.Event) -> None:
        async with (
            await Engine.connect(settings) as engine,
            await database.connect(settings.database_url) as pool,
        ):
            await make(engine, pool, settings).run(stop)

    asyncio.run(_until_stopped(run))


async def _check(settings: Settings) -> None:
    async with await Engine.connect(settings):
        pass


async def _until_stopped(run: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> None:
    """Run a part; SIGTERM and Ctrl-C set its stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await run(stop)
