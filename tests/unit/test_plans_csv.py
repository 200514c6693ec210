"""Seats as CSV: what a spreadsheet saves, and lines that are wrong, named by their numbers."""

from pathlib import Path
from typing import Any

import pytest

from engine.models import LayoutSeat, Terms
from engine.plans import Plan, PlanError, PlanOptions, PriceUnit
from engine.plans import layout as layouts
from engine.plans.seat_csv import parse_seat_csv

HEADER = "section,row,number,category,price_minor\n"

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "seats.csv"


def parse(text: str, **options: Any) -> Plan:
    return parse_seat_csv(text.encode(), "gala", PlanOptions(**options))


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


def test_parse_csv_gives_sections_of_like_labels_distinct_ids() -> None:
    layout = parse(HEADER + "Rang!,1,1,A,5\nRang?,1,1,A,5\n").layout
    assert [section.id for section in layout.sections] == ["Rang_~ljp74n", "Rang_~qv8jk2"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("P,1,1,A", "line 3: 4 fields, not 5"),
        ("P,1,1,A,5,6", "line 3: 6 fields, not 5"),
        (
            "P,1,2,A,4.50",
            "line 3: '4.50' is not a price in minor units; "
            "a price as 45.00 needs --price-unit major",
        ),
        ("P,1,2,A,-5", "line 3: '-5' is not a price in minor units"),
        ("P,1,2,A,", "line 3: '' is not a price in minor units"),
        ("P,1,2,A,99999999999999", "line 3: '99999999999999' is not a price in minor units"),
        ("P,1,2,B,9999999999999", "line 3: the price must be 0 to 1000000000000 minor units"),
        ("P,1,1,A,5", "line 3: section 'P', row '1', seat '1' is used before, at line 2"),
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
        "line 6: section 'P', row '1', seat '3' is used before, at line 5",
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
        (HEADER.replace(",", "/"), "line 1: no column 'section'"),
        (HEADER, "the plan has no seats and no standing areas"),
    ],
)
def test_parse_csv_with_a_bad_header_names_what_is_wrong(text: str, problem: str) -> None:
    assert problems_of(text)[0] == problem


def test_parse_csv_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(PlanError, match="not UTF-8: byte 40"):
        parse_seat_csv(HEADER.encode() + b"\xff", "gala")


def runs_of(text: str) -> list[str]:
    layout = parse(text).layout
    return [" ".join(seat.number for seat in row.seats) for row in layouts.rows_of(layout)]


def row_of(*seats: str, columns: str = "") -> str:
    header = f"number,section,row,category,price_minor{columns and ','}{columns}\n"
    parted = (seat.partition(",") for seat in seats)
    return header + "".join(f"{number},P,1,A,5{comma}{rest}\n" for number, comma, rest in parted)


@pytest.mark.parametrize(
    ("numbers", "runs"),
    [
        ("1 10 11 2 3", ["1 2 3 10 11"]),
        ("3 1 2", ["1 2 3"]),
        ("1a 10 2 1b 1", ["1 1a 1b 2 10"]),
        ("B A 2", ["2 A B"]),
        ("7 5 3 1 2 4 6 8", ["7 5 3 1 2 4 6 8"]),
        ("6 4 2 1 3 5", ["6 4 2 1 3 5"]),
        ("1 3 5 2 4 6", ["1 3 5", "2 4 6"]),
        ("1 3 5 7", ["1 3 5 7"]),
        ("10 9 8", ["8 9 10"]),
    ],
)
def test_parse_csv_without_coordinates_orders_a_row_by_number(
    numbers: str, runs: list[str]
) -> None:
    assert runs_of(row_of(*numbers.split())) == runs


