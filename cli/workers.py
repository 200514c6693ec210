"""`engine expire`, `write`, `deliver`: one agent per process; and `engine migrate`.

An agent runs until SIGTERM or Ctrl-C, finishes the work it has started, and exits with code 0.
"""

import asyncio
import atexit
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

import click

try:
    from uvloop import new_event_loop
except ImportError:  # Windows
    from asyncio import new_event_loop  # type: ignore[assignment]

from cli import tracing
from cli.metrics_port import metrics_port_option, metrics_shown
from cli.sources import data_option, find_settings, refuse_without_database, settings_for
from engine import logs
from engine.engine import Engine
from engine.expirer import Expirer
from engine.settings.settings import Settings


class _Agent(Protocol):
    async def run(self, stop: asyncio.Event) -> None: ...


@click.command()
@metrics_port_option
@data_option
def expire(data: Path, metrics_port: int | None) -> None:
    """Release bookings whose deadline has passed, by a listener and a sweep."""
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
    """Write the journal to Postgres."""
    from persistence.journal.writer import Writer

    with metrics_shown(metrics_port):
        _run_with_database(data, Writer)


@click.command()
@metrics_port_option
@data_option
def deliver(data: Path, metrics_port: int | None) -> None:
    """Deliver webhook messages: sales, expiries, cancellations and refund obligations."""
    from persistence.delivery.deliverer import Deliverer

    with metrics_shown(metrics_port):
        _run_with_database(data, Deliverer)


@click.command()
@data_option
def migrate(data: Path) -> None:
    """Bring the Postgres schema up to date; safe if several run at once."""
    from persistence import migrations

    settings = find_settings(data)
    refuse_without_database(settings, data)
    for name in asyncio.run(migrations.migrate(settings.database_url)):
        click.echo(f"applied {name}")


def _run_with_database(data: Path, make: Callable[[Engine, Any, Settings], _Agent]) -> None:
    """Run an agent that needs Redis and Postgres until it is stopped."""
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
    """Log at LOG_LEVEL under the name of this part; trace it if OTEL_* is set."""
    logs.configure(settings.log_level)
    logs.say_crashes(part)
    if provider := tracing.begin(part):
        atexit.register(provider.force_flush, tracing.FLUSH_MS)


def run_part(run: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> None:
    """Run a part until it is stopped, on uvloop where it is installed."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(until_stopped(run))


async def until_stopped(run: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> None:
    """Run a part; SIGTERM and Ctrl-C set its stop event."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await run(stop)
