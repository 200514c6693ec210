"""`make mutants` and the Lua half of `make coverage`: the long forms, written to docs/.

mutants   every bug the rules make in every script, first against the quick checks and the model,
          which run here, then, if it lives, against the tests of the scripts
coverage  which branches of the scripts the tests take
"""

import argparse
import asyncio
import json
import math
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from embedded import servers
from engine import Engine, Settings
from tests.model.machine import Stage
from tests.mutants.checks import CHECKS, catches
from tests.mutants.equivalent import EQUIVALENT, why_equivalent
from tests.mutants.lua_branches import all_instrumented, branches_of, taken
from tests.mutants.lua_source import Change, changed, digest_of, files, scripts_with
from tests.mutants.mutator import mutants_of
from tests.mutants.planted import PLANTED, planting
from tests.mutants.planted_python import PLANTED_PYTHON

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "reliability-mutants.json"
PAGE = ROOT / "docs" / "reliability.md"
MUTANTS = "<!-- mutants: made by `make mutants` -->\n", "<!-- end of mutants -->\n"
COVERAGE = "<!-- coverage: made by `make coverage` -->\n", "<!-- end of coverage -->\n"
SUITE = ("tests/lua", "tests/races/test_last_seat.py", "tests/unit/test_engine.py")
RESTORED = ("fence_event.lua", "restore_event.lua", "reopen_event.lua")
RESTORES = "tests/persistence/test_restorer.py"
COVERED_BY = (
    *("tests/lua", "tests/model", "tests/mutants", "tests/races"),
    RESTORES,
)
_SUITE_S_MAX = 300


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("what", choices=("mutants", "coverage"))
    parser.add_argument(
        "--changed", action="store_true",
        help="only the scripts whose code has changed since the last run, and those with survivors",
    )  # fmt: skip
    asked = parser.parse_args()
    if asked.what == "coverage":
        sys.exit(_coverage())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="mutants-")))
        server = servers.start(folder, redis=True, postgres=False)
        stack.callback(server.stop)
        runner = stack.enter_context(asyncio.Runner())
        settings = Settings(redis_url=server.redis_url, jwt_secret="s" * 48)
        stage = Stage(runner, runner.run(Engine.connect(settings)))
        sys.exit(_mutants(stage, changed_only=asked.changed))


def _mutants(stage: Stage, *, changed_only: bool) -> int:
    """What becomes of every mutant of each script; 1 if anything lives."""
    last: dict[str, Any] = {}
    if changed_only:
        last = json.loads(RESULTS.read_text(encoding="utf-8"))["scripts"]
    missed = _planted(stage)
    scripts = {}
    for file in files():
        digest = digest_of(file)
        known = last.get(file)
        if known is None or known["digest"] != digest or known["survivors"]:
            known = {"digest": digest} | _tried(stage, file)
        scripts[file] = known
    found: dict[str, Any] = {
        "planted": {"made": len(PLANTED) + len(PLANTED_PYTHON), "missed": missed},
        "scripts": scripts,
        "equivalent": [f"{known.file} {known.what}: {known.why}" for known in EQUIVALENT],
    }
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    lines = _told(found)
    _put(lines, *MUTANTS)
    print("\n".join(lines))
    return 1 if missed or len(lines) > 1 else 0


def _tried(stage: Stage, file: str) -> dict[str, Any]:
    """What becomes of the mutants of one script."""
    made, equivalent, survivors, began_s = mutants_of(file), 0, [], time.monotonic()
    for change in made:
        if _is_caught(stage, change):
            continue
        if why_equivalent(change):
            equivalent += 1
            continue
        survivors.append(f"{change.file}:{change.line} {change.what}")
        print(f"  lives: {survivors[-1]}", flush=True)
    print(f"{file}: {len(made)} in {time.monotonic() - began_s:.0f} s", flush=True)
    caught = len(made) - equivalent - len(survivors)
    return {"caught": caught, "equivalent": equivalent, "survivors": survivors}


def _told(found: dict[str, Any]) -> list[str]:
    """The lines of the page."""
    planted, scripts = found["planted"], found["scripts"].values()
    right = planted["made"] - len(planted["missed"])
    caught, equivalent = (sum(one[name] for one in scripts) for name in ("caught", "equivalent"))
    lives = [survivor for one in scripts for survivor in one["survivors"]]
    return [
        f"Planted by name: caught {right}/{planted['made']}. Made by rule (every one): caught "
        f"{caught}/{caught + len(lives)}, and {equivalent} that change "
        "nothing observable (`tests/mutants/equivalent.py` has the reasons).",
        *(f"- missed: {name}" for name in planted["missed"]),
        *(f"- lives: `{survivor}`" for survivor in lives),
    ]


def _put(lines: list[str], begin: str, end: str) -> None:
    """Into the page, in place of what is there between two marks."""
    head, rest = PAGE.read_text(encoding="utf-8").split(begin, 1)
    text = head + begin + "\n".join(lines) + "\n" + end + rest.split(end, 1)[1]
    PAGE.write_text(text, encoding="utf-8")


def _planted(stage: Stage) -> list[str]:
    missed = []
    for bug in PLANTED:
        with planting(bug):
            if not catches(bug.seen_by, stage):
                missed.append(bug.name)
    for name, (patch, seen_by) in PLANTED_PYTHON.items():
        with patch():
            if not catches(seen_by, stage):
                missed.append(name)
    print(f"planted: {len(missed)} missed of {len(PLANTED) + len(PLANTED_PYTHON)}", flush=True)
    return missed


def _is_caught(stage: Stage, change: Change) -> bool:
    """By one of the checks, or by the tests of the scripts."""
    with scripts_with({change.file: changed(change)}) as folder:
        if any(catches(name, stage) for name in CHECKS):
            return True
        tests = (*SUITE, RESTORES) if change.file in RESTORED else SUITE
        return _suite(folder, "-x", *tests).returncode != 0


def _suite(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.plugin"]
    return subprocess.run(
        [*command, "--lua-folder", str(folder), *more],
        cwd=ROOT, capture_output=True, text=True, timeout=_SUITE_S_MAX,
    )  # fmt: skip


def _coverage() -> int:
    with TemporaryDirectory(prefix="branches-") as logs, scripts_with(all_instrumented()) as lua:
        ran = _suite(lua, f"--basetemp={logs}/t", "-o", "timeout=600", *COVERED_BY)
        hits = taken(Path(logs))
    print("\n".join(ran.stdout.splitlines()[-3:]))
    branches = [branch for file in files() for branch in branches_of(file)]
    missed = [branch for branch in branches if (branch.file, branch.number) not in hits]
    taken_count = len(branches) - len(missed)
    lines = [f"{_of_python()} {_taken('Lua', 'branches', taken_count, len(branches))}"]
    lines += [f"- not taken: `lua/{one.file}:{one.line}` {one.what}" for one in missed]
    _put(lines, *COVERAGE)
    print("\n".join(lines))
    return ran.returncode


def _of_python() -> str:
    """What the last `coverage run` said. Raises: CalledProcessError if there was none."""
    command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", "-"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    totals = json.loads(said)["totals"]
    lines = _taken("Python", "lines", totals["covered_lines"], totals["num_statements"])
    branches = _taken("Python", "branches", totals["covered_branches"], totals["num_branches"])
    return f"{lines} {branches}"


def _taken(language: str, what: str, taken_count: int, count: int) -> str:
    percent = math.floor(1000 * taken_count / count) / 10
    return f"{language}: {taken_count:,} of {count:,} {what}, {percent} %."


if __name__ == "__main__":
    main()
