"""Reads the ranks of an organiser: CSV `section,row,rank` or `section,row,number,rank`.

0 is the best rank. A file has either the ranks of rows or those of seats, and no rank twice.
Sections are named as in the plan: by their names, not their ids.
"""

from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from engine.models import RANK_MAX
from engine.plans.labels import as_read
from engine.plans.problems import PlanError
from engine.plans.table import DETECTED, Columns, Dialect, Record, read_table

COLUMNS = Columns(required=("section", "row", "rank"), optional=("number",))


class RankedPlace(NamedTuple):
    """A row, or a seat if there is a `number`: its labels as they are read."""

    section: str
    row: str
    number: str = ""

    def __str__(self) -> str:
        seat = f", seat {self.number!r}" if self.number else ""
        return f"section {self.section!r}, row {self.row!r}{seat}"


class Ranks(Struct, frozen=True):
    """The ranks of one file. `lines` has the number of each one's line."""

    source: str
    of_seats: bool
    by_place: dict[RankedPlace, int]
    lines: dict[RankedPlace, int]

    def place_of(self, section: str, row: str, number: str) -> RankedPlace:
        """What the file names of a seat: the seat, or its row."""
        labels = as_read(section), as_read(row)
        return RankedPlace(*labels, as_read(number)) if self.of_seats else RankedPlace(*labels)


def read_ranks(file: str, dialect: Dialect = DETECTED) -> Ranks:
    """The ranks in a file. Raises PlanError with the file and the line of each problem."""
    try:
        return _parsed(file, Path(file).read_bytes(), dialect)
    except (OSError, ValueError) as error:
        raise PlanError([f"ranks: cannot read {file[:100]!r}: {error}"]) from error
    except PlanError as error:
        raise PlanError([f"ranks: {file}: {problem}" for problem in error.problems]) from error


def parse_rank(where: str, text: str) -> int:
    """A rank, 0 to 10,000,000. Raises PlanError."""
    digits = text.lstrip("0") or text[:1]
    if text.isascii() and text.isdigit() and len(digits) <= len(str(RANK_MAX)):
        rank = int(digits)
        if rank <= RANK_MAX:
            return rank
    raise PlanError([f"{where}: {text[:100]!r} is not a rank: a whole number, 0 to {RANK_MAX}"])


def _parsed(file: str, body: bytes, dialect: Dialect) -> Ranks:
    problems: list[str] = []
    ranks = Ranks(file, False, {}, {})
    first_lines: dict[int, int] = {}
    for line, record in read_table(body, COLUMNS, problems, dialect):
        if "number" in record and not ranks.of_seats:
            ranks = Ranks(file, True, ranks.by_place, ranks.lines)
        try:
            place, rank = _checked(line, record)
        except PlanError as error:
            problems.extend(error.problems)
            continue
        if place in ranks.lines:
            problems.append(f"line {line}: {place} has a rank before, on line {ranks.lines[place]}")
            continue
        if rank in first_lines:
            problems.append(
                f"line {line}: the rank {rank} is used before, on line {first_lines[rank]}"
            )
        first_lines.setdefault(rank, line)
        ranks.by_place[place], ranks.lines[place] = rank, line
    if not ranks.by_place and not problems:
        problems.append("there are no ranks")
    if problems:
        raise PlanError(problems)
    return ranks


def _checked(line: int, record: Record) -> tuple[RankedPlace, int]:
    labels = {name: as_read(text) for name, text in record.items() if name != "rank"}
    for name, text in labels.items():
        if not text:
            raise PlanError([f"line {line}: the {name} is empty"])
    place = RankedPlace(labels["section"], labels["row"], labels.get("number", ""))
    return place, parse_rank(f"line {line}", record["rank"])
