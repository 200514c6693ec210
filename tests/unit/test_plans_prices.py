"""Prices beside a plan: written out, or in a side file."""

from pathlib import Path

import pytest

from engine.plans import PlanError
from engine.plans.prices import Prices, parse_prices, read_prices


@pytest.mark.parametrize(
    ("text", "prices"),
    [
        ("5000", 5000),
        (" 0 ", 0),
        ("Stalls=5000", {"Stalls": 5000}),
        ("Parkett vorne = 5000 , Box=0", {"Parkett vorne": 5000, "Box": 0}),
        ("a=b=3", {"a=b": 3}),
    ],
)
def test_parse_prices_reads_what_is_written_out(text: str, prices: Prices) -> None:
    assert parse_prices(text) == prices
    assert read_prices(text) == prices


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "prices: '' is not a price in minor units"),
        ("free", "prices: 'free' is not a price in minor units"),
        ("²", "prices: '²' is not a price in minor units"),
        ("Stalls=", "prices: '' is not a price in minor units"),
        ("Stalls=49.00", "prices: '49.00' is not a price in minor units"),
        ("=5", "prices: a price without a category"),
        ("Stalls=5,", "prices: a price without a category"),
        ("Stalls=5,Stalls=6", "prices: category 'Stalls' has a price already"),
    ],
)
def test_parse_prices_with_a_flaw_names_it(text: str, problem: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_prices(text)
    assert caught.value.problems == (problem,)


def test_parse_prices_opens_no_file(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("category,price_minor\nStalls,5000\n")
    with pytest.raises(PlanError, match="is not a price"):
        parse_prices(str(file))


@pytest.mark.parametrize(
    "content",
    [
        '{"Parkett vorne": 5000, "Box": 0}',
        '\ufeff\n {"Parkett vorne": "5000", "Box": 0}',
        "category,price_minor\nParkett vorne,5000\nBox,0\n",
        '\ufeffprice_minor,category\r\n5000,"Parkett vorne"\r\n\r\n0,Box\r\n',
    ],
)
def test_read_prices_reads_a_side_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "prices"
    file.write_text(content)
    assert read_prices(str(file)) == {"Parkett vorne": 5000, "Box": 0}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"Box": 4.5}', "price of 'Box': '4.5' is not a price in minor units"),
        ('{"Box": true}', "price of 'Box': 'True' is not a price in minor units"),
        ('{"Box": ', "not JSON: Input data was truncated"),
        ("category,price\n", "line 1: no column 'price_minor'"),
        ("category,price_minor\nBox,1\nBox,2\n", "line 3: category 'Box' has a price already"),
        ("category,price_minor\nBox,1,2\n", "line 2: 3 fields, not 2"),
        ("category,price_minor\n,1\n", "line 2: a price without a category"),
        ("", "the file is empty"),
    ],
)
def test_read_prices_of_a_bad_file_names_file_and_place(
    tmp_path: Path, content: str, problem: str
) -> None:
    file = tmp_path / "prices"
    file.write_text(content)
    with pytest.raises(PlanError) as caught:
        read_prices(str(file))
    assert caught.value.problems[0].startswith(f"prices: {file}: {problem}")


@pytest.mark.parametrize("text", ["no/such/file.csv", "/", "a\0b", "x" * 5000])
def test_read_prices_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="prices: cannot read"):
        read_prices(text)
