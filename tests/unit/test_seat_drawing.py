"""The drawing of a house by quality: valid XML for any names, a shape for each seat."""

import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from cli.seat_drawing import LEVELS, draw_seats
from engine.models import Layout
from engine.plans import layout as layouts
from engine.plans import parse_event, read_plan

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</title><script>alert("1")</script>&amp;\ufffe'


def layout(*rows: list[dict[str, Any]], name: str = "Parquet", **more: object) -> Layout:
    """A section of rows 1, 2, … with seats 1, 2, …"""
    numbered = [
        {"id": str(r), "seats": [{"number": str(n), **seat} for n, seat in enumerate(seats, 1)]}
        for r, seats in enumerate(rows, 1)
    ]
    section = {"id": "P", "name": name, "category": "A", "rows": numbered}
    categories = [{"id": "A", "name": name, "priceMinor": 1}]
    event = {"name": "Gala", "categories": categories, "sections": [section], **more}
    return parse_event(json.dumps(event).encode()).layout


def draw(house: Layout, title: str = "gala") -> ElementTree.Element:
    return ElementTree.fromstring(draw_seats(house, layouts.values_of(house).map, title))


def seats_in(svg: ElementTree.Element) -> list[ElementTree.Element]:
    """The shapes of the seats, in the order of the map."""
    return [shape for row in svg.findall(f"{SVG}g") for shape in row if shape.tag != f"{SVG}title"]


def texts_in(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


def test_drawing_colours_the_best_seat_green_and_the_worst_red() -> None:
    seats = [{"x": 0, "y": 0}, {"x": 10, "y": 0}, {"x": 20, "y": 0}]
    svg = draw(layout(seats, focus={"x": 0, "y": 0}))
    shapes = seats_in(svg)
    assert [shape.get("class") for shape in shapes] == ["q0", f"q{LEVELS // 2 - 1}", "q23"]
    assert [float(shape.get("cx", "")) for shape in shapes] == [0, 10, 20]
    style = svg.findtext(f"{SVG}style") or ""
    assert ".q0 { fill: #1a9a50; }" in style
    assert ".q23 { fill: #d73027; }" in style
    assert "prefers-color-scheme: dark" in style
    assert "focal point" in texts_in(svg)


def test_drawing_shows_blocked_seats_grey_and_wheelchair_places_square() -> None:
    svg = draw(layout([{"blocked": True}, {"accessible": True}, {}]))
    assert [(shape.tag.removeprefix(SVG), shape.get("class")) for shape in seats_in(svg)] == [
        ("circle", "blocked"),
        ("rect", "q0"),
        ("circle", "q0"),
    ]


@pytest.mark.parametrize("seat", [{}, {"x": 3, "y": 4}])
def test_drawing_escapes_hostile_names(seat: dict[str, Any]) -> None:
    house = layout([seat], name=HOSTILE)
    svg = draw(house, HOSTILE)
    shown = HOSTILE.replace("\ufffe", "?")
    assert svg.findtext(f"{SVG}title") == shown
    assert texts_in(svg).count(shown) == 2
    assert svg.findtext(f"{SVG}g/{SVG}title") == f"{shown}, row 1, {shown}: 0"
    assert not list(svg.iter(f"{SVG}script"))


def test_drawing_without_coordinates_has_a_line_for_each_row() -> None:
    svg = draw(layout([{}, {}], [{"x": 1, "y": 1}, {}]))
    places = [(shape.get("cx"), shape.get("cy")) for shape in seats_in(svg)]
    assert places == [("0", "34"), ("10", "34"), ("0", "48"), ("10", "48")]
    assert [text for text in texts_in(svg) if text in ("Parquet", "1", "2")] == [
        "Parquet",
        "1",
        "2",
    ]


def test_drawing_leaves_a_gap_between_the_runs_of_a_row() -> None:
    event = {
        "name": "Gala",
        "categories": [{"id": "A", "name": "A", "priceMinor": 1}],
        "sections": [{"id": "P", "category": "A", "rows": [
            {"id": "1", "seats": [{"number": "1"}, {"number": "2"}]},
            {"id": "1", "seats": [{"number": "3"}]},
        ]}],
    }  # fmt: skip
    svg = draw(parse_event(json.dumps(event).encode()).layout)
    assert [shape.get("cx") for shape in seats_in(svg)] == ["0", "10", "30"]


@pytest.mark.parametrize(
    "seats",
    [
        [{"x": 5, "y": 5}],
        [{"x": 5, "y": 5}, {"x": 5, "y": 5}],
        [{"x": -1e6, "y": 1e6}, {"x": 1e6, "y": -1e6}],
        [{"x": 0, "y": 0}, {"x": 1e-9, "y": 0}, {"x": 1e6, "y": 0}],
    ],
)
def test_drawing_of_odd_coordinates_has_every_seat_within_its_canvas(
    seats: list[dict[str, Any]],
) -> None:
    svg = draw(layout(seats))
    left, top, width, height = map(float, (svg.get("viewBox") or "").split())
    for shape in seats_in(svg):
        assert left < float(shape.get("cx", "")) < left + width
        assert top < float(shape.get("cy", "")) < top + height


def test_drawing_of_the_hall_has_all_its_seats_and_sections() -> None:
    house = read_plan("venue:hall").layout
    svg = draw(house)
    assert len(seats_in(svg)) == 2063
    assert sum(shape.tag == f"{SVG}rect" for shape in seats_in(svg)) == 27
    assert {section.name for section in house.sections} <= set(texts_in(svg))
    classes = {shape.get("class") for shape in seats_in(svg)}
    assert classes == {f"q{level}" for level in range(LEVELS)}
    assert not re.search("nan|inf", draw_seats(house, "", "x"))
