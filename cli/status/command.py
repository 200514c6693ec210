"""`engine status`: how a sale goes, on a terminal, in a log and for programs.

One event on a terminal is a live screen; anything else is plain, without escapes: a table once,
or a line at a time (`key=value`, made for grep) while `--watch` says so.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

import click
import msgspec

from cli import output
from cli.sources import data_option, event_id_of, json_option, settings_for
from cli.status.poller import StatusPoller
from cli.status.refusal_counts import RefusalCounts
from cli.status.terminal import show_live
from cli.status.text import lines_of, show_once, status_of
from engine.engine import Engine


@click.command()
@click.argument("event", required=False)
@click.option("--once", is_flag=True, help="Look once and print a table, on a terminal too.")
@click.option(
    "--watch", "watch_s", type=click.FloatRange(0.1), metavar="SECONDS",
    help="Print a line for each event every SECONDS, until Ctrl-C.",
)  # fmt: skip
@click.option(
    "--url", metavar="URL",
    help="The API whose /metrics counts the refusals; without it, what `engine up` runs in --data.",
)  # fmt: skip
@data_option
@json_option
def status(
    event: str | None,
    once: bool,
    watch_s: float | None,
    url: str | None,
    data: Path,
    as_json: bool,
) -> None:
    """Show EVENT live: places, rates, pending, lag, release delay, refusals, what runs.

    Live on a terminal, until q or Ctrl-C; a table with --once, without EVENT (all events), or
    where it is not a terminal. Rates count bookings, from the journal; all but the refusals comes
    from Redis, so it works with no API, and goes on while Redis is away.

    \b
    engine status gala                          the live screen
    engine status                               a table of all events
    engine status gala --watch 1 | tee sale.log a line a second, for grep
    engine status gala --watch 5 --json         a JSON object a line, for programs
    engine status gala --url http://10.0.0.5:8000    refusals of an API elsewhere
    """
    if once and watch_s:
        raise click.UsageError("--once looks once, --watch again and again: choose one")
    settings = settings_for(data)
    chosen = None if event is None else event_id_of(event)
    refusals = RefusalCounts(url, data)
    plain = once or as_json or not chosen or watch_s is not None or not _is_screen()

    async def run() -> None:
        async with await Engine.connect(settings) as engine:
            lookout = StatusPoller(engine, refusals, chosen, house=not plain)
            if not plain:
                await lookout.look()  # an unknown event is refused before the screen is taken
                await _until_signal(show_live(lookout, output.console))
            elif watch_s is not None:
                await lookout.look()
                await _until_signal(_print_lines(lookout, watch_s, as_json))
            elif as_json:
                output.show_json(status_of(await lookout.look()))
            else:
                show_once(await lookout.look())

    asyncio.run(run())


def _is_screen() -> bool:
    return sys.stdout.isatty() and not output.console.is_dumb_terminal


async def _until_signal(run: Coroutine[None, None, None]) -> None:
    """Run until it ends or Ctrl-C or SIGTERM comes: both are a good end."""
    task = asyncio.create_task(run)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


async def _print_lines(lookout: StatusPoller, watch_s: float, as_json: bool) -> None:
    while True:
        await asyncio.sleep(watch_s)
        looked = await lookout.look_again()
        if as_json:
            click.echo(msgspec.json.encode(status_of(looked)))
        else:
            for line in lines_of(looked):
                click.echo(line)
