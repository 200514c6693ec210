"""Prices for a plan that has none: from a file, or written in the option itself.

A pretix plan has the category of a seat and not its price. Only `read_prices` opens files; the API
passes a client's text to `parse_prices`, which opens none.

Prices are whole numbers of minor units. Where `decimals` are given they are in major units, and
converted digit by digit: no float has a part in it.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.plans.builder import PRICE_MINOR_MAX
from engine.plans.labels import as_read
from engine.plans.problems import PlanError, decode_text
from engine.plans.table import DETECTED, Columns, Dialect, read_table

Prices = dict[str, int] | int
"""Minor units by category name as it is read, or one price for every category."""

_DIGITS_MAX = len(str(PRICE_MINOR_MAX))
_DECIMAL = re.compile(r"([0-9]+)[.,]([0-9]+)")


def read_prices(text: str, decimals: int | None = None, dialect: Dialect = DETECTED) -> Prices:
    """Prices from a file, or from text as `parse_prices` takes it.

    The file is a JSON object of prices by category name, or CSV `category,price_minor`.
    Raises: PlanError with the file or the part that is wrong.
    """
    if _is_json(text) or "=" in text or _is_price(text):
        return parse_prices(text, decimals)
    try:
        return _from_file(Path(text).read_bytes(), decimals, dialect)
    except (OSError, ValueError) as error:
        raise PlanError([f"prices: cannot read {text[:100]!r}: {error}"]) from error
    except PlanError as error:
        raise PlanError([f"prices: {text}: {problem}" for problem in error.problems]) from error


def parse_prices(text: str, decimals: int | None = None) -> Prices:
    """Prices from text: `Stalls=5000,Box=9000`, `{"Stalls, left": 5000}`, or `5000` for all."""
    if _is_json(text):
        try:
            return _from_json(text, decimals)
        except PlanError as error:
            raise PlanError([f"prices: {problem}" for problem in error.problems]) from error
    if "=" not in text:
        return parse_price("prices", text, decimals)
    prices: dict[str, int] = {}
    for part in text.split(","):
        name, _, price = part.rpartition("=")
        if not name:
            hint = 'a name with a comma needs JSON: {"Stalls, left": 5000}'
            raise PlanError([f"prices: a price without a category; {hint}"])
        _set_price(prices, "prices", name, parse_price("prices", price, decimals))
    return prices


def parse_price(where: str, text: str, decimals: int | None = None) -> int:
    """A price in minor units, 0 to 10^12: digits, or with `decimals` an amount as 45.00 or 45,00.

    More decimals than the currency has are refused: `1.500` EUR may be 1,500 or 1.50.
    """
    text = text.strip()
    decimal = _DECIMAL.fullmatch(text) if decimals is not None else None
    whole, fraction = (decimal[1], decimal[2]) if decimal else (text, "")
    digits = whole + fraction.ljust(decimals or 0, "0")
    if not (whole.isascii() and whole.isdigit() and len(digits.lstrip("0")) <= _DIGITS_MAX):
        unit = "minor units" if decimals is None else "major units"
        hint = "; a price as 45.00 needs --price-unit major" if _DECIMAL.fullmatch(text) else ""
        raise PlanError([f"{where}: {text[:100]!r} is not a price in {unit}{hint}"])
    if len(fraction) > (decimals or 0):
        raise PlanError([f"{where}: {text[:100]!r} has more than {decimals} decimals"])
    return int(digits)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


def _is_price(text: str) -> bool:
    return text.strip().isdigit() or bool(_DECIMAL.fullmatch(text.strip()))


def _from_file(body: bytes, decimals: int | None, dialect: Dialect) -> Prices:
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return _from_json(decode_text(body), decimals)
    prices: dict[str, int] = {}
    problems: list[str] = []
    for line, record in read_table(body, price_columns(("category",), decimals), problems, dialect):
        where = f"line {line}"
        price = parse_price(where, record["price_minor"], decimals)
        _set_price(prices, where, record["category"], price)
    if problems:
        raise PlanError(problems)
    return prices


def _from_json(text: str, decimals: int | None) -> dict[str, int]:
    """A JSON object of numbers or texts. The standard json keeps each number as it is written."""
    try:
        pairs = json.loads(text, object_pairs_hook=list, parse_int=str, parse_float=str)
    except ValueError as error:
        raise PlanError([f"not JSON: {error}"]) from error
    except RecursionError as error:
        raise PlanError(["nested too deeply"]) from error
    return prices_of(pairs, decimals)


def prices_of(pairs: Iterable[tuple[str, object]], decimals: int | None = None) -> dict[str, int]:
    """Prices by category. Raises PlanError for a category that is there twice."""
    prices: dict[str, int] = {}
    for name, price in pairs:
        where = f"price of {name!r}"
        _set_price(prices, where, name, parse_price(where, str(price), decimals))
    return prices


def price_columns(
    required: Sequence[str], decimals: int | None, optional: Sequence[str] = ()
) -> Columns:
    """The columns of a table with prices. With prices in major units, theirs may be `price`."""
    return Columns(
        required=(*required, "price_minor"),
        optional=optional,
        renamed={} if decimals is None else {"price": "price_minor"},
        hints={"price": "it needs --price-unit major"},
    )


def _set_price(prices: dict[str, int], where: str, name: str, price: int) -> None:
    category = as_read(name)
    if not category:
        raise PlanError([f"{where}: a price without a category"])
    if category in prices:
        raise PlanError([f"{where}: category {name.strip()!r} has a price already"])
    prices[category] = price
