"""`engine up`: everything on this machine, supervised, until Ctrl-C or SIGTERM.

What is named by REDIS_URL or DATABASE_URL is used; the other is embedded. The parts are stopped
in the order of the flow, so that each can still hand on what it took: the API answers what it
has begun, the expirer ends its sweep, the writer persists what came last, the deliverer brings
what is on its way, the servers close.
"""

import asyncio
import contextlib
import http.client
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import click
import msgspec

from cli.serve import reachable, url_of
from cli.sources import data_option
from embedded import servers
from embedded.process import private_folder
from embedded.supervisor import Part, supervise
from engine import logs
from engine.settings import settings

RECONCILE_S = 60
BEHIND_THE_SALE = 10
"""Niceness of what may come a second later, on a machine that the sale keeps busy."""
"""How often every event is compared with Postgres."""


class _Listen(msgspec.Struct, frozen=True):
    host: str
    port: int
    workers: int


@click.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="API processes."
)
@data_option
def up(port: int, host: str, data: Path, workers: int) -> None:
    """Run everything on this machine until Ctrl-C.

    Valkey and Postgres are started too, unless REDIS_URL and DATABASE_URL name others.
    """
    logs.configure(settings.load().log_level)
    listen = _Listen(host, port, workers)
    _refuse_taken_port(listen)
    asyncio.run(_up(listen, data, settings.load()))


async def _up(listen: _Listen, data: Path, wanted: settings.Settings) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()
    _set_on_signals(stop, hurry)
    embedded = await asyncio.to_thread(
        servers.start, data, redis=not wanted.redis_url, postgres=not wanted.database_url
    )
    try:
        if stop.is_set():
            return
        environ = _environ(embedded, wanted)
        await _migrate(environ["DATABASE_URL"])
        _tell(listen, data, embedded)
        if wanted.customers_confirm:
            _say("payments  not checked: customers confirm, see docs/payments.md")
        ready = asyncio.create_task(_say_when_ready(listen, stop))
        servers_kept = asyncio.create_task(_keep_servers(embedded, stop))
        # Behind the drain come the mails and the connections of the process.
        timeout_s = wanted.drain_wait_s + wanted.drain_s_max + 10
        await supervise(_parts(listen), environ, stop, timeout_s, hurry)
        await asyncio.gather(ready, servers_kept)
    finally:
        await asyncio.to_thread(embedded.stop)
        _say("stopped")


def _parts(listen: _Listen) -> list[Part]:
    # A part finds its packages as this process did: not in a folder that happens to be here.
    path = [] if os.getcwd() in sys.path else ["-P"]
    engine = [sys.executable, *path, "-m", "engine"]
    where = ["--host", listen.host, "--port", str(listen.port), "--workers", str(listen.workers)]
    return [
        Part("api", [*engine, "serve", *where]),
        Part("expirer", [*engine, "expire"]),
        Part("writer", [*engine, "write"], BEHIND_THE_SALE),
        Part("deliverer", [*engine, "deliver"], BEHIND_THE_SALE),
        Part("reconciler", [*engine, "reconcile", "--every", str(RECONCILE_S)]),
    ]


def _environ(embedded: servers.Servers, wanted: settings.Settings) -> dict[str, str]:
    """What the parts are started with; secrets travel here and never in the arguments."""
    metrics = embedded.data / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    private_folder(metrics)
    return {
        **os.environ,
        "REDIS_URL": wanted.redis_url or embedded.redis_url,
        "DATABASE_URL": wanted.database_url or embedded.database_url,
        "JWT_SECRET": wanted.jwt_secret or servers.jwt_secret(embedded.data),
        "READY_PARTS": "expirer,writer",
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }


async def _migrate(database_url: str) -> None:
    from persistence import migrations

    for name in await migrations.migrate(database_url):
        _say(f"migrated  {name}")


def _refuse_taken_port(listen: _Listen) -> None:
    try:
        found = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {listen.host} port {listen.port}: {error.strerror}; "
            "end what runs there or choose another --port"
        ) from error


def _set_on_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """A second signal hurries; any number means one stop, which leaves nothing half-stopped."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # started with nohup
        loop.add_signal_handler(number, _begin_stop, stop, hurry)


def _begin_stop(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    if stop.is_set():
        hurry.set()
    _say("hurriedly stopping" if hurry.is_set() else "stopping")
    stop.set()


def _tell(listen: _Listen, data: Path, embedded: servers.Servers) -> None:
    _say(f"Valkey    {embedded.redis_url or 'the one of REDIS_URL'}")
    _say(f"Postgres  {embedded.database_url or 'the one of DATABASE_URL'}")
    _say(f"API       {url_of(listen.host, listen.port)}/api/v1  workers: {listen.workers}")
    _say(f"data      {embedded.data}")
    _say(f"token     engine token --sub me --data {data}")


async def _keep_servers(embedded: servers.Servers, stop: asyncio.Event) -> None:
    """Start a server that died again; when that fails, all is stopped and the error is told."""
    log = logs.get("supervisor")
    try:
        while not stop.is_set():
            for name in await asyncio.to_thread(embedded.revive):
                log.error("server_runs_again", name=name)
            await _stopped_within(stop, 0.5)
    finally:
        stop.set()


async def _say_when_ready(listen: _Listen, stop: asyncio.Event) -> None:
    while not stop.is_set():
        if await asyncio.to_thread(_is_ready, listen):
            _say("ready")
            return
        await _stopped_within(stop, 0.1)


async def _stopped_within(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def _is_ready(listen: _Listen) -> bool:
    connection = http.client.HTTPConnection(reachable(listen.host), listen.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone: that must not stop the stop
        click.echo(line)
