"""The one entry for plans: formats are detected, options fit their format, files can be read."""

import json
from pathlib import Path

import pytest

from engine.plans import PlanError, PlanOptions, parse_event, read_plan
from engine.plans import layout as layouts

SEAT = {"seat_guid": "1", "seat_number": "1", "position": {"x": 0, "y": 0}, "category": "A"}
PRETIX = {
    "name": "Theatre",
    "categories": [{"name": "A"}],
    "zones": [{"name": "Z", "position": {"x": 0, "y": 0}, "rows": [
        {"row_number": "1", "seats": [SEAT]},
    ]}],
}  # fmt: skip
OWN = {
    "name": "Gala",
    "categories": [{"id": "A", "name": "A", "priceMinor": 1}],
    "areas": [{"id": "floor", "name": "Floor", "category": "A", "capacity": 3}],
}
CSV = "section,row,number,category,price_minor\nP,1,1,A,5\n"


def written(folder: Path, name: str, content: object) -> str:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(file)


def test_read_plan_detects_the_format(tmp_path: Path) -> None:
    priced = PlanOptions(prices="5")
    assert read_plan(written(tmp_path, "a.json", OWN)).terms.name == "Gala"
    assert read_plan(written(tmp_path, "b.json", PRETIX), priced).terms.name == "Theatre"
    assert read_plan(written(tmp_path, "season.CSV", CSV)).terms.name == "season"


def test_read_plan_lets_options_win_in_every_format(tmp_path: Path) -> None:
    for name, content, prices in (("a", OWN, None), ("b", PRETIX, "5"), ("c.csv", CSV, None)):
        options = PlanOptions(name="Encore", currency="CHF", prices=prices)
        plan = read_plan(written(tmp_path, name, content), options)
        assert plan.terms.name == "Encore"
        assert plan.terms.currency == plan.layout.currency == "CHF"


def test_read_plan_reads_prices_from_a_file(tmp_path: Path) -> None:
    prices = written(tmp_path, "prices.csv", "category,price_minor\nA,700\n")
    plan = read_plan(written(tmp_path, "b.json", PRETIX), PlanOptions(prices=prices))
    assert plan.layout.categories[0].price_minor == 700


def test_parse_event_never_reads_prices_from_a_file(tmp_path: Path) -> None:
    prices = written(tmp_path, "prices.csv", "category,price_minor\nA,700\n")
    with pytest.raises(PlanError, match="is not a price in minor units"):
        parse_event(json.dumps(PRETIX).encode(), PlanOptions(prices=prices))


@pytest.mark.parametrize("options", [PlanOptions(prices="5"), PlanOptions(derive_ids=True)])
@pytest.mark.parametrize("source", ["own.json", "seats.csv", "venue:hall"])
def test_read_plan_with_pretix_options_for_another_format_is_refused(
    tmp_path: Path, source: str, options: PlanOptions
) -> None:
    if not source.startswith("venue:"):
        source = written(tmp_path, source, CSV if source.endswith(".csv") else OWN)
    with pytest.raises(PlanError, match="are for pretix plans"):
        read_plan(source, options)


@pytest.mark.parametrize(
    "options",
    [
        PlanOptions(name=""),
        PlanOptions(name="x" * 201),
        PlanOptions(name="Ga\0la"),
        PlanOptions(name="Gala\n"),
        PlanOptions(name="Gala\udcff"),  # what Python makes of a byte that is not UTF-8
        PlanOptions(currency="euro"),
    ],
)
def test_read_plan_with_an_option_out_of_range_names_it(
    tmp_path: Path, options: PlanOptions
) -> None:
    with pytest.raises(PlanError, match=r"not valid: (name|currency): Expected"):
        read_plan(written(tmp_path, "own.json", OWN), options)


@pytest.mark.parametrize("name", ["Opéra « Carmen » 😀", "ÅÄÖ  中文", "\u00a0"])
def test_read_plan_takes_a_name_of_any_letters(tmp_path: Path, name: str) -> None:
    options = PlanOptions(name=name)
    assert read_plan(written(tmp_path, "own.json", OWN), options).terms.name == name


def test_read_plan_of_a_file_name_that_is_no_text_names_the_name(tmp_path: Path) -> None:
    file = tmp_path / "gala\udcff.csv"
    file.write_text(CSV)
    with pytest.raises(PlanError, match="name: Expected `str` matching"):
        read_plan(str(file))


@pytest.mark.parametrize("content", [{"name": "Gala"}, PRETIX | {"zones": []}])
def test_read_plan_without_places_is_refused_and_parse_event_takes_it(
    tmp_path: Path, content: dict[str, object]
) -> None:
    options = PlanOptions(prices="5") if "zones" in content else PlanOptions()
    with pytest.raises(PlanError, match="no seats and no standing areas"):
        read_plan(written(tmp_path, "empty.json", content), options)
    layout = parse_event(json.dumps(content).encode(), options).layout
    assert layouts.capacity(layout) == 0


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("no-such-file.json", "cannot read 'no-such-file.json': .*No such file"),
        ("/", "cannot read '/': .*Is a directory"),
        ("a\0b", "cannot read 'a.*b': embedded null byte"),
    ],
)
def test_read_plan_that_cannot_be_read_names_the_file(source: str, problem: str) -> None:
    with pytest.raises(PlanError, match=problem):
        read_plan(source)


def test_read_plan_of_50_000_seats_in_our_own_json(tmp_path: Path) -> None:
    sections = [
        {
            "id": f"S{s}",
            "category": "A",
            "rows": [
                {"id": str(r), "seats": [{"number": str(n), "x": n, "y": r} for n in range(50)]}
                for r in range(20)
            ],
        }
        for s in range(50)
    ]
    plan = read_plan(written(tmp_path, "big.json", OWN | {"sections": sections}))
    assert len(layouts.values_of(plan.layout).map) == 50_000 + 50 * 20 - 1
    assert layouts.decode(layouts.encode(plan.layout)) == plan.layout
