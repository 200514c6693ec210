"""Bars and sparklines of one line, in Unicode or in ASCII."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

from engine.models import Counts


class Glyphs(NamedTuple):
    """The characters of a bar by status, and of a sparkline from low to high."""

    status: Mapping[str, str]
    levels: str


_UNICODE = Glyphs({"sold": "█", "held": "▓", "available": "░", "blocked": "·"}, "▁▂▃▄▅▆▇█")
_ASCII = Glyphs({"sold": "#", "held": "+", "available": ".", "blocked": "x"}, "_.-:=+*#")


def glyphs_of(*, ascii_only: bool) -> Glyphs:
    """The characters that the terminal can show."""
    return _ASCII if ascii_only else _UNICODE


def bar(counts: Counts, width: int, styles: Mapping[str, str], glyphs: Glyphs) -> Text:
    """Places by status, sold first; a status with any place has at least one cell."""
    found = {name: getattr(counts, name) for name in ("sold", "held", "available", "blocked")}
    line = Text()
    for name, cells in _cells(found, max(0, width)).items():
        line.append(glyphs.status[name] * cells, styles[name])
    return line


def _cells(counts: Mapping[str, int], width: int) -> dict[str, int]:
    """`width` cells shared by the counts; the largest count absorbs the rounding."""
    total = sum(counts.values())
    if not total or width < len(counts):
        return {}
    cells = {
        name: max(1, round(width * count / total)) if count else 0 for name, count in counts.items()
    }
    largest = max(cells, key=lambda name: cells[name])
    cells[largest] += width - sum(cells.values())
    return cells


def spark(values: Sequence[float], glyphs: Glyphs) -> str:
    """One character per value; the highest value is at the top level, 0 at the lowest."""
    top = max(values, default=0)
    last = len(glyphs.levels) - 1
    if top <= 0:
        return glyphs.levels[0] * len(values)
    return "".join(glyphs.levels[min(last, round(value / top * last))] for value in values)
