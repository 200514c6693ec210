"""CSV with a header, as a spreadsheet saves it: each record with the number of its line.

The csv module of the standard library handles quotes, line ends and delimiters within fields; this
module finds the encoding and the delimiter and adds the checks, so that an error has its line
number. Encoding: a byte order mark or zero bytes tell UTF-16, everything else must be UTF-8 unless
it is named, because a wrong guess among the old encodings would garble names without a word.
Delimiter: a first line `sep=;`, else the one that splits the header into known columns.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from engine.plans.problems import PlanError, decode_text

Record = dict[str, str]

DELIMITERS = ",;\t|"

_SEP = re.compile(r'"?sep=([^"\w\s]|\t)"?[,;\t|]*')
"""The line in which Excel reads and writes the delimiter."""


class Dialect(Struct, frozen=True):
    """How a CSV is written. None is detected."""

    delimiter: str | None = None
    encoding: str | None = None


DETECTED = Dialect()


class Columns(Struct, frozen=True):
    """The columns a table may have. `renamed` maps another name of a column to its own."""

    required: Sequence[str]
    optional: Sequence[str] = ()
    renamed: dict[str, str] = {}
    hints: dict[str, str] = {}
    """What to do about a column that is unknown."""

    @property
    def known(self) -> set[str]:
        """All names that the header may have."""
        return {*self.required, *self.optional, *self.renamed}


def read_table(
    body: bytes, columns: Columns, problems: list[str], dialect: Dialect = DETECTED
) -> Iterator[tuple[int, Record]]:
    """The line number and the fields, stripped, of each record; blank lines are skipped.

    Empty columns at the end are ignored. Lines with more or fewer fields than the header go to
    `problems`. Raises: PlanError for text that cannot be decoded, and for a header that lacks
    required columns or has unknown ones.
    """
    text = _decoded(body, dialect.encoding)
    named = _SEP.fullmatch(text.partition("\n")[0].rstrip("\r"))
    delimiter = dialect.delimiter or (named[1] if named else _detected(text, columns))
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for fields in lines:
            values = [field.strip() for field in fields]
            if not any(values) or (named and line == 1):
                pass
            elif header is None:
                header = _checked_header(line, _without_empty_end(values, 0), columns)
            elif len(values := _without_empty_end(values, len(header))) != len(header):
                problems.append(f"line {line}: {len(values)} fields, not {len(header)}")
            else:
                yield line, dict(zip(header, values, strict=True))
            # A quoted field may span lines: the number of a record is that of its first line.
            line = lines.line_num + 1
    except csv.Error as error:
        problems.append(f"line {line}: {error}")
    if header is None:
        first = ",".join(columns.required)
        problems.append(f"the file is empty: its first line must be {first}")


def _decoded(body: bytes, encoding: str | None) -> str:
    if encoding is None:
        if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = "utf-16"
        elif b"\0" in body[:2]:  # an ASCII header without a byte order mark
            encoding = "utf-16-be" if body.startswith(b"\0") else "utf-16-le"
        else:
            hint = "; name the encoding of the file, as --encoding cp1252"
            return decode_text(body, hint)
    try:
        return body.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise PlanError([f"there is no encoding {encoding!r}"]) from error
    except ValueError as error:
        raise PlanError([f"not {encoding}: {error}"]) from error


def _detected(text: str, columns: Columns) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")

    def known_count(delimiter: str) -> int:
        names = {name.strip(' "').lower() for name in header.split(delimiter)}
        return len(names & columns.known)

    return max(DELIMITERS, key=known_count)


def _without_empty_end(values: list[str], least: int) -> list[str]:
    end = len(values)
    while end > least and not values[end - 1]:
        end -= 1
    return values[:end]


def _checked_header(line: int, values: list[str], columns: Columns) -> list[str]:
    names = [value.lower() for value in values]
    header = [columns.renamed.get(name, name) for name in names]
    missing = [name for name in columns.required if name not in header]
    problems = [f"line {line}: no column {name!r}" for name in missing]
    for name in names:
        if name not in columns.known:
            hint = columns.hints.get(name)
            problems.append(f"line {line}: unknown column {name!r}" + (f": {hint}" if hint else ""))
    if len(set(header)) != len(header):
        problems.append(f"line {line}: a column is there twice")
    if problems and len(header) == 1:
        problems.append(f"line {line}: one column only; name its --delimiter, as --delimiter ';'")
    if problems:
        raise PlanError(problems)
    return header
