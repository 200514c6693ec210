"""`engine serve`, `expire`, `write`, `deliver`, `migrate`: one part of the system each.

Each runs until SIGTERM or Ctrl-C, finishes what it has in hand, and ends with exit code 0.
"""

import asyncio
import atexit
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

try:
    from uvloop import new_event_loop
except ImportError:  # Windows
    from asyncio import new_event_loop  # type: ignore[assignment]

from api.server.workers import run_server
from cli import tracing
from cli.metrics_port import metrics_port_option, metrics_shown
from cli.sources import data_option, find_settings, refuse_without_database, settings_for
from engine import logs
from engine.engine import Engine
from engine.errors import Misconfigured
from engine.expirer import Expirer
from engine.metrics.shared_files import FOLDER
from engine.settings.settings import Settings

BACKLOG = 4096
"""Connections the kernel keeps until the process takes them; its `somaxconn` may say less. Of more
it drops the first packet, which the client's kernel sends again after 1, 3, 7 s."""


KEEP_ALIVE_S = 75
"""An idle connection is kept for somebody who thinks about his seats, and as long as proxies keep
theirs: a server that closes first, as a request leaves, makes its client guess."""


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
    logs.configure(settings.log_level)
    asyncio.run(_check(settings))
    os.environ["REDIS_URL"] = settings.redis_url  # for the worker processes
    os.environ["DATABASE_URL"] = settings.database_url
    os.environ["JWT_SECRET"] = settings.jwt_secret
    os.environ["PUBLIC_URL"] = settings.public_url or url_of(host, port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again at its end
    config = uvicorn.Config(
        "cli.app:app_factory",
        factory=True,
        host=host,
        port=port,
        http="api.server.draining:DrainingProtocol",
        workers=workers,
        log_config=None,  # ours has its lines too
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=settings.drain_s_max,
        timeout_worker_healthcheck=30,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    with _metrics_folder(workers):
        run_server(config)


def reachable(host: str) -> str:
    """Where to call a server that listens on every address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104


def url_of(host: str, port: int) -> str:
    """The URL of a server that listens there."""
    host = reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _metrics_folder(workers: int) -> Iterator[None]:
    """Where the worker processes share their metrics: the one that is set, or one for now.

    A single process, this one, needs none: it has its metrics at hand.
    """
    if workers == 1 or os.environ.get(FOLDER):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="engine-metrics-") as folder:
        os.environ[FOLDER] = folder
        yield


@click.command()
@metrics_port_option
@data_option
def expire(data: Path, metrics_port: int | None) -> None:
    """Release what expired: the listener and the sweep."""
    settings = settings_for(data)
    log_as("expirer", settings)

    async def run(stop: asyncio.Event) -> None:
        async with (
            await Engine.connect(settings) as engine,
            engine.log_level.followed(settings.log_level),
        ):
            await Expirer(engine, settings.durability).run(stop)

    with metrics_shown(metrics_port):
        run_part(run)


@click.command()
@metrics_port_option
@data_option
def write(data: Path, metrics_port: int | None) -> None:
    """Persist the journal in Postgres."""
    from persistence.journal.writer import Writer

    with metrics_shown(metrics_port):
        _run_with_database(data, Writer)


@click.command()
@metrics_port_option
@data_option
def deliver(data: Path, metrics_port: int | None) -> None:
    """Bring messages to webhooks: what was sold, expired, cancelled, and what is to be refunded."""
    from persistence.delivery.deliverer import Deliverer

    with metrics_shown(metrics_port):
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
    log_as(make.__name__.lower(), settings)
    refuse_without_database(settings, data)

    async def run(stop: asyncio.Event) -> None:
        async with (
            await Engine.connect(settings) as engine,
            engine.log_level.followed(settings.log_level),
            await database.connect(settings.database_url) as pool,
        ):
            await make(engine, pool, settings).run(stop)

    run_part(run)


def log_as(part: str, settings: Settings) -> None:
    """Log as LOG_LEVEL says, as this part; trace it, if OTEL_* ask for that."""
    logs.configure(settings.log_level)
    logs.say_crashes(part)
    if provider := tracing.begin(part):
        atexit.register(provider.force_flush, tracing.FLUSH_MS)


async def _check(settings: Settings) -> None:
    """Refuse a server that will not do; close what Redis lost, if Postgres is there to say so."""
    from persistence.loss_detector import look_once

    async with await Engine.connect(settings) as engine:
        if settings.database_url:
            await look_once(engine, settings.database_url)


def run_part(run: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> None:
    """Run a part until it is stopped, on uvloop where there is one."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(until_stopped(run))


async def until_stopped(run: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> None:
    """Run a part; SIGTERM and Ctrl-C set its stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await run(stop)
