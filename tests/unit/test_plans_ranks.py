"""Ranks from a file: of rows or of seats, for plans of every format."""

import json
from pathlib import Path

import pytest

from engine.models import Layout
from engine.plans import PlanError, PlanOptions, read_plan
from engine.plans import layout as layouts
from engine.plans.quality import best_rows
from engine.plans.ranks import parse_rank, read_ranks
from engine.plans.table import Dialect

SEATS = "section,row,number,category,price_minor,rank\n" + "".join(
    f"Rang <Ä>,{row},{number},A,5,{row}{number}\n" for row in (1, 2) for number in (1, 2)
)
OF_ROWS = "section,row,rank\nRang <Ä>,2,0\nRang <Ä>,1,4\n"
OF_SEATS = "rank,section,row,number\n" + "".join(
    f"{9 - 2 * row - number},Rang <Ä>,{row},{number}\n" for row in (1, 2) for number in (1, 2)
)
PRETIX = {
    "name": "Theatre",
    "zones": [{"name": "Rang <Ä>", "rows": [
        {"row_number": str(row), "seats": [
            {"seat_guid": f"{row}-{n}", "seat_number": f"{row}-{n}", "position": {"x": n, "y": row}}
            for n in (1, 2)
        ]} for row in (1, 2)
    ], "areas": [{"position": {"x": 0, "y": 0}, "text": {"text": "Stage"}}]}],
}  # fmt: skip
OWN = {
    "name": "Gala",
    "categories": [{"id": "A", "name": "A", "priceMinor": 1}],
    "sections": [{"id": "R", "name": "Rang <Ä>", "category": "A", "rows": [
        {"id": str(row), "rank": 8, "seats": [{"number": "1"}, {"number": "2"}]} for row in (1, 2)
    ]}],
}  # fmt: skip
PLANS = {"seats.csv": SEATS, "pretix.json": json.dumps(PRETIX), "own.json": json.dumps(OWN)}


def written(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return str(file)


def load(folder: Path, name: str, ranks: str) -> Layout:
    prices = "5" if name == "pretix.json" else None
    file = written(folder, "ranks.csv", ranks)
    options = PlanOptions(prices=prices, ranks=read_ranks(file))
    return read_plan(written(folder, name, PLANS[name]), options).layout


def ranks_in(layout: Layout) -> list[list[object]]:
    return [[seat.rank for seat in row.seats] for row in layouts.rows_of(layout)]


def problems_of(folder: Path, ranks: str, name: str = "seats.csv") -> list[str]:
    with pytest.raises(PlanError) as caught:
        load(folder, name, ranks)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize("name", PLANS)
def test_ranks_of_a_file_replace_what_the_plan_says(tmp_path: Path, name: str) -> None:
    of_rows = load(tmp_path, name, OF_ROWS)
    assert ranks_in(of_rows) == [[4, 4], [0, 0]]
    assert [each.row.id for each in best_rows(of_rows)] == ["2", "1"]
    assert ranks_in(load(tmp_path, name, OF_SEATS)) == [[6, 5], [4, 3]]


def test_ranks_of_a_row_are_those_of_all_its_runs(tmp_path: Path) -> None:
    text = "section,row,number,category,price_minor,aisle\nP,1,1,A,5,yes\nP,1,2,A,5,\n"
    ranks = read_ranks(written(tmp_path, "ranks.csv", "section,row,rank\nP,1,3\n"))
    plan = read_plan(written(tmp_path, "p.csv", text), PlanOptions(ranks=ranks))
    assert ranks_in(plan.layout) == [[3], [3]]


def test_ranks_of_a_spreadsheet_in_an_old_encoding(tmp_path: Path) -> None:
    file = tmp_path / "ranks.csv"
    file.write_bytes("section;row;rank\nRang <Ä>;1;3\nRang <Ä>;2;4\n".encode("cp1252"))
    options = PlanOptions(encoding="cp1252", ranks=read_ranks(str(file), Dialect(None, "cp1252")))
    plan = read_plan(written(tmp_path, "own.json", PLANS["own.json"]), options)
    assert ranks_in(plan.layout) == [[3, 3], [4, 4]]


@pytest.mark.parametrize("name", PLANS)
def test_ranks_of_what_the_plan_lacks_are_refused_with_their_lines(
    tmp_path: Path, name: str
) -> None:
    lines = OF_ROWS + "Rang <Ä>,3,7\nRang,1,8\n"
    assert problems_of(tmp_path, lines, name) == [
        "ranks: ranks.csv: line 4: the plan has no section 'Rang <Ä>', row '3'",
        "ranks: ranks.csv: line 5: the plan has no section 'Rang', row '1'",
    ]


def test_ranks_that_miss_seats_are_refused_with_their_places(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "section,row,rank\nRang <Ä>,2,0\n") == [
        "ranks: ranks.csv: no rank for section 'Rang <Ä>', row '1' (line 2)"
    ]
    all_but_two = "\n".join(OF_SEATS.splitlines()[:3])
    assert problems_of(tmp_path, all_but_two, "own.json") == [
        f"ranks: ranks.csv: no rank for section 'Rang <Ä>', row '2', seat '{number}' "
        f"(sections[0].rows[1].seats[{number - 1}])"
        for number in (1, 2)
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("P,1,4\nP,2,4\n", "line 3: the rank 4 is used before, on line 2"),
        ("P,1,4\n P,1 ,5\n", "line 3: section 'P', row '1' has a rank before, on line 2"),
        ("P,1,-1\n", "line 2: '-1' is not a rank: a whole number, 0 to 10000000"),
        ("P,1,1.5\n", "line 2: '1.5' is not a rank: a whole number, 0 to 10000000"),
        ("P,1,10000001\n", "line 2: '10000001' is not a rank: a whole number, 0 to 10000000"),
        ("P,1,\n", "line 2: '' is not a rank: a whole number, 0 to 10000000"),
        ("P,,1\n", "line 2: the row is empty"),
        ("P,1\n", "line 2: 2 fields, not 3"),
        ("", "there are no ranks"),
    ],
)
def test_ranks_with_a_bad_line_are_refused_with_its_number(
    tmp_path: Path, lines: str, problem: str
) -> None:
    text = f"section,row,rank\n{lines}"
    assert problems_of(tmp_path, text) == [f"ranks: ranks.csv: {problem}"]


def test_ranks_with_a_bad_header_or_no_file_name_the_file(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "section,rank\n") == ["ranks: ranks.csv: line 1: no column 'row'"]
    with pytest.raises(PlanError, match=r"ranks: cannot read 'nowhere.csv': .*No such file"):
        read_ranks("nowhere.csv")


@pytest.mark.parametrize("text", ["0", "000", "007", "10000000", "0" * 50 + "3"])
def test_parse_rank_takes_leading_zeros(text: str) -> None:
    assert parse_rank("here", text) == int(text)


@pytest.mark.parametrize("text", ["٣", "²", "1e3", "9" * 5000])
def test_parse_rank_refuses_other_numbers(text: str) -> None:
    with pytest.raises(PlanError, match=r"here: .* is not a rank"):
        parse_rank("here", text)
