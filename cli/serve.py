"""`engine serve`: the HTTP API, in one process or in several workers."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import uvicorn

from api.server.workers import run_server
from cli.sources import data_option, settings_for
from engine import logs
from engine.engine import Engine
from engine.errors import Misconfigured
from engine.metrics.shared_files import FOLDER
from engine.settings import checks
from engine.settings.settings import Settings

BACKLOG = 4096
"""Connections that the kernel keeps until a process accepts them; `somaxconn` may be lower. Beyond
it the kernel drops the first packet, which the client's kernel sends again after 1, 3, 7 s."""

KEEP_ALIVE_S = 75
"""How long an idle connection is kept: long enough to choose seats, and as long as
common proxies keep theirs. If a server closes the connection while a request is in transit, the
client gets no response."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
@data_option
def serve(host: str, port: int, workers: int, data: Path) -> None:
    """Serve the HTTP API."""
    settings = settings_for(data)
    checks.refuse("JWT_SECRET", settings.jwt_secret, checks.secrets)
    logs.configure(settings.log_level)
    asyncio.run(_check(settings))
    refuse_taken_port(host, port)
    os.environ["REDIS_URL"] = settings.redis_url  # for the worker processes
    os.environ["DATABASE_URL"] = settings.database_url
    os.environ["JWT_SECRET"] = settings.jwt_secret
    os.environ["PUBLIC_URL"] = settings.public_url or url_of(host, port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn re-raises it when it stops
    config = uvicorn.Config(
        "cli.app:app_factory",
        factory=True,
        host=host,
        port=port,
        http="api.server.draining:DrainingProtocol",
        workers=workers,
        log_config=None,  # engine.logs formats uvicorn's lines too
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


def refuse_taken_port(host: str, port: int) -> None:
    """Raise Misconfigured if this process cannot listen there."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        unusable = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        other = "another --host" if unusable else "another --port, or stop what uses this one"
        raise Misconfigured(
            f"cannot listen on {host} port {port}: {error.strerror}; choose {other}"
        ) from error


def reachable(host: str) -> str:
    """The address at which to call a server that listens on every address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104


def url_of(host: str, port: int) -> str:
    """The URL of a server that listens on this host and port."""
    host = reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _metrics_folder(workers: int) -> Iterator[None]:
    """Let several workers share their metrics: in the configured folder, or a temporary one.

    A single worker runs in this process and needs no folder.
    """
    if workers == 1 or os.environ.get(FOLDER):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="engine-metrics-") as folder:
        os.environ[FOLDER] = folder
        yield


async def _check(settings: Settings) -> None:
    """Refuse an unsuitable server; fence the events that Redis lost, if Postgres is reachable."""
    from persistence.loss_detector import check_once

    async with await Engine.connect(settings) as engine:
        if settings.database_url:
            await check_once(engine, settings.database_url)
