"""Adding to a layout: what is there keeps its index, what is new follows the end of the map."""

import json
from typing import Any

import pytest

from engine.errors import SeatExists
from engine.models import Layout
from engine.plans import PlanError, add_sections, parse_event
from engine.plans import layout as layouts

CATEGORY = {"id": "A", "name": "Stalls", "priceMinor": 4900}


def section(section_id: str, row: str, *numbers: str, **more: object) -> dict[str, Any]:
    seats = [{"number": number} for number in numbers]
    return {"id": section_id, "category": "A", "rows": [{"id": row, "seats": seats}], **more}


def body(*sections: dict[str, Any], **more: object) -> bytes:
    return json.dumps({"sections": sections, **more}).encode()


@pytest.fixture
def layout() -> Layout:
    """Sections P and Q, five seats, and a floor."""
    event = {
        "name": "Gala",
        "currency": "CHF",
        "categories": [CATEGORY],
        "sections": [section("P", "1", "1", "2", name="Parquet"), section("Q", "1", "1", "2", "3")],
        "areas": [{"id": "floor", "name": "Floor", "category": "A", "capacity": 30}],
    }
    return parse_event(json.dumps(event).encode()).layout


def test_add_sections_puts_a_new_section_behind_the_map(layout: Layout) -> None:
    more = add_sections(layout, body(section("R", "1", "1")))
    assert layouts.values_of(more).map == "aa/aaa/a"
    assert [s.id for s in more.sections] == ["P", "Q", "R"]


def test_add_sections_puts_new_rows_of_a_known_section_behind_the_map(layout: Layout) -> None:
    more = add_sections(layout, body(section("P", "2", "1", name="Ignored")))
    assert (more.sections[0].id, more.sections[0].name) == ("P", "Parquet")
    assert [(row.id, row.index) for row in more.sections[0].rows] == [("1", 0), ("2", 7)]
    assert layouts.values_of(more).seats["P-2-1"] == "7,0,a"


def test_add_sections_twice_keeps_every_index_valid(layout: Layout) -> None:
    once = add_sections(layout, body(section("P", "2", "1")))
    twice = add_sections(once, body(section("Q", "2", "1"), section("P", "1", "3")))
    assert layouts.values_of(twice).map == "aa/aaa/a/a/a"
    before = layouts.values_of(once).seats.items()
    assert before < layouts.values_of(twice).seats.items()


def test_add_sections_to_an_empty_layout_starts_its_map() -> None:
    empty = parse_event(b'{"name": "Gala"}').layout
    more = add_sections(empty, body(section("P", "1", "1"), categories=[CATEGORY]))
    assert layouts.values_of(more).map == "a"


def test_add_sections_changes_the_version_and_keeps_the_currency(layout: Layout) -> None:
    more = add_sections(layout, body(section("R", "1", "1")))
    assert more.version != layout.version
    assert more.currency == "CHF"


def test_add_sections_numbers_new_categories_behind_the_known(layout: Layout) -> None:
    box = {"id": "B", "name": "Box", "priceMinor": 9900}
    new = section("R", "1", "1", category="B")
    more = add_sections(layout, body(new, categories=[box, CATEGORY]))
    assert [category.id for category in more.categories] == ["A", "B"]
    assert layouts.values_of(more).seats["R-1-1"] == "7,1,a"


def test_add_sections_adds_areas(layout: Layout) -> None:
    pit = {"id": "pit", "name": "Pit", "category": "A", "capacity": 5}
    assert layouts.capacity(add_sections(layout, body(areas=[pit]))) == 40


def test_add_sections_with_seats_and_areas_that_are_there_is_refused(layout: Layout) -> None:
    floor = {"id": "floor", "name": "Floor", "category": "A", "capacity": 5}
    with pytest.raises(SeatExists) as caught:
        add_sections(layout, body(section("P", "1", "2", "3"), areas=[floor]))
    assert caught.value.found == ("P-1-2", "floor")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (body(), "no seats and no standing areas"),
        (body(section("R", "1", "1", "1")), "section 'R', row '1', seat '1' is used before"),
        (body(section("R", "1", "1", category="Z")), "there is no category 'Z'"),
        (
            body(section("R", "1", "1"), categories=[{**CATEGORY, "priceMinor": 1}]),
            "the event has category 'A' with another name, price or color",
        ),
        (
            body(areas=[{"id": "pit", "name": "Pit", "category": "A", "capacity": 999_999}]),
            "more than 1000000 places",
        ),
        (body(section("R", "1", "1"), name="Gala"), "unknown field `name`"),
        (b"[]", "Expected `object`, got `array`"),
    ],
)
def test_add_sections_with_a_flaw_names_it(layout: Layout, more: bytes, problem: str) -> None:
    with pytest.raises(PlanError) as caught:
        add_sections(layout, more)
    assert problem in caught.value.problems[0]
