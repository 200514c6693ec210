"""The reference of the Postgres schema, read from the migrations with the comments they carry.

The migrations rather than a database: what a column means stands there and nowhere else, and the
site is built without a server. They are read as they are written in this repository, one column a
line; a test compares what comes out with a real migrated database, column by column.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_COLUMN = re.compile(r"(?P<name>[a-z_]+)\s+(?P<definition>.*)")
_WORDS = re.compile(r"(PRIMARY KEY|UNIQUE|CHECK|FOREIGN KEY|CONSTRAINT|EXCLUDE)\b")


@dataclass
class Table:
    """A table as the migrations leave it."""

    name: str
    doc: str
    columns: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Column -> its definition and what the comment says."""
    constraints: list[str] = field(default_factory=list)
    indexes: dict[str, str] = field(default_factory=dict)


def schema_page(folder: Path) -> str:
    """The page, as Markdown."""
    parts = [
        "# Postgres schema\n",
        "The tables as `engine migrate` leaves them, made from `persistence/migrations/`. Times "
        "named `…_ms` are milliseconds since the epoch by Redis' clock; money is in minor units. "
        "The table `migrations` says which files were applied, with their checksums.\n",
    ]
    for table in read_tables(folder).values():
        parts.append(f"## {table.name}\n\n{_escaped(table.doc)}\n")
        parts.append("| column | definition | |\n|---|---|---|")
        for name, (definition, comment) in table.columns.items():
            parts.append(f"| `{name}` | `{_cell(definition)}` | {_escaped(_cell(comment))} |")
        parts.append("")
        extras = [*table.constraints, *(f"{n}: {text}" for n, text in table.indexes.items())]
        parts += [f"- `{line}`" for line in extras] + [""]
    return "\n".join(parts)


def read_tables(folder: Path) -> dict[str, Table]:
    """Every table, after all migrations. Raises ValueError for a statement it does not know."""
    tables: dict[str, Table] = {}
    for path in sorted(folder.glob("*.sql")):
        for doc, statement in _statements(path.read_text(encoding="utf-8")):
            _apply(tables, doc, statement)
    return tables


def _statements(text: str) -> Iterator[tuple[str, str]]:
    """Each statement with the comment above it; a comment with nothing below is passed over."""
    doc: list[str] = []
    lines: list[str] = []
    for line in text.splitlines():
        if not lines and line.startswith("--"):
            doc.append(line.removeprefix("--").strip())
        elif not lines and not line.strip():
            doc = []
        else:
            lines.append(line)
            whole = "\n".join(lines)
            code = re.sub(r"--.*", "", line).rstrip()
            if code.endswith(";") and whole.count("$$") % 2 == 0:
                yield " ".join(doc), whole
                doc, lines = [], []


def _apply(tables: dict[str, Table], doc: str, statement: str) -> None:
    flat = " ".join(re.sub(r"--.*", "", statement).split()).removesuffix(";")
    match flat.split()[:3]:
        case ["CREATE", "TABLE", name]:
            tables[name] = _table(name, doc, statement)
        case ["ALTER", "TABLE", name]:
            tables[name].doc = f"{tables[name].doc} {doc}".strip()
            _alter(tables[name], statement)
        case ["CREATE", "VIEW", name]:
            listed = flat.partition(" AS SELECT ")[2].partition(" FROM ")[0].split(", ")
            tables[name] = Table(name, doc, dict.fromkeys(listed, ("of a view", "")))
        case ["CREATE", "INDEX" | "UNIQUE", _]:
            if match := re.search(r"INDEX (\w+) ON (\w+ .*)", flat):
                unique = "unique, " if "UNIQUE" in flat else ""
                tables[match[2].split()[0]].indexes[match[1]] = f"{unique}on {match[2]}"
        case ["DROP", "INDEX", name]:
            for one in tables.values():
                one.indexes.pop(name, None)
        case ["COMMENT", "ON", "COLUMN"]:
            if match := re.search(r"COLUMN (\w+)\.(\w+) IS '(.*)'", flat):
                columns = tables[match[1]].columns
                columns[match[2]] = columns[match[2]][0], match[3]
        case ["CREATE" | "DROP", "FUNCTION" | "TRIGGER" | "OR", _]:
            pass
        case ["INSERT" | "UPDATE" | "DELETE", *_]:
            pass  # what the tables are does not change
        case _:
            raise ValueError(f"the schema page does not know: {flat[:80]}")


def _table(name: str, doc: str, statement: str) -> Table:
    table = Table(name, doc)
    body = statement[statement.index("(") + 1 : statement.rindex(")")]
    for definition, comment in _items(body):
        _add(table, definition, comment)
    return table


def _alter(table: Table, statement: str) -> None:
    body = statement.partition(table.name)[2].replace(";", "")
    for definition, comment in _items(body):
        if match := re.match(r"DROP CONSTRAINT (\w+)", definition):
            _drop_constraint(table, match[1])
        elif match := re.match(r"DROP (?:COLUMN )?(\w+)", definition):
            table.columns.pop(match[1])
        elif match := re.match(r"ALTER COLUMN (\w+) TYPE (\w+)", definition):
            was, said = table.columns[match[1]]
            table.columns[match[1]] = re.sub(r"^\w+", match[2], was), said
        elif match := re.match(r"ALTER COLUMN (\w+) (DROP|SET) NOT NULL", definition):
            was, said = table.columns[match[1]]
            null = was.replace(" NOT NULL", "")
            table.columns[match[1]] = (null if match[2] == "DROP" else f"{null} NOT NULL"), said
        elif match := re.match(r"ADD (?:COLUMN )?(.*)", definition):
            _add(table, match[1], comment)
        else:
            raise ValueError(f"the schema page does not know: {definition}")


def _drop_constraint(table: Table, name: str) -> None:
    """A constraint in a column's own line has the name that Postgres gives it."""
    column, _, kind = name.removeprefix(f"{table.name}_").rpartition("_")
    if kind == "pkey" and not column:
        for own, (was, said) in table.columns.items():
            table.columns[own] = was.replace(" PRIMARY KEY", ""), said
        table.constraints = [c for c in table.constraints if not c.startswith("PRIMARY KEY")]
    elif column in table.columns:
        was, said = table.columns[column]
        ends = {"check": " CHECK ", "fkey": " REFERENCES "}[kind]
        table.columns[column] = was.partition(ends)[0], said
    else:
        table.constraints = [one for one in table.constraints if f"CONSTRAINT {name} " not in one]


def _add(table: Table, definition: str, comment: str) -> None:
    found = _COLUMN.match(definition)
    if _WORDS.match(definition) or not found:
        table.constraints.append(definition)
    else:
        table.columns[found["name"]] = (found["definition"], comment)


def _items(body: str) -> Iterator[tuple[str, str]]:
    """What stands between the commas of a list, one an item, with the comment behind it."""
    code, comment, depth = "", "", 0
    for line in [*body.splitlines(), ","]:
        text, _, said = line.partition("--")
        comment = f"{comment} {said.strip()}".strip()
        for letter in text + " ":
            depth += (letter == "(") - (letter == ")")
            code += letter
        if depth == 0 and code.rstrip().endswith(","):
            if definition := " ".join(code.rstrip()[:-1].split()):
                yield definition, comment
            code, comment = "", ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")
