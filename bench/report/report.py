"""From sections to files: `bench/results/<date>.json`, charts, and docs/performance.md.

The page is made from the results and never written by hand, so it cannot say what was not
measured. A run of some parts takes the others from the last results of this machine, and the page
tells of each when and at which commit it was measured. A quick run goes to a folder of its own.
"""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from bench.report import charts, page
from bench.report.section import BenchOptions, BenchSection, SectionRun
from bench.report.targets import TargetVerdict, judge

ROOT = Path(__file__).parents[2]
_VERSIONS = ("uvicorn", "starlette", "uvloop", "httptools", "redis", "hiredis", "asyncpg")


class BenchReport(Struct, frozen=True, kw_only=True):
    """All that was measured on one machine: on one day, and before that what was not since then."""

    at: str
    machine: dict[str, str]
    parts: list[SectionRun]
    verdicts: list[TargetVerdict]


class Places(NamedTuple):
    """Where a report is written."""

    results: Path
    page: Path
    charts: Path


def places(report_at: str, *, quick: bool, root: Path = ROOT) -> Places:
    """The repository's own places, or for a quick run a folder that git leaves out."""
    if quick:
        folder = root / "bench" / "results" / "quick"
        return Places(folder / "results.json", folder / "performance.md", folder / "performance")
    results = root / "bench" / "results" / f"{report_at[:10]}.json"
    return Places(results, root / "docs" / "performance.md", root / "docs" / "performance")


def describe(
    options: BenchOptions, sections: Sequence[BenchSection], parts: Sequence[str]
) -> BenchReport:
    """A report of this run alone."""
    command = ["python", "-m", "bench", *parts, *(["--quick"] if options.quick else [])]
    command += ["--rounds", str(options.rounds), "--seconds", f"{options.seconds:g}"]
    at, commit = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), _commit()
    measured = [SectionRun(at, commit, shlex.join(command), section) for section in sections]
    return BenchReport(at=at, machine=_machine(), parts=measured, verdicts=judge(sections))


def merged(new: BenchReport, earlier: BenchReport, order: Sequence[str]) -> BenchReport:
    """The new parts in place of the earlier ones of the same name."""
    found = {part.section.id: part for part in (*earlier.parts, *new.parts)}
    parts = [found[name] for name in order if name in found]
    return msgspec.structs.replace(new, parts=parts, verdicts=judge(part.section for part in parts))


def write(new: BenchReport, order: Sequence[str], where: Places) -> BenchReport:
    """Write the results, the charts and the page. What is written."""
    earlier = _earlier(where.results.parent, new.machine)
    report = merged(new, earlier, order) if earlier else new
    for path in where:
        path.parent.mkdir(parents=True, exist_ok=True)
    where.charts.mkdir(exist_ok=True)
    where.results.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    for part in report.parts:
        charts.draw_all(part.section, where.charts)
    lines = page.lines_of(report.machine, report.parts, report.verdicts)
    where.page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return report


def _earlier(results: Path, machine: dict[str, str]) -> BenchReport | None:
    """The last one of this machine. None of another version of this program: it is replaced."""
    for path in sorted(results.glob("*.json"), reverse=True):
        with suppress(msgspec.ValidationError):
            report = msgspec.json.decode(path.read_bytes(), type=BenchReport)
            if report.machine == machine:
                return report
    return None


def lines_of(section: BenchSection) -> Iterator[str]:
    """A section for the terminal."""
    for series in section.series:
        spread = f"{page.number(series.least)} to {page.number(series.most)}"
        yield f"  {page.number(series.median):>10} {series.unit:6} {series.says}  [{spread}]"
    yield from (f"  WRONG: {line}" for line in section.wrong)


def verdict_lines(report: BenchReport) -> Iterator[str]:
    """The targets that were measured, for the terminal."""
    for verdict in report.verdicts:
        if verdict.measured is not None:
            mark = ("reached" if verdict.reached else "MISSED") if verdict.target.bounded else ""
            figure = f"{page.number(verdict.measured):>10} ({verdict.target.bound})"
            yield f"{figure:28} {mark:8} {verdict.target.says}"


def _machine() -> dict[str, str]:
    libraries = ", ".join(f"{name} {version(name)}" for name in _VERSIONS)
    return {
        "cores": str(os.cpu_count()),
        "processor": f"{platform.machine()}, {_processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_version()} ({sys.implementation.name})",
        "libraries": libraries,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str:
    """The commit that is measured, `-dirty` when the files differ from it.

    Of no account is what a benchmark writes itself: parts are measured one run after the other.
    """
    git = ["git", "-C", str(ROOT)]
    told = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if told.returncode:
        return f"no checkout, {version('ticket-wars')}"
    written = [f":!{path}" for path in ("bench/results", "docs/performance.md", "docs/performance")]
    status = [*git, "status", "--porcelain", "-uno", "--", ".", *written]
    changed = subprocess.run(status, capture_output=True).stdout.strip()
    return told.stdout.strip() + ("-dirty" if changed else "")
