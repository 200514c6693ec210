"""The catalogue of trials, the tests that are marked as such, and the page agree."""

import re
from pathlib import Path

from tests.faults.catalogue import TRIALS
from tests.faults.page import made

ROOT = Path(__file__).parents[2]
MARK = re.compile(r"^@pytest\.mark\.trial\(\"(\w+)\"\)", re.MULTILINE)


def _marked() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found.update(MARK.findall(path.read_text(encoding="utf-8")))
    return found


def test_every_trial_has_a_test_or_says_why_not() -> None:
    assert {entry.name for entry in TRIALS if not entry.elsewhere} == _marked() - _told_elsewhere()


def _told_elsewhere() -> set[str]:
    return {entry.name for entry in TRIALS if entry.elsewhere}


def test_page_has_a_row_for_every_trial_and_none_that_failed() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\w+) \| .* \| ([^|]*) \| [^|]* \| [^|]* \|$", page, re.MULTILINE))
    assert {entry.name for entry in TRIALS} <= rows.keys()
    assert "**no**" not in rows.values()


def test_table_says_what_failed_and_what_was_not_run() -> None:
    told = {"injected_count": 3, "injected": "a fault", "figure": "lost 1"}
    test = {"trial": "T01", "test": "t", "held": False, "seed": 7, "seconds": 2.0, "told": [told]}
    table = made({"T01": {"at": "now", "factor": 1.0, "tests": [test]}})
    assert "| **no** | now, factor 1, 2 s | 7 |" in table
    assert "- **T01** 3 x a fault: lost 1." in table
    assert "| not run: this release promises nothing of replicas" in table
