"""Labels of every script: what reads alike is one label, and distinct labels have distinct ids."""

import json
import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SeatExists
from engine.ids import PLACE_PATTERN
from engine.models import Layout
from engine.plans import PlanError, add_sections, parse_event
from engine.plans import layout as layouts
from engine.plans.derived_ids import distinct_ids, id_from
from engine.plans.labels import LABEL_MAX, as_read
from engine.plans.seat_csv import parse_seat_csv

SCRIPTS = {
    "Cyrillic": ["Партер", "А", "Б", "В", "Ё", "Е"],
    "Greek": ["Πλατεία", "Α", "Β", "Ά", "α"],
    "Hebrew": ["אולם", "א", "ב", "יציע"],
    "Hangul": ["객석", "가", "나", "1층"],
    "Nordic": ["A", "Å", "Ä", "O", "Ö", "Ø", "Æ", "a", "å"],
    "CJK": ["二階席", "い", "ろ", "一", "1", "１"],
    "emoji": ["🎭", "🎪", "👩‍🦽", "❤"],
    "punctuation": ["1/2", "1 2", "1_2", "1-2", "½", "1:2", "_", "~", "A" * LABEL_MAX],
    "hashed": ["Ä", id_from("Ä"), "A~", "A"],
}
LABELS = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=LABEL_MAX).filter(
        as_read
    )
    | st.text("AÄa-_~ /1", min_size=1, max_size=4).filter(as_read),
    min_size=1,
    max_size=8,
    unique_by=as_read,
)


def table(rows: list[tuple[str, str, str]], columns: list[str]) -> bytes:
    """A CSV with a seat for each section, row and number, its columns in this order."""
    quoted = ['"{}"'.format(name.replace('"', '""')) for row in rows for name in row]
    lines = [",".join(columns)]
    for at in range(0, len(quoted), 3):
        fields = dict(zip(("section", "row", "number"), quoted[at : at + 3], strict=True))
        fields |= {"category": "A", "price_minor": "5"}
        lines.append(",".join(fields[column] for column in columns))
    return "\n".join(lines).encode()


COLUMNS = ["section", "row", "number", "category", "price_minor"]


def ids_of(layout: Layout) -> dict[tuple[str, str, str], str]:
    """The ids of seats by what is read on them."""
    return {
        (as_read(section.name), as_read(row.id), as_read(seat.number)): seat.id
        for section in layout.sections
        for row in section.rows
        for seat in row.seats
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_parse_csv_gives_every_label_of_a_script_its_id(script: str) -> None:
    names = SCRIPTS[script]
    rows = [(section, row, number) for section in names for row in names for number in names]
    layout = parse_seat_csv(table(rows, COLUMNS), "gala").layout
    ids = ids_of(layout)
    assert len(set(ids.values())) == len(rows)
    assert len({section.id for section in layout.sections}) == len(names)


@given(LABELS, st.randoms(use_true_random=False))
def test_distinct_labels_have_distinct_ids_in_any_order_of_rows_and_columns(
    names: list[str], dice: random.Random
) -> None:
    rows = [(section, row, number) for section in names[:3] for row in names for number in names]
    layout = parse_seat_csv(table(rows, COLUMNS), "gala").layout
    ids = ids_of(layout)
    assert len(ids) == len(rows) == len(set(ids.values()))
    assert all(re.fullmatch(PLACE_PATTERN, seat) for seat in ids.values())
    dice.shuffle(rows)
    again = parse_seat_csv(table(rows, dice.sample(COLUMNS, 5)), "gala").layout
    assert ids_of(again) == ids
    assert {s.id for s in again.sections} == {s.id for s in layout.sections}


@given(LABELS, LABELS)
def test_ids_of_labels_outside_ascii_do_not_depend_on_other_labels(
    names: list[str], more: list[str]
) -> None:
    alone, together = distinct_ids(map(as_read, names)), distinct_ids(map(as_read, names + more))
    for name in map(as_read, names):
        if not name.isascii() and as_read(alone[name]) not in map(as_read, more):
            assert together[name] == alone[name]


@pytest.mark.parametrize(
    ("label", "label_id"),
    [
        ("Stalls", "Stalls"),
        ("Rear seats", "Rear_seats"),
        ("Parkett, links", "Parkett__links"),
        ("Rang!", "Rang_"),
        ("1/2", "1_2"),
        ("A-1.b~c", "A-1.b~c"),
    ],
)
def test_ids_of_ascii_labels_are_plain(label: str, label_id: str) -> None:
    assert id_from(label) == label_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Régie", "Re\u0301gie"),
        ("Rang 1", "Rang\u00a0 1"),
        ("Rang", "Ra\u200bng"),
        ("Rang", "\u2066Rang\u2069"),
        ("Rang", " Rang\u3000"),
        ("Rang", "Rang\ufe0f"),
        ("가", "\u1100\u1161"),
    ],
)
def test_labels_that_read_alike_are_one_chair(one: str, other: str) -> None:
    rows = [(one, "1", "1"), (other, "1", "1")]
    for row in (rows, [(b, a, c) for a, b, c in rows], [(b, c, a) for a, b, c in rows]):
        with pytest.raises(PlanError) as caught:
            parse_seat_csv(table(row, COLUMNS), "gala")
        (problem,) = caught.value.problems
        assert problem.startswith("line 3: section ")
        assert problem.endswith(" is used before, at line 2")


