"""The reference of the command line: every command's own help, as `--help` prints it.

The help itself rather than a table made of it: it has the examples, and it cannot differ from what
the terminal says.
"""

from collections.abc import Iterator

import click

from cli.commands import main

WIDTH = 96


def cli_page() -> str:
    """The page, as Markdown."""
    parts = [
        "# Command line\n",
        "Exit codes: 0 done, or checked and in order; 1 checked, with problems found; 2 refused, "
        "with one line that says why. `REDIS_URL`, `DATABASE_URL` and `JWT_SECRET` take precedence "
        "over the servers of `--data`: see [settings](../settings.md).\n",
    ]
    for command, context in commands(
        main, click.Context(main, info_name="engine", **main.context_settings)
    ):
        help_text = command.get_help(context)
        parts.append(f"## {context.command_path}\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


def commands(
    command: click.Command, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    """A command and everything below it, each with the context its help is printed in."""
    context.terminal_width = context.max_content_width = WIDTH
    yield command, context
    if isinstance(command, click.Group):
        for name in command.commands:
            child = command.commands[name]
            yield from commands(child, click.Context(child, parent=context, info_name=name))
