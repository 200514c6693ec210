"""Writes the table of docs/reliability.md from the results of the last runs; the rest is prose."""

from pathlib import Path
from typing import Any

from tests.faults.catalogue import TRIALS, Entry

BEGIN = "<!-- table: made by `make faults` -->\n"
END = "<!-- end of the table -->\n"
_HEAD = (
    "| trial | injected | must hold | held | run | seed |",
    "|---|---|---|---|---|---|",
)


def write(path: Path, results: dict[str, Any]) -> None:
    """Put the table between its marks."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(before + BEGIN + "\n" + made(results) + "\n" + END + after, encoding="utf-8")


def made(results: dict[str, Any]) -> str:
    """The table, then a line for each thing that was measured."""
    rows = [_row(entry, results.get(entry.name)) for entry in TRIALS]
    figures = [
        f"- **{entry.name}** {told['injected_count']:,} x {told['injected']}: {told['figure']}."
        for entry in TRIALS
        for test in (results.get(entry.name) or {"tests": []})["tests"]
        for told in test["told"]
    ]
    return "\n".join((*_HEAD, *rows, "", "### Figures", "", *figures, ""))


def _row(entry: Entry, result: dict[str, Any] | None) -> str:
    if result is None:
        held, run, seed = "-", entry.elsewhere or "not run in its long form yet", "-"
    else:
        tests = result["tests"]
        held = "yes" if all(test["held"] for test in tests) else "**no**"
        seconds = sum(test["seconds"] for test in tests)
        run = f"{result['at']}, factor {result['factor']:g}, {seconds:.0f} s"
        seed = ", ".join(sorted({str(test["seed"]) for test in tests}))
    return f"| {entry.name} | {entry.injected} | {entry.holds} | {held} | {run} | {seed} |"