@pytest.mark.parametrize(
    ("seats", "runs"),
    [
        # Text order, x given, and an aisle between 2 and 3.
        ("1,0,0 10,450,0 2,50,0 3,200,0 4,250,0", ["1 2", "3 4", "10"]),
        # Odd on the left, even on the right of the middle.
        ("1,200,0 2,250,0 3,150,0 4,300,0 5,100,0", ["5 3 1 2 4"]),
        # Numbers from right to left; a row along y; a row that bends around the stage.
        ("1,100,0 2,50,0 3,0,0", ["3 2 1"]),
        ("1,0,100 2,0,50 3,0,0", ["3 2 1"]),
        ("1,0,0 2,5,50 3,50,80 4,95,50 5,100,0", ["1 2 3 4 5"]),
        ("1,0,0 3,4,100 2,2,50 4,50,140 5,96,100 6,98,50 7,100,0", ["1 2 3 4 5 6 7"]),
        # A wheelchair place is not across an aisle; one missing seat is.
        ("1,0,0 2,50,0 3,120,0 4,170,0", ["1 2 3 4"]),
        ("1,0,0 2,50,0 4,150,0 5,200,0", ["1 2", "4 5"]),
        # Two by two.
        ("1,0,0 2,50,0 3,200,0 4,250,0 5,400,0 6,450,0", ["1 2", "3 4", "5 6"]),
        # Coordinates that say nothing, or not of all seats.
        ("10,0,0 2,0,0 1,0,0", ["1 2 10"]),
        ("10,0,0 2,, 1,50,0", ["1 2 10"]),
    ],
)
def test_parse_csv_with_coordinates_orders_a_row_and_finds_its_aisles(
    seats: str, runs: list[str]
) -> None:
    assert runs_of(row_of(*seats.split(), columns="x,y")) == runs


def test_parse_csv_takes_the_aisles_it_names() -> None:
    text = row_of("1,", "10,", "2,yes", "3,no", "4,1", columns="aisle")
    assert runs_of(text) == ["1 2", "3 4", "10"]
    assert layouts.values_of(parse(text).layout).map == "aa/aa/a"
    assert runs_of(row_of("1,", "2,yes", columns="aisle")) == ["1 2"]
    assert "aisle is 'left', not yes or no" in problems_of(row_of("1,left", columns="aisle"))[0]


PLAIN = HEADER + "Balkón,1,1,A,4500\n"


