"""Reads seats from CSV: one line for each seat, `section,row,number,category,price_minor`.

Sections and categories are names; their ids are derived from the names. The lines of a row can be
in any place of the file. Every line of a category has its price, the same on each.
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from engine.models import LayoutCategory, LayoutSeat
from engine.plans.builder import LayoutBuilder
from engine.plans.derived_ids import distinct_ids, seat_id
from engine.plans.plan import NO_OPTIONS, Plan, PlanOptions, make_plan
from engine.plans.prices import parse_price
from engine.plans.problems import PlanError
from engine.plans.table import Record, read_table

REQUIRED = ("section", "row", "number", "category", "price_minor")
OPTIONAL = ("x", "y", "accessible")

_TRUTH = {"": False, "0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}


class _Line(NamedTuple):
    where: str
    section: str
    row: str
    number: str
    category: str
    price_minor: int
    x: float | UnsetType
    y: float | UnsetType
    accessible: bool


def parse_seat_csv(body: bytes, name: str, options: PlanOptions = NO_OPTIONS) -> Plan:
    """Read a CSV of seats. `name` is the name of the event, which the CSV lacks.

    Raises: PlanError, with the number of each bad line.
    """
    builder = LayoutBuilder()
    lines = [*_valid_lines(body, builder.problems)]
    category_ids = _add_categories(builder, lines)
    rows: dict[str, dict[str, list[_Line]]] = {}
    for line in lines:
        rows.setdefault(line.section, {}).setdefault(line.row, []).append(line)
    for section_id, (section, lines_by_row) in zip(distinct_ids(rows), rows.items(), strict=True):
        builder.add_section(next(iter(lines_by_row.values()))[0].where, section_id, section)
        for row, row_lines in lines_by_row.items():
            seats = [
                (line.where, _seat(section_id, category_ids[line.category], line))
                for line in row_lines
            ]
            builder.add_row(row_lines[0].where, section_id, row, seats)
    return make_plan(builder, {"name": name}, options)


def _valid_lines(body: bytes, problems: list[str]) -> Iterator[_Line]:
    for number, record in read_table(body, REQUIRED, OPTIONAL, problems):
        try:
            yield _checked(f"line {number}", record)
        except PlanError as error:
            problems.extend(error.problems)


def _checked(where: str, record: Record) -> _Line:
    accessible = _TRUTH.get(record.get("accessible", "").lower())
    if accessible is None:
        raise PlanError([f"{where}: accessible is {record['accessible']!r}, not yes or no"])
    return _Line(
        where=where,
        section=record["section"],
        row=record["row"],
        number=record["number"],
        category=record["category"],
        price_minor=parse_price(where, record["price_minor"]),
        x=_coordinate(where, record.get("x", "")),
        y=_coordinate(where, record.get("y", "")),
        accessible=accessible,
    )


def _coordinate(where: str, text: str) -> float | UnsetType:
    try:
        return float(text) if text else UNSET
    except ValueError as error:
        raise PlanError([f"{where}: {text[:100]!r} is not a coordinate"]) from error


def _add_categories(builder: LayoutBuilder, lines: list[_Line]) -> dict[str, str]:
    first: dict[str, _Line] = {}
    for line in lines:
        known = first.setdefault(line.category, line)
        if known.price_minor != line.price_minor:
            builder.problems.append(
                f"{line.where}: category {line.category!r} costs {line.price_minor} here "
                f"and {known.price_minor} on {known.where}"
            )
    ids = dict(zip(first, distinct_ids(first), strict=True))
    for name, line in first.items():
        category = LayoutCategory(id=ids[name], name=name, price_minor=line.price_minor)
        builder.add_category(line.where, category)
    return ids


def _seat(section_id: str, category_id: str, line: _Line) -> LayoutSeat:
    return LayoutSeat(
        id=seat_id(section_id, line.row, line.number),
        number=line.number,
        category=category_id,
        x=line.x,
        y=line.y,
        accessible=line.accessible,
    )
