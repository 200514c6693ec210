"""The `engine` command: the composition root, the only part that knows every package.

One module a group of commands; an error of the engine's tree ends a command with one clear line
and exit code 2. Exit code 1 is kept for "looked, and it is not clean".
"""

import click

from engine import logs
from engine.cli.inspect import verify
from engine.cli.load import load
from engine.cli.log_level import log_level
from engine.cli.lua import lua
from engine.cli.parts import deliver, expire, migrate, serve, write
from engine.cli.reconcile import reconcile
from engine.cli.restore import restore
from engine.cli.settings import check_environment, show_settings
from engine.cli.status import status
from engine.cli.token import token
from engine.cli.up import up
from engine.cli.user import user
from engine.cli.war import war
from engine.errors import EngineError


class _Failed(click.ClickException):
    exit_code = 2


class _Commands(click.Group):
    def invoke(self, context: click.Context) -> object:
        try:
            logs.configure("warning")  # what serves logs as LOG_LEVEL says, what looks prints
            check_environment()
            return super().invoke(context)
        except EngineError as error:
            raise _Failed(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ticket-wars")
def main() -> None:
    """A Redis-first ticket reservation engine.

    \b
    engine up                                  everything on this machine
    engine load venue:hall --event gala        a concert hall, on sale at once
    engine status gala                         live: places, rates, refusals, how far the writer is
    engine war --event gala                    a ticket war, and its verdict
    """


for command in (
    up,
    load,
    serve,
    expire,
    write,
    deliver,
    migrate,
    token,
    user,
    status,
    verify,
    reconcile,
    restore,
    war,
    lua,
    log_level,
    show_settings,
):
    main.add_command(command)
