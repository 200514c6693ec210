"""Writes the table of modules in ARCHITECTURE.md from the opening of each docstring.

    python -m manual.modules

A test compares the page with this, so a module says what it is in one place only.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("engine", "api", "persistence", "embedded", "cli", "bench", "manual")
BEGIN, END = "<!-- modules: made by `make modules` -->\n", "<!-- end of modules -->"


def page(text: str) -> str:
    """ARCHITECTURE.md with its table of modules made again. Raises ValueError without the marks."""
    before, found, rest = text.partition(BEGIN)
    if not found or END not in rest:
        raise ValueError(f"ARCHITECTURE.md lacks {BEGIN.strip()} or {END}")
    tables = "\n".join(table for name in PACKAGES for table in _tables(ROOT / name))
    return f"{before}{BEGIN}\n{tables}\n{END}{rest.partition(END)[2]}"


def _tables(folder: Path) -> Iterator[str]:
    """One table per package, the inner packages after their parent."""
    modules = sorted(p for p in folder.glob("*.py") if p.stem not in ("__init__", "__main__"))
    name = ".".join(folder.relative_to(ROOT).parts)
    rows = [f"| `{path.stem}` | {_opening(path)} |" for path in modules]
    head = [f"### {name}", "", _opening(folder / "__init__.py"), ""]
    yield "\n".join(head + (["| module | is |", "|---|---|", *rows, ""] if rows else []))
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield from _tables(inner)


def _opening(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split()).replace("|", "\\|")


if __name__ == "__main__":
    architecture = ROOT / "ARCHITECTURE.md"
    made = page(architecture.read_text(encoding="utf-8"))
    architecture.write_text(made, encoding="utf-8")
