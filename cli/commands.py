"""The `engine` command: the composition root, the only part that knows every package.

One module a group of commands; an error of the engine's tree ends a command with one clear line
and exit code 2. Exit code 1 is kept for "looked, and it is not clean".
"""

import click

from cli.load import load
from cli.log_level import log_level
from cli.lua import lua
from cli.reconcile import reconcile
from cli.restore import restore
from cli.serve import serve
from cli.settings import check_environment, show_settings
from cli.status.command import status
from cli.token import token
from cli.up import up
from cli.user import user
from cli.verify import verify
from cli.war import war
from cli.workers import deliver, expire, migrate, write
from engine import logs
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
