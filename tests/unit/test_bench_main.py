"""The command: which parts it runs, and when its exit code says that something is wrong."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from bench import __main__ as command
from bench.report import report
from bench.report.section import BenchOptions, BenchSection, Figures


class _Part(ModuleType):
    """A part that measures one figure, finds something wrong, or breaks off."""

    def __init__(self, name: str, *wrong: str, breaks: bool = False) -> None:
        super().__init__(f"fake_{name}")
        self._id, self._wrong, self._breaks = name, wrong, breaks
        self.rounds: list[int] = []

    async def measure(self, options: BenchOptions) -> BenchSection:
        if self._breaks:
            raise OSError("the disk is full")
        self.rounds.append(options.rounds)
        figures = Figures()
        figures.add(self._id, "a figure", "/s", 1)
        return BenchSection(
            id=self._id, title=self._id, what="", series=figures.series, wrong=[*self._wrong]
        )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reports are written there."""
    places = report.places("2030-01-01", quick=True, root=tmp_path)
    monkeypatch.setattr(report, "places", lambda *_, **__: places)
    return tmp_path


def _offer(monkeypatch: pytest.MonkeyPatch, *parts: _Part) -> None:
    for part in parts:
        monkeypatch.setitem(sys.modules, part.__name__, part)
    names = {part.__name__.removeprefix("fake_"): part.__name__ for part in parts}
    monkeypatch.setattr(command, "PARTS", names)


def test_the_parts_asked_for_are_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _Part("first"), _Part("second")
    _offer(monkeypatch, first, second)
    assert command.main(["second", "--rounds", "7"]) == 0
    assert (first.rounds, second.rounds) == ([], [7])
    assert next(folder.rglob("performance.md")).exists()


def test_a_check_that_fails_is_an_exit_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, _Part("first", "a seat was sold twice"), _Part("second"))
    assert command.main(["--quick"]) == 1
    assert "a seat was sold twice" in next(folder.rglob("performance.md")).read_text()


def test_a_part_that_fails_is_reported_and_the_others_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = _Part("second")
    _offer(monkeypatch, _Part("first", breaks=True), second)
    assert command.main(["--quick"]) == 1
    assert second.rounds == [1]
    assert "the disk is full" in next(folder.rglob("performance.md")).read_text()


def test_a_missed_target_is_no_failure_but_an_unmeasured_one_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _offer(monkeypatch, _Part("writer/sold"))
    assert command.main(["writer/sold"]) == 0
    assert "MISSED" in capsys.readouterr().out
    assert command.main([]) == 1
    assert "not measured: hold over HTTP" in capsys.readouterr().out


def test_a_part_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, _Part("first"))
    with pytest.raises(SystemExit, match="2"):
        command.main(["nonsense"])


def test_every_part_can_be_imported() -> None:
    for module in command.PARTS.values():
        assert callable(import_module(module).measure)


def test_a_part_whose_program_is_missing_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert command.main(["instructions"]) == 2
    assert (
        capsys.readouterr().out == "instructions: valgrind is missing: apt-get install valgrind\n"
    )
