"""`make faults`: the trials in their long form, and their table in docs/reliability.md.

    python -m tests.faults.run [--factor 1] [--seed N] [--only T05 --only T06] [--hour]

The tests are the same as `make test` runs, with more rounds; the rows of the page that were not run
stay as they were. Exits with what pytest said.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults import page
from tests.faults.catalogue import TRIALS
from tests.faults.test_clocks import find_library

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests" / "faults" / "results.json"


def main() -> int:
    """Run, keep, and write the page."""
    asked = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "lines"
        environ = {**os.environ, "FAULTS_FACTOR": str(asked.factor), "FAULTS_RESULTS": str(lines)}
        environ |= {"FAULTS_ONLY": " ".join(asked.only)}
        environ |= {"FAULTS_SEED": str(asked.seed)} if asked.seed else {}
        environ |= {"FAULTS_CHAOS_S": "3600"} if asked.hour else {}
        marks = "trial" if find_library() else "trial and not faketime"
        command = [sys.executable, "-m", "pytest", "-q", "-m", marks, "--timeout", "7200", "tests"]
        code = subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode
        found = [json.loads(line) for line in lines.read_text().splitlines()]
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    ran = {line["trial"] for line in found}
    kept |= {name: _result(name, found, asked.factor) for name in sorted(ran)}
    RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    page.write(ROOT / "docs" / "reliability.md", kept)
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run")
    parser.add_argument("--factor", type=float, default=1.0, help="times the long rounds")
    parser.add_argument("--seed", type=int, help="of a run to be seen again")
    names = [entry.name for entry in TRIALS]
    parser.add_argument("--only", action="append", default=[], choices=names)
    parser.add_argument("--hour", action="store_true", help="T30 for 60 minutes")
    return parser.parse_args()


def _result(name: str, found: list[dict[str, object]], factor: float) -> dict[str, object]:
    """All that one trial's tests said, and under which conditions."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "at": now.strftime("%Y-%m-%d %H:%M"),
        "factor": factor,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "tests": [line for line in found if line["trial"] == name],
    }


if __name__ == "__main__":
    sys.exit(main())
