"""Reads a plan in any format: detects the format and calls its reader.

A file ending in `.csv` is CSV. JSON with `zones` is a pretix plan, other JSON our own format.
`venue:<name>` is a generated venue.
"""

from pathlib import Path

import msgspec

from engine.plans.event_json import parse_event_json
from engine.plans.plan import NO_OPTIONS, Plan, PlanOptions
from engine.plans.pretix import parse_pretix
from engine.plans.prices import Prices, parse_prices, read_prices
from engine.plans.problems import PlanError, decode_json
from engine.plans.seat_csv import parse_seat_csv
from engine.plans.venues import make_venue

VENUE = "venue:"


def read_plan(source: str, options: PlanOptions = NO_OPTIONS) -> Plan:
    """Read a plan from a file, or make `venue:hall` or `venue:stadium`.

    Opens any file that `source` or the prices name: never pass text of an API client.
    Raises: PlanError, also for a file that cannot be read.
    """
    if source.startswith(VENUE):
        _refuse_pretix_options(options)
        _refuse_csv_options(options)
        return make_venue(source.removeprefix(VENUE), options)
    path = Path(source)
    try:
        body = path.read_bytes()
    except (OSError, ValueError) as error:
        raise PlanError([f"cannot read {source!r}: {error}"]) from error
    if path.suffix.lower() == ".csv":
        _refuse_pretix_options(options)
        return parse_seat_csv(body, path.stem, options)
    prices = None
    if options.prices is not None:
        prices = read_prices(options.prices, options.price_decimals, options.dialect)
    return _parse_json(body, prices, options, allow_empty=False)


def parse_event(body: bytes, options: PlanOptions = NO_OPTIONS) -> Plan:
    """Read an event sent to the API: our own JSON or a pretix plan. Opens no file.

    The event may have no seats: they can be added later. Raises PlanError.
    """
    prices = None if options.prices is None else parse_prices(options.prices)
    return _parse_json(body, prices, options, allow_empty=True)


def _parse_json(
    body: bytes, prices: Prices | None, options: PlanOptions, *, allow_empty: bool
) -> Plan:
    if "zones" in decode_json(body, dict[str, msgspec.Raw]):
        return parse_pretix(body, prices, options, allow_empty=allow_empty)
    _refuse_pretix_options(options)
    _refuse_csv_options(options)
    return parse_event_json(body, options, allow_empty=allow_empty)


def _refuse_pretix_options(options: PlanOptions) -> None:
    if options.derive_ids or options.prices is not None:
        raise PlanError(["prices and derived ids are for pretix plans; this plan has its own"])


def _refuse_csv_options(options: PlanOptions) -> None:
    of_csv = options.price_unit is not None
    if options.ranks is None:  # their file is CSV too
        of_csv |= options.delimiter is not None or options.encoding is not None
    if of_csv:
        raise PlanError(["delimiter, encoding and price unit are for CSV and for prices of pretix"])
