"""Where the text of a setting comes from: its variable, or the file that `<NAME>_FILE` names.

Secrets in files are what compose and Kubernetes hand out, and nobody reads them in a process list.
Two sources that contradict each other refuse to start: which one is meant cannot be guessed. That
is asked of a command and not of each reading: an API process hands its workers what it has read,
and one that is started after the file was changed shall have the file's.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from engine.errors import Misconfigured

FILE_BYTES_MAX = 65_536
_ALIKE = 0.85
"""How like a setting's name a variable is that is taken for a slip of the pen."""


class Text(NamedTuple):
    """A setting as it was written, the variable that said so, and where it was read."""

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
    """Variables that are no setting but look like one, each with the setting it looks like."""
    known = [spelled for name in names for spelled in (name, f"{name}_FILE")]
    return [
        (variable, alike[0])
        for variable in sorted(set(environ) - set(known))
        if (alike := difflib.get_close_matches(variable, known, n=1, cutoff=_ALIKE))
    ]


def _content(variable: str, path: Path) -> str:
    """What the file says, without the line's end that editors put there."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "this is no path"
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
