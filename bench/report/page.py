"""docs/performance.md, made from the results: first the targets, then every part."""

from collections.abc import Iterator, Sequence

from bench.report.section import SectionRun, Series
from bench.report.targets import TargetVerdict

HEAD = """\
# Performance

<!-- Made by `make bench` from bench/results/. Change bench/report/page.py, not this page. -->

Ratios of medians of one run can be compared between machines and days; absolute figures cannot.
Compared series are measured in turns, and a different one starts each round. The load generator
runs on the same machine and takes its share of the cores, for the bare endpoints too. After every
load, holds and sales are counted in Redis, the engine's invariants are verified, Redis is
reconciled with Postgres, and failed calls are counted. A run with any finding ends with exit code
1, and its figures are worthless.

    make bench                    # all of it, about 25 minutes
    python -m bench holds fights  # some parts; the results of the others stay
    python -m bench --quick       # a small smoke test

[bench/README.md](../bench/README.md) says how the parts are measured. `bench/results/` has the
figure of every round.
"""


def lines_of(
    machine: dict[str, str], parts: Sequence[SectionRun], verdicts: Sequence[TargetVerdict]
) -> Iterator[str]:
    """The page."""
    yield HEAD
    yield from _conditions(machine, parts)
    yield from _verdicts(verdicts)
    yield from _wrong(parts)
    for part in parts:
        yield from _section(part)


def number(value: float) -> str:
    """A figure with a sensible number of digits."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _conditions(machine: dict[str, str], parts: Sequence[SectionRun]) -> Iterator[str]:
    yield "## Conditions"
    yield ""
    yield "| | |"
    yield "|---|---|"
    commits = sorted({part.commit for part in parts})
    runs = sorted({(part.at, part.command) for part in parts})
    for name, value in machine.items():
        yield f"| {name} | {value} |"
    yield f"| commit | {', '.join(commits)} |"
    for at, command in runs:
        yield f"| run, {at} | `{command}` |"
    yield ""


def _verdicts(verdicts: Sequence[TargetVerdict]) -> Iterator[str]:
    yield "## Targets"
    yield ""
    yield "| ratio of medians, or median | target | measured | reached |"
    yield "|---|---|---|---|"
    for verdict in verdicts:
        target = verdict.target
        measured = "not measured" if verdict.measured is None else number(verdict.measured)
        yield f"| {target.says} | {target.bound} | {measured} | {_reached(verdict)} |"
    yield ""


def _reached(verdict: TargetVerdict) -> str:
    if verdict.measured is None or not verdict.target.bounded:
        return "-"
    return "yes" if verdict.reached else "**no**"


def _wrong(parts: Sequence[SectionRun]) -> Iterator[str]:
    wrong = [f"- {part.section.title}: {line}" for part in parts for line in part.section.wrong]
    if not wrong:
        yield "No part had 5xx, failed connections, double sales, broken invariants or differences."
    else:
        yield "**Failed checks. The figures of these parts are worthless:**"
        yield ""
        yield from wrong
    yield ""


def _section(part: SectionRun) -> Iterator[str]:
    section = part.section
    yield f"## {section.title}"
    yield ""
    yield section.what
    yield ""
    yield from (f"{note}\n" for note in section.notes)
    for chart in section.charts:
        yield f"![{chart.title}](performance/{chart.name}.svg)"
        yield ""
    yield "| measured | median | least to greatest | unit |"
    yield "|---|---:|---:|---|"
    yield from (_row(series) for series in section.series)
    yield ""
    conditions = ", ".join(f"{name}: {value}" for name, value in section.conditions.items())
    rounds = max((len(series.values) for series in section.series), default=0)
    yield f"Measured {part.at} at {part.commit}, rounds: {rounds}. {conditions}"
    yield ""


def _row(series: Series) -> str:
    spread = f"{number(series.least)} to {number(series.most)}"
    return f"| {series.says} | {number(series.median)} | {spread} | {series.unit} |"