def event(*sections: dict[str, Any], **more: object) -> dict[str, Any]:
    return {
        "name": "Gala",
        "categories": [{"id": "A", "name": "A", "priceMinor": 1}],
        "sections": list(sections),
        **more,
    }


def section(section_id: str, name: str, row: str, *seats: dict[str, Any]) -> dict[str, Any]:
    rows = [{"id": row, "seats": seats}]
    return {"id": section_id, "name": name, "category": "A", "rows": rows}


def problems_of(plan: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        parse_event(json.dumps(plan).encode())
    return caught.value.problems


def test_parse_event_refuses_a_seat_that_reads_as_another() -> None:
    seats = {"number": "é", "id": "a"}, {"number": "e\u0301 ", "id": "b"}
    assert problems_of(event(section("P", "Parkett", "1", *seats))) == (
        "sections[0].rows[0].seats[1]: section 'Parkett', row '1', seat 'e\u0301 ' "
        "is used before, at sections[0].rows[0].seats[0]",
    )


def test_parse_event_refuses_sections_and_areas_of_one_name() -> None:
    areas = [
        {"id": f"a{n}", "name": name, "category": "A", "capacity": 1}
        for n, name in enumerate(("Floor", "Floor\u200b"))
    ]
    one, two = section("P", "Régie", "1", {"number": "1"}), section("Q", "Re\u0301gie", "1")
    two["rows"][0]["seats"] = [{"number": "1"}]
    assert problems_of(event(one, two, areas=areas)) == (
        "sections[1]: the section name 'Re\u0301gie' is used before, at sections[0]",
        "areas[1]: the area name 'Floor\\u200b' is used before, at areas[0]",
    )


def test_parse_event_gives_numbers_and_rows_of_any_script_their_ids() -> None:
    numbers = [{"number": number} for number in ("1/2", "1 2", "А", "Б")]
    layout = parse_event(json.dumps(event(section("P", "P", "Ряд", *numbers))).encode()).layout
    row = id_from("Ряд")
    ids = [seat.id for row_ in layouts.rows_of(layout) for seat in row_.seats]
    assert ids[1:] == [f"P-{row}-1_2", f"P-{row}-{id_from('А')}", f"P-{row}-{id_from('Б')}"]
    assert ids[0].startswith(f"P-{row}-1_2~")


def test_add_sections_refuses_what_reads_as_a_seat_section_or_area_of_the_event() -> None:
    floor = {"id": "floor", "name": "Floor", "category": "A", "capacity": 1}
    seats = {"number": "1", "id": "g1"}, {"number": "1/2"}
    plan = event(section("P", "Régie", "1", *seats), areas=[floor])
    layout = parse_event(json.dumps(plan).encode()).layout

    def add(**more: object) -> Layout:
        return add_sections(layout, json.dumps(more).encode())

    with pytest.raises(SeatExists) as exists:
        add(sections=[section("P", "P", "1", {"number": "1\u200b"})])
    assert exists.value.found == ("g1",)
    with pytest.raises(PlanError) as caught:
        add(
            sections=[
                section("P", "P", "1", {"number": " 1", "id": "new"}),
                section("Q", "Re\u0301gie", "1", {"number": "1"}),
            ],
            areas=[floor | {"id": "floor2"}],
        )
    assert caught.value.problems == (
        "sections[0].rows[0].seats[0]: section 'Régie', row '1', seat ' 1' "
        "is used before, at seat 'g1' of the event",
        "sections[1]: the section name 'Re\u0301gie' is used before, at section 'P' of the event",
        "areas[0]: the area name 'Floor' is used before, at area 'floor' of the event",
    )
    more = add(sections=[section("P", "P", "1", {"number": "1 2"})])
    new = [seat.id for row in layouts.rows_of(more) for seat in row.seats]
    assert new[:2] == ["g1", "P-1-1_2"]
    assert new[2].startswith("P-1-1_2~")


def test_a_derived_id_that_another_seat_was_given_gets_a_hash() -> None:
    plan = event(section("P", "P", "1", {"number": "1", "id": "P-1-2"}, {"number": "2"}))
    layout = parse_event(json.dumps(plan).encode()).layout
    ids = [seat.id for row in layouts.rows_of(layout) for seat in row.seats]
    assert ids[0] == "P-1-2"
    assert ids[1].startswith("P-1-2~")
