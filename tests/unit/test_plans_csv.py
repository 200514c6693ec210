"""Seats as CSV: what a spreadsheet saves, and lines that are wrong, named by their numbers."""

import pytest

from engine.models import LayoutSeat, Terms
from engine.plans import Plan, PlanError
from engine.plans import layout as layouts
from engine.plans.seat_csv import parse_seat_csv

HEADER = "section,row,number,category,price_minor\n"


def parse(text: str) -> Plan:
    return parse_seat_csv(text.encode(), "gala")


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        parse(text)
    return caught.value.problems


def test_parse_csv_reads_seats_categories_and_the_given_name() -> None:
    plan = parse(HEADER + "Stalls,1,1,Premium,9800\nStalls,1,2,Rear seats,2500\n")
    assert plan.terms == Terms(name="gala")
    assert [(c.id, c.name, c.price_minor) for c in plan.layout.categories] == [
        ("Premium", "Premium", 9800),
        ("Rear_seats", "Rear seats", 2500),
    ]
    assert plan.layout.sections[0].rows[0].seats == (
        LayoutSeat(id="Stalls-1-1", number="1", category="Premium"),
        LayoutSeat(id="Stalls-1-2", number="2", category="Rear_seats"),
    )


def test_parse_csv_reads_coordinates_and_accessible() -> None:
    text = HEADER.strip() + ",x,y,accessible\nP,1,1,A,5,0.5,-2,yes\nP,1,2,A,5,,,\n"
    assert parse(text).layout.sections[0].rows[0].seats == (
        LayoutSeat(id="P-1-1", number="1", category="A", x=0.5, y=-2.0, accessible=True),
        LayoutSeat(id="P-1-2", number="2", category="A"),
    )


def test_parse_csv_gathers_lines_of_a_row_that_stand_apart() -> None:
    layout = parse(HEADER + "P,1,1,A,5\nQ,1,1,A,5\nP,2,1,A,5\nP,1,2,A,5\n").layout
    assert layouts.values_of(layout).map == "aa/a/a"
    assert [section.id for section in layout.sections] == ["P", "Q"]


def test_parse_csv_as_spreadsheets_save_it_reads_it() -> None:
    text = (
        "\ufeffPRICE_MINOR, Section,row,number,category\r\n\r\n"
        '4900,"Parkett, links",1,1,"A ""x"""\r\n,,,,\r\n'
        '4900 ,"Parkett, links",1, 2,"A ""x"""\r\n'
    )
    layout = parse(text).layout
    assert layout.categories[0].name == 'A "x"'
    assert layout.sections[0].name == "Parkett, links"
    assert list(layouts.values_of(layout).seats) == [
        "Parkett__links-1-1",
        "Parkett__links-1-2",
    ]


def test_parse_csv_tells_sections_apart_whose_ids_would_be_one() -> None:
    layout = parse(HEADER + "Rang!,1,1,A,5\nRang?,1,1,A,5\n").layout
    assert [section.id for section in layout.sections] == ["Rang_", "Rang__2"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("P,1,1,A", "line 3: 4 fields, not 5"),
        ("P,1,1,A,5,6", "line 3: 6 fields, not 5"),
        ("P,1,2,A,4.50", "line 3: '4.50' is not a price in minor units"),
        ("P,1,2,A,-5", "line 3: '-5' is not a price in minor units"),
        ("P,1,2,A,", "line 3: '' is not a price in minor units"),
        ("P,1,2,A,99999999999", "line 3: '99999999999' is not a price in minor units"),
        ("P,1,2,B,9999999999", "line 3: the price must be 0 to 1000000000 minor units"),
        ("P,1,1,A,5", "line 3: the seat id 'P-1-1' is used before, at line 2"),
        ("P,1,2,A,6", "line 3: category 'A' costs 6 here and 5 on line 2"),
        ("P,1,2,,6", "line 3: the category name '' is not 1 to 100 printable characters"),
        ("P,1,,A,5", "line 3: the seat number '' is not 1 to 100 printable characters"),
        ("P,,1,A,5", "line 3: the row '' is not 1 to 100 printable characters"),
        (",1,1,A,5", "line 3: the section name '' is not 1 to 100 printable characters"),
        ('"P,1,1,A,5', "line 3: unexpected end of data"),
        ('"P"x,1,1,A,5', "line 3: ',' expected after '\"'"),
    ],
)
def test_parse_csv_with_a_bad_line_names_its_number(lines: str, problem: str) -> None:
    assert problems_of(f"{HEADER}P,1,1,A,5\n{lines}\n") == (problem,)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("one,0,", "line 2: 'one' is not a coordinate"),
        ("nan,0,", "line 2: x and y must be within ±1000000"),
        ("1e400,0,", "line 2: x and y must be within ±1000000"),
        ("0,,", "line 2: x and y go together, one is missing"),
        ("0,0,perhaps", "line 2: accessible is 'perhaps', not yes or no"),
    ],
)
def test_parse_csv_with_a_bad_optional_field_names_its_line(fields: str, problem: str) -> None:
    text = HEADER.strip() + f",x,y,accessible\nP,1,1,A,5,{fields}\n"
    assert problems_of(text) == (problem,)


def test_parse_csv_names_every_bad_line() -> None:
    assert problems_of(HEADER + "P,1,1,A,x\n\nP,1,2,A\nP,1,3,A,5\nP,1,3,A,5\n") == (
        "line 2: 'x' is not a price in minor units",
        "line 4: 4 fields, not 5",
        "line 6: the seat id 'P-1-3' is used before, at line 5",
    )


def test_parse_csv_counts_lines_within_quotes() -> None:
    text = HEADER + 'P,1,1,"A\n",5\nP,1,2,B,x\n'
    assert problems_of(text)[0] == "line 4: 'x' is not a price in minor units"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty: its first line must be section,row,number,category,price_minor"),
        ("section,row,number,category\n", "line 1: no column 'price_minor'"),
        (HEADER.strip() + ",colour\n", "line 1: unknown column 'colour'"),
        (HEADER.strip() + ",row\n", "line 1: a column is there twice"),
        (HEADER.replace(",", ";"), "line 1: no column 'section'"),
        (HEADER, "the plan has no seats and no standing areas"),
    ],
)
def test_parse_csv_with_a_bad_header_names_what_is_wrong(text: str, problem: str) -> None:
    assert problems_of(text)[0] == problem


def test_parse_csv_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(PlanError, match="not UTF-8: byte 40"):
        parse_seat_csv(HEADER.encode() + b"\xff", "gala")
