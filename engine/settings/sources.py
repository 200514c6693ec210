"""Where the text of a setting comes from: its variable, or the file that `<NAME>_FILE` names.

Compose and Kubernetes provide secrets as files, which do not show in a process list. Two sources
that contradict each other fail the start: the program cannot guess which one is right. Only a
command checks that, not each read: an API process passes what it has read to its workers, and a
worker that starts after the file has changed reads the file.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from engine.errors import Misconfigured

FILE_BYTES_MAX = 65_536
_ALIKE = 0.85
"""Similarity above which an unknown variable is reported as a typo."""


class Text(NamedTuple):
    """The text of a setting, its variable, and the source it was read from."""

    text: str
    variable: str
    source: str


def read(environ: Mapping[str, str], name: str) -> Text | None:
    """The text of the file NAME_FILE, else of NAME; None when neither is set.

    Raises Misconfigured, naming the variable and never a value.
    """
    variable = f"{name}_FILE"
    if path := environ.get(variable):
        return Text(_content(variable, Path(path)), variable, f"file {path}")
    given = environ.get(name)
    return None if given is None else Text(given, name, "environment")


def refuse_contradiction(environ: Mapping[str, str], name: str) -> None:
    """Raise Misconfigured when NAME and the file NAME_FILE say different things."""
    found, given = read(environ, name), environ.get(name)
    if found and given and found.text != given:
        raise Misconfigured(f"{name} and {name}_FILE are both set and differ: set one of them")


def slips(environ: Iterable[str], names: Iterable[str]) -> list[tuple[str, str]]:
    """Variables that look like a misspelt setting, each with the setting it looks like."""
    known = [spelled for name in names for spelled in (name, f"{name}_FILE")]
    return [
        (variable, alike[0])
        for variable in sorted(set(environ) - set(known))
        if (alike := difflib.get_close_matches(variable, known, n=1, cutoff=_ALIKE))
    ]


def _content(variable: str, path: Path) -> str:
    """The text of the file, without the line end that editors add."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise Misconfigured(f"{variable}: {path}: {reason}") from error
    if len(content) > FILE_BYTES_MAX:
        raise Misconfigured(f"{variable}: {path} has more than {FILE_BYTES_MAX} bytes")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise Misconfigured(f"{variable}: {path} is not UTF-8 text") from None
    if not text or "\0" in text:
        raise Misconfigured(f"{variable}: {path} is empty or no text")
    return text
