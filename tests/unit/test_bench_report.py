"""From sections to files: what was missed, not measured or wrong is on the page."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from bench.report import page, report
from bench.report.section import BenchOptions, BenchSection, Chart, Figures
from bench.report.targets import TARGETS, judge

ORDER = ["holds", "memory"]


def section(hold_per_s: float, *wrong: str) -> BenchSection:
    figures = Figures()
    for value in (hold_per_s - 1, hold_per_s, hold_per_s + 1):
        figures.add("hold/always/1", "holds", "/s", value)
        figures.add("hold/bare/1", "bare", "/s", 1000)
    bars = ["hold/always/1", "hold/bare/1", "of no series"]
    lines = {"holds": ["hold/always/1", "hold/bare/1"]}
    return BenchSection(
        id="holds",
        title="Holds",
        what="Some holds.",
        series=figures.series,
        wrong=[*wrong],
        charts=[
            Chart(name="bars", title="Bars", unit="a second", bars=bars),
            Chart(name="lines", title="Lines", unit="us", xs=[1, 1000], lines=lines),
        ],
        conditions={"appendfsync": "always"},
    )


def memory(bytes_a_seat: float) -> BenchSection:
    figures = Figures()
    figures.add("memory/free", "free", "bytes", bytes_a_seat)
    return BenchSection(id="memory", title="Memory", what="", series=figures.series, wrong=[])


@pytest.mark.parametrize(("per_s", "reached"), [(550, True), (549, False)])
def test_a_ratio_of_medians_is_compared_with_its_bound(per_s: float, reached: bool) -> None:
    verdict = judge([section(per_s)])[0]
    assert verdict.target.least == 0.55
    assert verdict.measured == pytest.approx(per_s / 1000)
    assert verdict.reached is reached


@pytest.mark.parametrize(("used", "reached"), [(120, True), (121, False)])
def test_a_bound_from_above_is_one_too(used: float, reached: bool) -> None:
    (verdict,) = (v for v in judge([memory(used)]) if v.target.of == "memory/free")
    assert verdict.reached is reached


def test_target_that_was_not_measured_is_not_reached() -> None:
    verdicts = judge([])
    assert len(verdicts) == len(TARGETS)
    assert not any(verdict.reached or verdict.measured is not None for verdict in verdicts)


def test_what_has_no_bound_is_shown_and_not_judged(tmp_path: Path) -> None:
    figures = Figures()
    for name, value in (("engine", 8), ("for_update", 1), ("for_update_function", 2)):
        figures.add(f"rival/{name}", name, "/s", value)
    rivals = BenchSection(id="holds", title="", what="", series=figures.series, wrong=[])
    new = report.describe(BenchOptions(), [rivals], [])
    report.write(new, ORDER, where := report.places(new.at, quick=False, root=tmp_path))
    assert "its best form | - | 4 | - |" in where.page.read_text()
    assert "applications write it | ≥ 8 | 8 | yes |" in where.page.read_text()
    marks = [line.split(")")[1].split()[0] for line in report.verdict_lines(new)]
    assert marks == ["reached", "the"]


def test_the_commit_is_named_and_whether_the_files_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        author = ("-c", "user.name=ann", "-c", "user.email=ann@localhost")
        command = ["git", "-C", str(tmp_path), *author, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.setattr(report, "ROOT", tmp_path)
    assert "no checkout" in report._commit()
    for path in ("code.py", "docs/performance.md"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("first")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    commit = git("rev-parse", "--short", "HEAD")
    (tmp_path / "docs" / "performance.md").write_text("measured")
    assert report._commit() == commit
    (tmp_path / "code.py").write_text("changed")
    assert report._commit() == f"{commit}-dirty"


def test_written_files_tell_all(tmp_path: Path) -> None:
    new = report.describe(
        BenchOptions(rounds=3), [section(400, "17 connections failed")], ["holds"]
    )
    where = report.places(new.at, quick=False, root=tmp_path)
    report.write(new, ORDER, where)
    text = where.page.read_text()
    assert "| 0.40 | **no** |" in text
    assert "| not measured | - |" in text
    assert "17 connections failed" in text
    assert "python -m bench holds --rounds 3" in text
    assert "appendfsync: always" in text
    assert "| holds | 400 | 399 to 401 | /s |" in text
    for name in ("bars", "lines"):
        svg = (where.charts / f"{name}.svg").read_text()
        assert f"performance/{name}.svg" in text
        assert svg.startswith("<?xml")
        assert name.title() in svg
    assert where.results.name == f"{new.at[:10]}.json"
    assert where.page == tmp_path / "docs" / "performance.md"


def test_a_part_measured_again_replaces_itself_alone(tmp_path: Path) -> None:
    options = BenchOptions()
    first = report.describe(options, [section(400), memory(46)], [])
    where = report.places(first.at, quick=False, root=tmp_path)
    report.write(first, ORDER, where)
    again = report.write(report.describe(options, [section(600)], ["holds"]), ORDER, where)
    assert [part.section.id for part in again.parts] == ORDER
    measured = {v.target.of: v.measured for v in again.verdicts}
    assert measured["hold/always/1"] == pytest.approx(0.6)
    assert measured["memory/free"] == 46
    assert "No part had 5xx" in where.page.read_text()


def test_what_was_measured_yesterday_stays_on_the_page_of_this_machine(tmp_path: Path) -> None:
    old, new = (report.describe(BenchOptions(), [one], []) for one in (memory(46), section(400)))
    for day, part in (("2026-11-21", old), ("2026-11-22", new)):
        written = report.write(part, ORDER, report.places(day, quick=False, root=tmp_path))
    assert [part.section.id for part in written.parts] == ORDER
    other = msgspec.structs.replace(new, machine={"cores": "64"})
    where = report.places("2026-11-23", quick=False, root=tmp_path)
    assert report.write(other, ORDER, where) == other


def test_the_same_results_draw_the_same_charts(tmp_path: Path) -> None:
    new = report.describe(BenchOptions(), [section(400)], [])
    drawn = []
    for _ in range(2):
        where = report.places(new.at, quick=False, root=tmp_path)
        report.write(new, ORDER, where)
        drawn.append((where.charts / "bars.svg").read_bytes())
    assert drawn[0] == drawn[1]


def test_results_of_another_version_are_replaced(tmp_path: Path) -> None:
    new = report.describe(BenchOptions(), [memory(46)], [])
    where = report.places(new.at, quick=False, root=tmp_path)
    where.results.parent.mkdir(parents=True)
    where.results.write_text('{"of": "another version"}')
    assert report.write(new, ORDER, where) == new


def test_a_quick_run_leaves_the_page_alone(tmp_path: Path) -> None:
    where = report.places("2030-01-01T00:00:00Z", quick=True, root=tmp_path)
    assert {path.relative_to(tmp_path).parts[:3] for path in where} == {
        ("bench", "results", "quick")
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [(12345.6, "12,346"), (46.23, "46.2"), (0.554, "0.55"), (2000, "2,000"), (3, "3")],
)
def test_figures_have_the_digits_they_deserve(value: float, shown: str) -> None:
    assert page.number(value) == shown