@pytest.mark.parametrize(
    "text",
    [
        HEADER.strip() + ",,\nBalkón,1,1,A,4500,,\n",
        HEADER + "Balkón,1,1,A,4500,,,\n",
        "sep=,\n" + PLAIN,
        '"sep=,"\r\n' + PLAIN,
        "sep=,,,,,\n" + PLAIN,
        "sep=;\n" + PLAIN.replace(",", ";"),
        "sep=/\n" + PLAIN.replace(",", "/"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace(",", ";").replace("section", '"Section"'),
    ],
)
def test_parse_csv_of_any_spreadsheet_reads_it(text: str) -> None:
    assert parse(text).layout == parse(PLAIN).layout


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_parse_csv_detects_its_encoding(encoding: str) -> None:
    assert parse_seat_csv(PLAIN.encode(encoding), "gala").layout == parse(PLAIN).layout


def test_parse_csv_takes_the_encoding_and_delimiter_that_are_named() -> None:
    body = PLAIN.replace(",", "/").encode("cp1252")
    options = PlanOptions(encoding="cp1252", delimiter="/")
    assert parse_seat_csv(body, "gala", options).layout == parse(PLAIN).layout
    tabs = PLAIN.replace(",", "\t")
    assert parse(tabs, delimiter="tab").layout == parse(PLAIN).layout


@pytest.mark.parametrize(
    ("body", "options", "problem"),
    [
        (PLAIN.encode("cp1252"), {}, "not UTF-8: byte 44; name the encoding of the file, as"),
        (PLAIN.encode("cp1252"), {}, "--encoding cp1252"),
        (PLAIN.encode(), {"encoding": "klingon"}, "there is no encoding 'klingon'"),
        (PLAIN.encode(), {"encoding": "hex"}, "there is no encoding 'hex'"),
        (PLAIN.encode(), {"encoding": "ascii"}, "not ascii: "),
        (PLAIN.encode(), {"delimiter": ";;"}, "the delimiter ';;' is not one character"),
        (PLAIN.encode(), {"delimiter": '"'}, "the delimiter '\"' is not one character"),
        (PLAIN.replace(",", "/").encode(), {}, "one column only; name its --delimiter"),
        (b"section,row,number,category,price\n", {}, "unknown column 'price': it needs"),
    ],
)
def test_parse_csv_that_cannot_be_read_names_the_option_that_helps(
    body: bytes, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(PlanError) as caught:
        parse_seat_csv(body, "gala", PlanOptions(**options))
    assert problem in "\n".join(caught.value.problems)


@pytest.mark.parametrize("column", ["price_minor", "price"])
def test_parse_csv_reads_prices_in_major_units(column: str) -> None:
    text = f"section;row;number;category;{column}\nP;1;1;A;45,00\nP;1;2;B;0,29\nP;1;3;C;7\n"
    layout = parse(text, price_unit=PriceUnit.MAJOR).layout
    assert [category.price_minor for category in layout.categories] == [4500, 29, 700]
    yen = text.replace("45,00", "45").replace("0,29", "29")
    layout = parse(yen, price_unit=PriceUnit.MAJOR, currency="JPY").layout
    assert [category.price_minor for category in layout.categories] == [45, 29, 7]


def test_parse_csv_takes_rupiah() -> None:
    layout = parse(HEADER + "P,1,1,A,1100000000\n", currency="IDR").layout
    assert layout.categories[0].price_minor == 1_100_000_000


def test_example_of_the_pages_can_be_loaded() -> None:
    plan = parse(EXAMPLE.read_text(encoding="utf-8"))
    assert [section.id for section in plan.layout.sections] == ["Stalls", "Balcony"]
    seats = [seat for section in plan.layout.sections for row in section.rows for seat in row.seats]
    assert len(seats) == 12
    assert [seat.id for seat in seats if seat.accessible] == ["Balcony-W-1"]


def test_parse_csv_reads_ranks_companions_and_restricted_views() -> None:
    columns = "rank,companion_of,restricted_view,accessible"
    text = row_of("1,3,,,yes", "2,2,1,,", "3,1,,yes,", columns=columns)
    seats = parse(text).layout.sections[0].rows[0].seats
    assert [seat.rank for seat in seats] == [3, 2, 1]
    assert [seat.companion_of for seat in seats] == ["", "P-1-1", ""]
    assert [seat.restricted_view for seat in seats] == [False, False, True]


def test_parse_csv_names_the_wheelchair_place_of_a_companion_by_its_number_in_any_script() -> None:
    header = HEADER.strip() + ",accessible,companion_of\n"
    text = header + "二階席,い,1/2,A,5,yes,\n二階席,い,1 2,A,5,,1/2\n"
    seats = parse(text).layout.sections[0].rows[0].seats
    ids = {seat.number: seat.id for seat in seats}
    assert ids["1/2"] != ids["1 2"]
    assert {seat.number: seat.companion_of for seat in seats} == {"1/2": "", "1 2": ids["1/2"]}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (",9,", "line 3: companion_of '9' is no wheelchair place of the same row"),
        (",2,", "line 3: companion_of '2' is no wheelchair place of the same row"),
        ("yes,1,", "line 3: a wheelchair place is not a companion's seat"),
        (",,x", "line 3: 'x' is not a rank: a whole number, 0 to 10000000"),
        (",,1", "line 2: there is no rank, and other seats have one (1)"),
    ],
)
def test_parse_csv_with_a_bad_companion_or_rank_names_its_line(fields: str, problem: str) -> None:
    header = HEADER.strip() + ",accessible,companion_of,rank\n"
    assert problems_of(f"{header}P,1,1,A,5,yes,,\nP,1,2,A,5,{fields}\n") == (problem,)


def test_parse_csv_with_a_repeated_rank_names_both_lines() -> None:
    header = HEADER.strip() + ",rank\n"
    assert problems_of(header + "P,1,1,A,5,1\nP,1,2,A,5,2\nP,2,1,A,5,2\n") == (
        "line 4: the rank 2 is used before, at line 3",
    )
