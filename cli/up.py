"""`engine up`: runs everything on this machine, supervised, until Ctrl-C or SIGTERM.

A server named by REDIS_URL or DATABASE_URL is used; otherwise an embedded one is started. The parts
stop in the order of the flow, so that each finishes its work: the API answers the requests it has
accepted, the expirer ends its sweep, the writer writes the last entries, the deliverer ends its
attempts, the servers stop.
"""

import asyncio
import contextlib
import http.client
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

import click
import msgspec

from cli.serve import reachable, refuse_taken_port, url_of
from cli.sources import DATA, data_option
from embedded import servers
from embedded.process import private_folder
from embedded.supervisor import Part, supervise
from engine import logs
from engine.settings import settings

RECONCILE_S = 60
"""How often every event is compared with Postgres."""
NICENESS = 10
"""Of the parts that may fall behind by a second while the sale keeps the machine busy."""


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

    Starts Valkey and Postgres too, unless REDIS_URL and DATABASE_URL name others.

    Logs of the parts are lines of plain text here; set LOG_FORMAT=json for JSON.
    """
    wanted = settings.load()
    os.environ.setdefault("LOG_FORMAT", "plain")  # for the parts too
    logs.configure(wanted.log_level)
    listen = _Listen(host, port, workers)
    refuse_taken_port(listen.host, listen.port)
    asyncio.run(_up(listen, data, wanted))


async def _up(listen: _Listen, data: Path, wanted: settings.Settings) -> None:
    stop, force = asyncio.Event(), asyncio.Event()
    _set_on_signals(stop, force)
    embedded = await asyncio.to_thread(
        servers.start, data, redis=not wanted.redis_url, postgres=not wanted.database_url
    )
    try:
        if stop.is_set():
            return
        environ = _environ(embedded, wanted)
        await _migrate(environ["DATABASE_URL"])
        embedded.announce_api(url_of(listen.host, listen.port))
        _show(listen, data, embedded)
        if wanted.customers_confirm:
            _say("payments  not checked: customers confirm, see docs/payments.md")
        ready = asyncio.create_task(_say_when_ready(listen, stop))
        servers_kept = asyncio.create_task(_keep_servers(embedded, stop))
        # After the drain, the API process still sends its mails and closes its connections.
        timeout_s = wanted.drain_wait_s + wanted.drain_s_max + 10
        await supervise(_parts(listen), environ, stop, timeout_s, force)
        await asyncio.gather(ready, servers_kept)
    finally:
        await asyncio.to_thread(embedded.stop)
        _say("stopped")


def _parts(listen: _Listen) -> list[Part]:
    # A part imports the packages of this process, not those of the current folder.
    path = [] if os.getcwd() in sys.path else ["-P"]
    engine = [sys.executable, *path, "-m", "engine"]
    where = ["--host", listen.host, "--port", str(listen.port), "--workers", str(listen.workers)]
    return [
        Part("api", [*engine, "serve", *where]),
        Part("expirer", [*engine, "expire"]),
        Part("writer", [*engine, "write"], NICENESS),
        Part("deliverer", [*engine, "deliver"], NICENESS),
        Part("reconciler", [*engine, "reconcile", "--every", str(RECONCILE_S)]),
    ]


def _environ(embedded: servers.Servers, wanted: settings.Settings) -> dict[str, str]:
    """The environment of the parts. Secrets are here and never in the arguments."""
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


def _set_on_signals(stop: asyncio.Event, force: asyncio.Event) -> None:
    """The first signal stops; a second one forces the stop. Further signals change nothing."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # started with nohup
        loop.add_signal_handler(number, _begin_stop, stop, force)


def _begin_stop(stop: asyncio.Event, force: asyncio.Event) -> None:
    if stop.is_set():
        force.set()
    _say("stopping at once" if force.is_set() else "stopping")
    stop.set()


def _show(listen: _Listen, data: Path, embedded: servers.Servers) -> None:
    url = url_of(listen.host, listen.port)
    folder = "" if data == DATA else f" --data {shlex.quote(str(data))}"
    _say(f"Valkey    {embedded.redis_url or 'as REDIS_URL says'}")
    _say(f"Postgres  {embedded.database_url or 'as DATABASE_URL says'}")
    _say(f"API       {url}/api/v1  workers: {listen.workers}")
    _say(f"docs      {url}/api/docs")
    _say(f"data      {embedded.data}")
    _say(f"token     engine token --sub me{folder}")
    _say(f"status    engine status{folder}")


async def _keep_servers(embedded: servers.Servers, stop: asyncio.Event) -> None:
    """Restart a server that has died; if that fails, stop everything and raise the error."""
    log = logs.get("supervisor")
    try:
        while not stop.is_set():
            for name in await asyncio.to_thread(embedded.revive):
                log.error("server_restarted", name=name)
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
    with contextlib.suppress(OSError):  # a closed terminal must not interrupt the stop
        click.echo(line)
