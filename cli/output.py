"""Two ways to say one thing: a table for people, JSON for programs."""

from collections.abc import Iterable, Sequence

import click
import msgspec
from rich.console import Console
from rich.table import Table

console = Console(highlight=False)


def show_json(value: object) -> None:
    """One JSON document on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def say(text: str) -> None:
    """One line for people, never wrapped."""
    console.print(text, soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; numbers to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    filled = [[str(cell) for cell in row] for row in rows]
    for i, name in enumerate(columns):
        numeric = bool(filled) and all(row[i].replace(",", "").isdigit() for row in filled)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in filled:
        table.add_row(*row)
    console.print(table)
