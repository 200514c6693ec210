"""CSV with a header, as a spreadsheet saves it: each record with the number of its line.

The csv module of the standard library handles quotes, line ends and commas within fields; this
module adds the checks, so that an error has its line number.
"""

import csv
import io
from collections.abc import Iterator, Sequence

from engine.plans.problems import PlanError, decode_text

Record = dict[str, str]


def read_table(
    body: bytes, required: Sequence[str], optional: Sequence[str], problems: list[str]
) -> Iterator[tuple[int, Record]]:
    """The line number and the fields, stripped, of each record; blank lines are skipped.

    Lines with more or fewer fields than the header go to `problems`.
    Raises: PlanError for a header that lacks required columns or has unknown ones.
    """
    lines = csv.reader(io.StringIO(decode_text(body), newline=""), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for fields in lines:
            values = [field.strip() for field in fields]
            if not any(values):
                pass
            elif header is None:
                header = _checked_header(line, values, required, optional)
            elif len(values) != len(header):
                problems.append(f"line {line}: {len(values)} fields, not {len(header)}")
            else:
                yield line, dict(zip(header, values, strict=True))
            # A quoted field may span lines: the number of a record is that of its first line.
            line = lines.line_num + 1
    except csv.Error as error:
        problems.append(f"line {line}: {error}")
    if header is None:
        problems.append(f"the file is empty: its first line must be {','.join(required)}")


def _checked_header(
    line: int, values: list[str], required: Sequence[str], optional: Sequence[str]
) -> list[str]:
    header = [value.lower() for value in values]
    problems = [f"line {line}: no column {name!r}" for name in required if name not in header]
    known = (*required, *optional)
    problems += [f"line {line}: unknown column {name!r}" for name in header if name not in known]
    if len(set(header)) != len(header):
        problems.append(f"line {line}: a column is there twice")
    if problems:
        raise PlanError(problems)
    return header
