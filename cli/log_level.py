"""`engine log-level`: change the log level of running processes, without a restart."""

import asyncio
from pathlib import Path

import click

from cli.sources import data_option, settings_for
from engine import logs
from engine.engine import Engine
from engine.settings.settings import Settings

SECONDS_MAX = 86_400


@click.command("log-level")
@click.argument("level", type=click.Choice([*logs.LEVELS, "reset"]), required=False)
@click.option(
    "--seconds", default=900, show_default=True, type=click.IntRange(1, SECONDS_MAX),
    help="How long the level applies; then LOG_LEVEL applies again.",
)  # fmt: skip
@data_option
def log_level(level: str | None, seconds: int, data: Path) -> None:
    """Set the log level of every process of this Redis, within a second or two.

    Without LEVEL, print the current one. `debug` logs a line for every request.
    """
    click.echo(asyncio.run(_change(settings_for(data), level, seconds)))


async def _change(settings: Settings, level: str | None, seconds: int) -> str:
    async with await Engine.connect(settings) as engine:
        setting = engine.log_level
        if level == "reset":
            await setting.reset()
        elif level:
            await setting.set(level, seconds)
        found, left_s = await setting.read(), await setting.seconds_left()
    return f"{found} for {left_s} s" if found else "as LOG_LEVEL says in each process"
