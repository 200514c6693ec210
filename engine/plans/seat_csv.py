"""Reads seats from CSV: one line for each seat, `section,row,number,category,price_minor`.

Sections and categories are names; their ids are derived from the names. The lines of a row can be
in any place of the file and in any order: `neighbours` puts its seats in order. Every line of a
category has its price, the same on each. `aisle` says that an aisle follows the seat.

`companion_of` has the number of the wheelchair place in the same row whose companion sits there.
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from engine.models import LayoutCategory, LayoutSeat
from engine.plans.builder import LayoutBuilder
from engine.plans.derived_ids import SeatLabel, distinct_ids, seat_ids
from engine.plans.labels import as_read
from engine.plans.neighbours import runs_of
from engine.plans.plan import NO_OPTIONS, Plan, PlanOptions, make_plan
from engine.plans.prices import parse_price, price_columns
from engine.plans.problems import PlanError
from engine.plans.ranks import parse_rank
from engine.plans.table import Record, read_table

REQUIRED = ("section", "row", "number", "category")
OPTIONAL = ("x", "y", "accessible", "aisle", "rank", "companion_of", "restricted_view")

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
    aisle: bool
    rank: int | UnsetType
    companion_of: str
    restricted_view: bool


def parse_seat_csv(body: bytes, name: str, options: PlanOptions = NO_OPTIONS) -> Plan:
    """Read a CSV of seats. `name` is the name of the event, which the CSV lacks.

    Raises: PlanError, with the number of each bad line.
    """
    builder = LayoutBuilder(ranks=options.ranks)
    lines = [*_valid_lines(body, options, builder.problems)]
    category_ids = _add_categories(builder, lines)
    sections: dict[str, dict[str, list[_Line]]] = {}
    for line in lines:
        rows = sections.setdefault(as_read(line.section), {})
        rows.setdefault(as_read(line.row), []).append(line)
    section_ids = distinct_ids(sections)
    wheelchair = _wheelchair_places(lines, section_ids)
    for section, rows in sections.items():
        first = next(iter(rows.values()))[0]
        builder.add_section(first.where, section_ids[section], first.section)
        for row_lines in rows.values():
            seats = [
                (
                    line.where,
                    _seat(
                        category_ids[as_read(line.category)],
                        line,
                        _companion_of(builder, line, wheelchair),
                    ),
                )
                for line in row_lines
            ]
            aisles = {line.where for line in row_lines if line.aisle}
            for run in runs_of(seats, aisles):
                builder.add_row(run[0][0], section_ids[section], row_lines[0].row, run)
    return make_plan(builder, {"name": name}, options)


def _valid_lines(body: bytes, options: PlanOptions, problems: list[str]) -> Iterator[_Line]:
    decimals = options.price_decimals
    columns = price_columns(REQUIRED, decimals, OPTIONAL)
    for number, record in read_table(body, columns, problems, options.dialect):
        try:
            yield _checked(f"line {number}", record, decimals)
        except PlanError as error:
            problems.extend(error.problems)


def _checked(where: str, record: Record, decimals: int | None) -> _Line:
    return _Line(
        where=where,
        section=record["section"],
        row=record["row"],
        number=record["number"],
        category=record["category"],
        price_minor=parse_price(where, record["price_minor"], decimals),
        x=_coordinate(where, record.get("x", "")),
        y=_coordinate(where, record.get("y", "")),
        accessible=_truth(where, "accessible", record),
        aisle=_truth(where, "aisle", record),
        rank=parse_rank(where, record["rank"]) if record.get("rank") else UNSET,
        companion_of=record.get("companion_of", ""),
        restricted_view=_truth(where, "restricted_view", record),
    )


def _truth(where: str, column: str, record: Record) -> bool:
    text = record.get(column, "")
    truth = _TRUTH.get(text.lower())
    if truth is None:
        raise PlanError([f"{where}: {column} is {text[:100]!r}, not yes or no"])
    return truth


def _coordinate(where: str, text: str) -> float | UnsetType:
    try:
        return float(text.replace(",", ".")) if text else UNSET
    except ValueError as error:
        raise PlanError([f"{where}: {text[:100]!r} is not a coordinate"]) from error


def _add_categories(builder: LayoutBuilder, lines: list[_Line]) -> dict[str, str]:
    first: dict[str, _Line] = {}
    for line in lines:
        known = first.setdefault(as_read(line.category), line)
        if known.price_minor != line.price_minor:
            builder.problems.append(
                f"{line.where}: category {line.category!r} costs {line.price_minor} here "
                f"and {known.price_minor} on {known.where}"
            )
    ids = distinct_ids(first)
    for name, line in first.items():
        category = LayoutCategory(id=ids[name], name=line.category, price_minor=line.price_minor)
        builder.add_category(line.where, category)
    return ids


def _wheelchair_places(lines: list[_Line], section_ids: dict[str, str]) -> dict[SeatLabel, str]:
    """The ids of the wheelchair places by their labels, if a line names one.

    No line has an id, so these are the ids that the builder derives.
    """
    if not any(line.companion_of for line in lines):
        return {}
    labels = [(section_ids[as_read(line.section)], *_label_of(line)[1:]) for line in lines]
    ids = seat_ids(labels, lambda _: False)
    return {
        _label_of(line): ids[label]
        for line, label in zip(lines, labels, strict=True)
        if line.accessible
    }


def _label_of(line: _Line) -> SeatLabel:
    return as_read(line.section), as_read(line.row), as_read(line.number)


def _companion_of(builder: LayoutBuilder, line: _Line, wheelchair: dict[SeatLabel, str]) -> str:
    if not line.companion_of:
        return ""
    section, row, _ = _label_of(line)
    found = wheelchair.get((section, row, as_read(line.companion_of)), "")
    if not found:
        builder.problems.append(
            f"{line.where}: companion_of {line.companion_of[:100]!r} is no wheelchair place "
            "of the same row"
        )
    elif line.accessible:
        builder.problems.append(f"{line.where}: a wheelchair place is not a companion's seat")
    return found


def _seat(category_id: str, line: _Line, companion_of: str) -> LayoutSeat:
    return LayoutSeat(
        id="",
        number=line.number,
        category=category_id,
        x=line.x,
        y=line.y,
        accessible=line.accessible,
        rank=line.rank,
        companion_of=companion_of,
        restricted_view=line.restricted_view,
    )
