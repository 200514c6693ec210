"""`engine lua`: the scripts as they are sent to Redis."""

import click

from engine import scripts
from engine.errors import Misconfigured


@click.group()
def lua() -> None:
    """Show the scripts."""


@lua.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the script NAME with its includes, and its hash.

    \b
    engine lua show hold_seats
    """
    if name not in scripts.names():
        known = ", ".join(scripts.names())
        raise Misconfigured(f"there is no script {name!r}; there are {known}")
    script = scripts.load(name)
    click.echo(f"-- {script.name}, sha1 {script.sha}")
    click.echo(script.text, nl=False)
