"""Prices for a plan that has none: from a file, or written in the option itself.

A pretix plan has the category of a seat and not its price. Only `read_prices` opens files; the API
passes a client's text to `parse_prices`, which opens none.
"""

from pathlib import Path

from engine.plans.builder import PRICE_MINOR_MAX
from engine.plans.problems import PlanError, decode_json
from engine.plans.table import read_table

Prices = dict[str, int] | int
"""Minor units by category name, or one price for every category."""


def read_prices(text: str) -> Prices:
    """Prices from a file, or from text as `parse_prices` takes it.

    The file is a JSON object of minor units by category name, or CSV `category,price_minor`.
    Raises: PlanError with the file or the part that is wrong.
    """
    if "=" in text or text.strip().isdigit():
        return parse_prices(text)
    try:
        return _from_file(Path(text).read_bytes())
    except (OSError, ValueError) as error:
        raise PlanError([f"prices: cannot read {text[:100]!r}: {error}"]) from error
    except PlanError as error:
        raise PlanError([f"prices: {text}: {problem}" for problem in error.problems]) from error


def parse_prices(text: str) -> Prices:
    """Prices from text: `Stalls=5000,Box=9000`, or `5000` for every category."""
    if "=" not in text:
        return parse_price("prices", text)
    prices: dict[str, int] = {}
    for part in text.split(","):
        name, _, price = part.rpartition("=")
        _set_price(prices, "prices", name.strip(), price)
    return prices


def parse_price(where: str, text: str) -> int:
    """A price in minor units: digits only, 0 to 1,000,000,000."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(PRICE_MINOR_MAX))):
        raise PlanError([f"{where}: {text.strip()[:100]!r} is not a price in minor units"])
    return int(digits)


def _from_file(body: bytes) -> Prices:
    prices: dict[str, int] = {}
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        for name, price in decode_json(body, dict[str, object]).items():
            _set_price(prices, f"price of {name!r}", name, str(price))
    else:
        problems: list[str] = []
        for line, record in read_table(body, ("category", "price_minor"), (), problems):
            _set_price(prices, f"line {line}", record["category"], record["price_minor"])
        if problems:
            raise PlanError(problems)
    return prices


def _set_price(prices: dict[str, int], where: str, name: str, price: str) -> None:
    if not name:
        raise PlanError([f"{where}: a price without a category"])
    if name in prices:
        raise PlanError([f"{where}: category {name!r} has a price already"])
    prices[name] = parse_price(where, price)
