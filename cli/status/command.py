"""`engine status`: the state of a sale, on a terminal, in a log and for programs.

One event on a terminal is a live screen; all other output is plain, without escapes: one table, or
with `--watch` a line (`key=value`, for grep) at every poll.
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
from cli.durations import Seconds
from cli.sources import data_option, event_id_of, json_option, settings_for
from cli.status.poller import StatusPoller
from cli.status.refusal_counts import RefusalCounts
from cli.status.terminal import show_live
from cli.status.text import lines_of, show_once, status_of
from engine.engine import Engine


@click.command()
@click.argument("event", required=False)
@click.option("--once", is_flag=True, help="Print one table, on a terminal too.")
@click.option(
    "--watch", "watch_s", type=Seconds(0.1), metavar="SECONDS",
    help="Print a line for each event every SECONDS, until Ctrl-C.",
)  # fmt: skip
@click.option(
    "--url", metavar="URL",
    help="The API whose /metrics has the refusals; by default, that of `engine up` in --data.",
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
    """Show EVENT live: places, rates, pending, lag, release delay, refusals, the parts that run.

    Live on a terminal, until q or Ctrl-C; a table with --once, without EVENT (all events), or if
    the output is not a terminal. Rates count bookings and come from the journal. All figures but
    the refusals come from Redis: no API is needed, and an outage of Redis does not end the screen.

    \b
    engine status gala                          the live screen
    engine status                               a table of all events
    engine status gala --watch 1 | tee sale.log one line per second, for grep
    engine status gala --watch 5 --json         one JSON object per line, for programs
    engine status gala --url http://10.0.0.5:8000    refusals of an API elsewhere
    """
    if once and watch_s:
        raise click.UsageError(
            "--once prints one table, --watch a line again and again: choose one"
        )
    settings = settings_for(data)
    chosen = None if event is None else event_id_of(event)
    refusals = RefusalCounts(url, data)
    plain = once or as_json or not chosen or watch_s is not None or not _is_screen()

    async def run() -> None:
        async with await Engine.connect(settings) as engine:
            poller = StatusPoller(engine, refusals, chosen, with_sections=not plain)
            if not plain:
                await poller.poll()  # refuse an unknown event before the screen starts
                await _until_signal(show_live(poller, output.console))
            elif watch_s is not None:
                await poller.poll()
                await _until_signal(_print_lines(poller, watch_s, as_json))
            elif as_json:
                output.show_json(status_of(await poller.poll()))
            else:
                show_once(await poller.poll())

    asyncio.run(run())


def _is_screen() -> bool:
    return sys.stdout.isatty() and not output.console.is_dumb_terminal


async def _until_signal(run: Coroutine[None, None, None]) -> None:
    """Run until it ends, or until Ctrl-C or SIGTERM: exit code 0."""
    task = asyncio.create_task(run)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


async def _print_lines(poller: StatusPoller, watch_s: float, as_json: bool) -> None:
    while True:
        await asyncio.sleep(watch_s)
        snapshot = await poller.try_poll()
        if as_json:
            click.echo(msgspec.json.encode(status_of(snapshot)))
        else:
            for line in lines_of(snapshot):
                click.echo(line)
