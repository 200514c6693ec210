"""`python -m bench [PART ...]`: measure, and write results, charts and docs/performance.md.

Exit code 1 when a check fails (a double sale, a failed call, holds that did not happen): then the
figures are worthless. A ratio that is missed is told on the page and fails nothing: it depends on
the machine, and on what else it does.
"""

import argparse
import asyncio
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module

from bench.report import report
from bench.report.section import BenchOptions, BenchSection
from bench.rig import callgrind, ceiling
from engine import logs

PARTS = {
    "ceilings": "bench.suites.ceilings",
    "engine": "bench.suites.engine",
    "ablations": "bench.suites.ablations",
    "holds": "bench.suites.holds",
    "fights": "bench.suites.fights",
    "pairs": "bench.suites.pairs",
    "availability": "bench.suites.availability",
    "baselines": "bench.suites.baselines",
    "growth": "bench.suites.growth",
    "best": "bench.suites.best",
    "expiry": "bench.suites.expiry",
    "writer": "bench.suites.writer",
    "overload": "bench.suites.overload",
    "logins": "bench.suites.logins",
    "webhooks": "bench.suites.webhooks",
    "memory": "bench.suites.memory",
    "restart": "bench.suites.restart",
    "additions": "bench.suites.additions",
    "hoards": "bench.suites.hoards",
    "instructions": "bench.suites.instructions",
}
PACKAGES = {
    "ceilings": (ceiling.PROGRAM, "redis-tools"),
    "engine": (ceiling.PROGRAM, "redis-tools"),
    "instructions": (callgrind.PROGRAM, callgrind.PROGRAM),
}
"""The program that a part needs, and the Debian package that has it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the parts asked for, in the order of the report."""
    asked = _asked(arguments)
    options = BenchOptions(rounds=asked.rounds, seconds=asked.seconds, quick=asked.quick)
    wanted = [name for name in PARTS if name in asked.part or not asked.part]
    missing = [name for name in wanted if name in PACKAGES and not shutil.which(PACKAGES[name][0])]
    for name in missing:
        program, package = PACKAGES[name]
        print(f"{name}: {program} is missing: apt-get install {package}")
    if missing:
        return 2
    logs.configure("error")
    sections = [_measure(name, options) for name in wanted]
    told = report.describe(options, sections, wanted if asked.part else [])
    if not asked.no_report:
        where = report.places(told.at, quick=options.quick)
        told = report.write(told, list(PARTS), where)
        print(f"\nwritten: {where.results}, {where.page}")
    print("\n" + "\n".join(report.verdict_lines(told)))
    forgotten = [verdict.target.says for verdict in told.verdicts if verdict.measured is None]
    if forgotten and not asked.part and not options.quick:
        print("\n".join(f"WRONG: not measured: {says}" for says in forgotten))
        return 1
    return 1 if any(section.wrong for section in sections) else 0


def _measure(name: str, options: BenchOptions) -> BenchSection:
    """One part; one that breaks off is told on the page, and the others go on."""
    began_s = time.monotonic()
    try:
        section: BenchSection = asyncio.run(import_module(PARTS[name]).measure(options))
    except Exception as error:
        traceback.print_exc()
        wrong = [f"broke off: {error!r}"]
        section = BenchSection(id=name, title=name, what="It broke off.", series=[], wrong=wrong)
    print(f"\n{section.title} ({time.monotonic() - began_s:.0f} s)", flush=True)
    print("\n".join(report.lines_of(section)), flush=True)
    return section


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of: {', '.join(PARTS)}; none: all")
    parser.add_argument("--rounds", type=int, help="turns of each part, 5 without it")
    parser.add_argument("--seconds", type=float, help="of one volley, 2 without it")
    parser.add_argument("--quick", action="store_true", help="small and once: does it run?")
    parser.add_argument("--no-report", action="store_true", help="print, and write no file")
    found = parser.parse_args(arguments)
    unknown = [name for name in found.part if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}")
    found.rounds = found.rounds or (1 if found.quick else 5)
    found.seconds = found.seconds or (1.0 if found.quick else 2.0)
    return found


if __name__ == "__main__":
    sys.exit(main())
