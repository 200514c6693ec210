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
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from engine import Engine, Settings
from engine.embedded import servers
from tests.model.machine import Stage
from tests.mutants.checks import CHECKS, catches
from tests.mutants.equivalent import EQUIVALENT, why_equivalent
from tests.mutants.lua_branches import all_instrumented, branches_of, taken
from tests.mutants.lua_source import Change, changed, files, scripts_with
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
    parser.add_argument("--sample", type=int, default=0, help="so many of them; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument(
        "--again", action="store_true", help="only what lived the last time, the scripts unchanged"
    )
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
        sys.exit(_again(stage) if asked.again else _mutants(stage, asked.sample, asked.seed))


def _mutants(stage: Stage, sample: int, seed: int) -> int:
    made = [change for file in files() for change in mutants_of(file)]
    if sample:
        made = sorted(Random(seed).sample(made, min(sample, len(made))))
    return _tell(_planted(stage), _made(stage, made) | {"seed": seed if sample else None})


def _again(stage: Stage) -> int:
    """Try those that lived once more: a test was written since, and the scripts are the same."""
    last = json.loads(RESULTS.read_text(encoding="utf-8"))["generated"]
    every = [change for file in files() for change in mutants_of(file)]
    assert len(every) == last["made"], "the scripts have changed: run all of them"
    now = _made(stage, [change for change in every if _name(change) in last["survivors"]])
    caught_by = Counter(last["caught_by"])
    caught_by["nothing"] -= len(last["survivors"])
    counts = {name: last[name] + now[name] for name in ("equivalent", "caught")}
    caught_by.update(now["caught_by"])
    return _tell(
        _planted(stage),
        last | counts | {"caught_by": dict(caught_by), "survivors": now["survivors"]},
    )


def _made(stage: Stage, made: list[Change]) -> dict[str, Any]:
    """What became of mutants."""
    caught_by: Counter[str] = Counter()
    survivors, equivalent, began_s = [], 0, time.monotonic()
    for number, change in enumerate(made, 1):
        killer = _killer(stage, change)
        caught_by[killer or "nothing"] += 1
        if killer is None and why_equivalent(change):
            equivalent += 1
        elif killer is None:
            survivors.append(_name(change))
            print(f"  lives: {survivors[-1]}", flush=True)
        if number % 50 == 0:
            print(f"{number}/{len(made)}, {time.monotonic() - began_s:.0f} s", flush=True)
    return {
        "made": len(made),
        "equivalent": equivalent,
        "caught": len(made) - equivalent - len(survivors),
        "caught_by": dict(caught_by),
        "survivors": survivors,
    }


def _name(change: Change) -> str:
    return f"{change.file}:{change.line} {change.what}"


def _tell(missed: list[str], made: dict[str, Any]) -> int:
    """Keep the figures and write the page; 1 if anything lives."""
    found: dict[str, Any] = {
        "planted": {"made": len(PLANTED) + len(PLANTED_PYTHON), "missed": missed},
        "generated": made,
        "equivalent": [f"{known.file} {known.what}: {known.why}" for known in EQUIVALENT],
    }
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    _write_page(found)
    print(json.dumps({name: made[name] for name in ("made", "equivalent", "caught", "caught_by")}))
    return 1 if missed or made["survivors"] else 0


def _write_page(found: dict[str, Any]) -> None:
    """Put the figures between their marks in the page."""
    planted, made = found["planted"], found["generated"]
    right = planted["made"] - len(planted["missed"])
    drawn = "every one" if made["seed"] is None else f"{made['made']} of them, seed {made['seed']}"
    told = made["made"] - made["equivalent"]
    lines = [
        f"Planted by name: caught {right}/{planted['made']}. Made by rule ({drawn}): caught "
        f"{made['caught']}/{told}, and {made['equivalent']} that change "
        "nothing anybody can see (`tests/mutants/equivalent.py` has the reasons).",
        *(f"- lives: `{survivor}`" for survivor in made["survivors"]),
    ]
    _put(lines, *MUTANTS)


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


def _killer(stage: Stage, change: Change) -> str | None:
    """The check that catches it, or None."""
    with scripts_with({change.file: changed(change)}) as folder:
        for name in CHECKS:
            if catches(name, stage):
                return name
        tests = (*SUITE, RESTORES) if change.file in RESTORED else SUITE
        return "suite" if _suite(folder, "-x", *tests).returncode else None


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
