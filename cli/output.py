"""Output of commands: text and tables for people, JSON for programs.

Text is never read as markup: names, ids and details come from files and servers. A piece of text
has a style only as a pair `(text, style)`.
"""

import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine import logs

PIPE_COLUMNS = 10_000

Piece = str | tuple[str, str]
"""Text, or text and its style."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the error: rich would end the process with exit code 1."""
        raise


console = _Console(highlight=False, markup=False, emoji=False)


def show_undecodable_as_question_marks() -> None:
    """Let standard output and error show `?` for characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")


def show_json(value: object) -> None:
    """One JSON document on standard output, in UTF-8 whatever the terminal's encoding is."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def say(*pieces: Piece) -> None:
    """One line for people, never wrapped."""
    console.print(_text(*pieces), soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; numbers to the right."""
    table = Table(
        title=_text(title) if title else None,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    filled = [[str(cell) for cell in row] for row in rows]
    for i, name in enumerate(columns):
        numeric = bool(filled) and all(row[i].replace(",", "").isdigit() for row in filled)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in filled:
        table.add_row(*map(_text, row))
    if not console.is_terminal:  # a pipe has no width to fold rows at
        wide = console.options.update_width(PIPE_COLUMNS)
        table.width = console.measure(table, options=wide).maximum
    console.print(table, soft_wrap=not console.is_terminal)


@contextmanager
def report() -> Iterator[None]:
    """Print what a command has done. A failure here is a warning: the effect stands.

    A full disk, a closed pipe or a defect in the report must not change the exit code.
    """
    try:
        yield
        sys.stdout.flush()
    except Exception as error:
        logs.get("output").warning("report_failed", why=repr(error))
        with suppress(OSError, ValueError):  # Python flushes once more at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _text(*pieces: Piece) -> Text:
    """The pieces, without characters that would control the terminal."""
    text = Text()
    for piece in pieces:
        content, style = (piece, "") if isinstance(piece, str) else piece
        text.append(printable(content), style)
    return text


def printable(text: str) -> str:
    """The text on one line, with `?` for each character that would control the terminal."""
    if text.isprintable():
        return text
    return "".join("?" if unicodedata.category(c) == "Cc" else c for c in text)
