"""Draws the seats of an event as an SVG, coloured by quality: green is the best, red the worst.

With coordinates the drawing is the house itself, without them a line for each row. Blocked seats
are grey, wheelchair places squares. The text and the background follow the reader's light or dark
mode. A tooltip names each row. Names come from plans of any origin: all text is escaped.
"""

import html
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import dist
from statistics import fmean, median
from typing import NamedTuple

from msgspec import UnsetType

from engine.models import Layout, LayoutSeat, Quality, QualityBy
from engine.plans.quality import RatedRow, best_rows, quality_by

LEVELS = 24
"""Colours from the best to the worst seat."""

SEAT_PX = 10.0
"""From one seat to its neighbour."""

_STOPS = ((26, 154, 80), (230, 184, 0), (215, 48, 39))
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE = """\
:root { color-scheme: light dark; }
text { font-family: system-ui, sans-serif; fill: #1f2328; }
.back { fill: #ffffff; } .blocked { fill: #aab1b9; } .line { fill: none; stroke: #1f2328; }
.name { text-anchor: middle; stroke: #ffffff; paint-order: stroke; stroke-linejoin: round; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.back { fill: #0d1117; } .blocked { fill: #59616b; } .line { stroke: #e6edf3; }
.name { stroke: #0d1117; }
}
"""


class _Point(NamedTuple):
    x: float
    y: float


class _Row(NamedTuple):
    rated: RatedRow
    points: Sequence[_Point]


class _Line(NamedTuple):
    """The label of a line in a drawing without coordinates."""

    text: str
    at: _Point


def draw_seats(layout: Layout, letters: str, title: str) -> str:
    """The SVG of a layout with at least one seat. `letters` is its map: `b` is a blocked seat."""
    rated, quality = best_rows(layout), quality_by(layout)
    labels: list[_Line] = []
    if all(not isinstance(seat.x, UnsetType) for each in rated for seat in each.row.seats):
        rows, focus = _in_the_house(rated, quality)
    else:
        rows, focus = _in_lines(rated, layout, labels), None
    return _Drawing(title, rows, letters, focus, labels).svg()


def _in_the_house(rated: Sequence[RatedRow], quality: Quality) -> tuple[list[_Row], _Point | None]:
    """The rows at their coordinates, so that neighbours are SEAT_PX apart."""
    found = [(each, [*map(_coordinates, each.row.seats)]) for each in rated]
    steps = [dist(*pair) for _, points in found for pair in pairwise(points)]
    scale = SEAT_PX / (median([step for step in steps if step > 0] or [SEAT_PX]))

    def scaled(point: _Point) -> _Point:
        return _Point(point.x * scale, point.y * scale)

    focus = _Point(quality.x, quality.y) if quality.by is QualityBy.FOCUS else None
    rows = [_Row(each, [*map(scaled, points)]) for each, points in found]
    return rows, focus and scaled(focus)


def _in_lines(rated: Sequence[RatedRow], layout: Layout, labels: list[_Line]) -> list[_Row]:
    """A line for each row, section by section; the runs of a row with a gap between them."""
    rated_by_index = {each.row.index: each for each in rated}
    rows: list[_Row] = []
    x = y = 0.0
    for section in layout.sections:
        y += 2 * SEAT_PX
        labels.append(_Line(section.name, _Point(0.0, y)))
        known = None
        for row in section.rows:
            if row.id != known:
                x, y, known = 0.0, y + 1.4 * SEAT_PX, row.id
                labels.append(_Line(row.id, _Point(-SEAT_PX, y)))
            points = [_Point(x + at * SEAT_PX, y) for at in range(len(row.seats))]
            rows.append(_Row(rated_by_index[row.index], points))
            x += (len(row.seats) + 1) * SEAT_PX
    return rows


def _coordinates(seat: LayoutSeat) -> _Point:
    return _Point(float(seat.x), float(seat.y))  # type: ignore[arg-type]


