"""Prices beside a plan: written out, or in a side file."""

from pathlib import Path

import pytest

from engine.plans import PlanError, PlanOptions, PriceUnit
from engine.plans.builder import PRICE_MINOR_MAX
from engine.plans.prices import Prices, parse_price, parse_prices, read_prices

JSON_HINT = 'a name with a comma needs JSON: {"Stalls, left": 5000}'


@pytest.mark.parametrize(
    ("text", "prices"),
    [
        ("5000", 5000),
        (" 0 ", 0),
        ("Stalls=5000", {"Stalls": 5000}),
        ("Parkett vorne = 5000 , Box=0", {"Parkett vorne": 5000, "Box": 0}),
        ("a=b=3", {"a=b": 3}),
        ('{"Parkett, Reihe 1-5": 4500, "a=b": "7"}', {"Parkett, Reihe 1-5": 4500, "a=b": 7}),
        ('{"Re\u0301gie ": 1}', {"R\u00e9gie": 1}),
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
        (
            "Stalls=49.00",
            "prices: '49.00' is not a price in minor units; "
            "a price as 45.00 needs --price-unit major",
        ),
        ("=5", f"prices: a price without a category; {JSON_HINT}"),
        ("Parkett, Reihe 1=5", f"prices: a price without a category; {JSON_HINT}"),
        ('{"": 5}', "prices: price of '': a price without a category"),
        ('{"A": 5, "A ": 5}', "prices: price of 'A ': category 'A' has a price already"),
        ('{"A": 5', "prices: not JSON: Expecting ',' delimiter: line 1 column 8 (char 7)"),
        ('{"A": true}', "prices: price of 'A': 'True' is not a price in minor units"),
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
        ('{"Box": ', "not JSON: Expecting value"),
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


@pytest.mark.parametrize(
    ("currency", "text", "minor"),
    [
        ("EUR", "45,00", 4500),
        ("EUR", "45.5", 4550),
        ("EUR", "0.29", 29),
        ("EUR", "10000000000.00", PRICE_MINOR_MAX),
        ("JPY", "4500", 4500),
        ("BHD", "4,500", 4500),
        ("BHD", "0.001", 1),
        ("CLF", "1.0001", 10001),
    ],
)
def test_parse_price_in_major_units_is_exact(currency: str, text: str, minor: int) -> None:
    options = PlanOptions(currency=currency, price_unit=PriceUnit.MAJOR)
    assert parse_price("p", text, options.price_decimals) == minor


@pytest.mark.parametrize(
    ("currency", "text", "problem"),
    [
        ("EUR", "1.500", "p: '1.500' has more than 2 decimals"),
        ("JPY", "45.00", "p: '45.00' has more than 0 decimals"),
        ("EUR", "1.234,50", "p: '1.234,50' is not a price in major units"),
        ("EUR", "45,", "p: '45,' is not a price in major units"),
        ("EUR", "-45.00", "p: '-45.00' is not a price in major units"),
        ("EUR", "1e3", "p: '1e3' is not a price in major units"),
        ("EUR", "9" * 5000, f"p: '{'9' * 100}' is not a price in major units"),
    ],
)
def test_parse_price_in_major_units_refuses_what_is_not_exact(
    currency: str, text: str, problem: str
) -> None:
    options = PlanOptions(currency=currency, price_unit=PriceUnit.MAJOR)
    with pytest.raises(PlanError) as caught:
        parse_price("p", text, options.price_decimals)
    assert caught.value.problems == (problem,)


def test_read_prices_in_major_units_keeps_the_digits_of_json(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text('{"Box": 45.10, "Stalls": 8}')
    assert read_prices(str(file), 2) == {"Box": 4510, "Stalls": 800}
    assert read_prices('{"Box": 0.29}', 2) == {"Box": 29}
    assert read_prices("45.10", 2) == 4510
