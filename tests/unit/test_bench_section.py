"""Series and turns: a median has its spread, and no turn is always first."""

import pytest

from bench.report.section import BenchOptions, Figures, in_turns


def test_a_series_has_its_median_and_its_spread() -> None:
    figures = Figures()
    for value in (30.0, 10.0, 20.0):
        figures.add("hold", "holds", "/s", value)
    (series,) = figures.series
    assert (series.median, series.least, series.most) == (20, 10, 30)


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="unit"):
        Figures().add("hold", "holds", "furlongs", 1)


def test_every_turn_is_first_once() -> None:
    rounds = [in_turns(["a", "b", "c"], number) for number in range(3)]
    assert [turns[0] for turns in rounds] == ["a", "b", "c"]
    assert all(sorted(turns) == ["a", "b", "c"] for turns in rounds)


def test_quick_is_small() -> None:
    assert BenchOptions(quick=True).size(100, 1) == 1
    assert BenchOptions().size(100, 1) == 100