class _Drawing:
    """Seats and labels in pixels, on a canvas with room for a title."""

    def __init__(
        self,
        title: str,
        rows: list[_Row],
        letters: str,
        focus: _Point | None,
        labels: list[_Line],
    ) -> None:
        self._title, self._rows, self._letters = title, rows, letters
        self._focus, self._labels = focus, labels
        xs, ys = zip(*self._corners(), strict=True)
        self._left = min(xs) - 2 * SEAT_PX
        self._width = max(max(xs) + 2 * SEAT_PX - self._left, 0.9 * SEAT_PX * len(title), 400)
        self._font = max(self._width / 80, SEAT_PX)
        self._top = min(ys) - 2 * SEAT_PX - 5 * self._font
        self._height = max(ys) + 2 * SEAT_PX - self._top
        values = [value for row in rows for value in row.rated.qualities]
        self._best, self._spread = min(values), max(max(values) - min(values), 1)

    def _corners(self) -> Iterator[_Point]:
        """Points that the canvas must have: seats, the focal point and the far ends of labels."""
        for row in self._rows:
            yield from row.points
        if self._focus:
            yield self._focus
        for label in self._labels:
            length = 0.8 * SEAT_PX * len(label.text)
            yield _Point(label.at.x + (-length if label.at.x < 0 else length), label.at.y)

    def svg(self) -> str:
        """The whole document."""
        box = " ".join(map(_number, (self._left, self._top, self._width, self._height)))
        colors = "".join(f".q{level} {{ fill: {_color(level)}; }}\n" for level in range(LEVELS))
        x, y, width, height = box.split()
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" '
                f'font-size="{_number(self._font)}" role="img">',
                f"<title>{_text(self._title)}</title>",
                f"<style>\n{_STYLE}{colors}</style>",
                f'<rect class="back" x="{x}" y="{y}" width="{width}" height="{height}"/>',
                *self._heading(),
                *(part for row in self._rows for part in self._row(row)),
                *(self._line(label) for label in self._labels),
                *(() if self._labels else self._names()),
                *self._focal_point(),
                "</svg>\n",
            )
        )

    def _heading(self) -> Iterator[str]:
        """The title and, below it, what the colours and shapes mean."""
        font, x, y = self._font, self._left + self._font, self._top + 1.8 * self._font
        yield _words(self._title, x, y, f'font-weight="bold" font-size="{_number(font * 1.3)}"')
        y += 1.8 * font
        yield _words("best", x, y)
        x += 2.6 * font
        for level in range(LEVELS):
            yield _square(f"q{level}", x + level * font / 2, y - font * 0.8, font / 2)
        x += LEVELS * font / 2 + font / 2
        yield _words("worst", x, y)
        x += 4 * font
        yield _circle("blocked", _Point(x, y - font * 0.35), font * 0.42)
        yield _words("blocked", x + font * 0.8, y)
        x += 6 * font
        yield _square("q0", x, y - font * 0.75, font * 0.8)
        yield _words("wheelchair place", x + font * 1.2, y)

    def _row(self, row: _Row) -> Iterator[str]:
        rated = row.rated
        names = ", ".join(category.name for category in rated.categories)
        worst = max(rated.qualities)
        span = f"{rated.best}" if worst == rated.best else f"{rated.best} to {worst}"
        yield "<g>"
        tip = f"{rated.section.name}, row {rated.row.id}, {names}: {span}"
        yield f"<title>{_text(tip)}</title>"
        placed = zip(rated.row.seats, row.points, rated.qualities, strict=True)
        for index, (seat, point, value) in enumerate(placed, rated.row.index):
            level = (value - self._best) * (LEVELS - 1) // self._spread
            kind = "blocked" if self._letters[index : index + 1] == "b" else f"q{level}"
            if seat.accessible:
                side = SEAT_PX * 0.8
                yield _square(kind, point.x - side / 2, point.y - side / 2, side)
            else:
                yield _circle(kind, point, SEAT_PX * 0.42)
        yield "</g>"

    def _line(self, label: _Line) -> str:
        is_row = label.at.x < 0
        style = f'text-anchor="end" font-size="{SEAT_PX:g}"' if is_row else 'font-weight="bold"'
        return _words(label.text, label.at.x, label.at.y + 0.35 * SEAT_PX, style)

    def _names(self) -> Iterator[str]:
        """The name of each section, in the middle of its seats."""
        found: dict[str, tuple[str, list[_Point]]] = {}
        for row in self._rows:
            section = row.rated.section
            found.setdefault(section.id, (section.name, []))[1].extend(row.points)
        for name, points in found.values():
            xs, ys = zip(*points, strict=True)
            room = max(max(xs) - min(xs), 8 * SEAT_PX)
            font = min(self._font, room / len(name) * 1.6)
            style = f'class="name" font-size="{_number(font)}" stroke-width="{_number(font / 4)}"'
            yield _words(name, fmean(xs), fmean(ys), style)

    def _focal_point(self) -> Iterator[str]:
        if self._focus:
            (x, y), arm = self._focus, self._font * 0.7
            cross = f"M{_number(x - arm)} {_number(y)}h{_number(2 * arm)}"
            cross += f"M{_number(x)} {_number(y - arm)}v{_number(2 * arm)}"
            yield f'<path class="line" stroke-width="{_number(self._font / 6)}" d="{cross}"/>'
            yield _words("focal point", x + self._font, y - self._font / 2)


def _color(level: int) -> str:
    """From green over amber to red."""
    place = level / (LEVELS - 1) * (len(_STOPS) - 1)
    first = min(int(place), len(_STOPS) - 2)
    pair = zip(_STOPS[first], _STOPS[first + 1], strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (place - first)):02x}" for a, b in pair)


def _circle(kind: str, at: _Point, radius: float) -> str:
    return (
        f'<circle class="{kind}" cx="{_number(at.x)}" cy="{_number(at.y)}" r="{_number(radius)}"/>'
    )


def _square(kind: str, x: float, y: float, side: float) -> str:
    place = f'x="{_number(x)}" y="{_number(y)}"'
    return f'<rect class="{kind}" {place} width="{_number(side)}" height="{_number(side)}"/>'


def _words(text: str, x: float, y: float, style: str = "") -> str:
    return f'<text x="{_number(x)}" y="{_number(y)}" {style}>{_text(text)}</text>'


def _text(text: str) -> str:
    """Text of an XML document: escaped, without the characters that XML cannot have."""
    return html.escape(_NOT_XML.sub("?", text))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
