"""The `engine` command: the composition root, the only package that imports all others.

Each group of commands has a module. An `EngineError` ends a command with one line that says what
is wrong, and exit code 2. Exit code 1 means: checked, and problems were found.
"""

import sys
from typing import IO, Any

import click

from cli import output
from cli.load import load
from cli.log_level import log_level
from cli.lua import lua
from cli.rank import rank
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
from engine import client_name, logs
from engine.errors import EngineError


class _Failed(click.ClickException):
    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Write to `sys.stderr` as it is: click would replace its encoding."""
        super().show(file or sys.stderr)


_PARTS = {"serve": "api", "expire": "expirer", "write": "writer", "deliver": "deliverer"}
"""Commands that run a part of another name."""


class _Commands(click.Group):
    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(context, args)
        if name:
            client_name.set_part(_PARTS.get(name, name))
        return name, command, rest

    def invoke(self, context: click.Context) -> object:
        try:
            output.show_undecodable_as_question_marks()
            logs.configure("warning")  # parts log at LOG_LEVEL; other commands print
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
    engine status gala                         live: places, rates, refusals, lag of the writer
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
    rank,
    verify,
    reconcile,
    restore,
    war,
    lua,
    log_level,
    show_settings,
):
    main.add_command(command)
