"""Charts of a section as SVG, with matplotlib: bars with the spread of the rounds, or lines.

The same results draw the same file: no date in it, no random ids. Text stays text, so that a page
shows it in its own font and a search finds it.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.report.section import BenchSection, Chart, Series

WIDTH_IN, ROW_IN, LINES_IN = 8.0, 0.34, 3.4
COLOURS = ("#2c6fbb", "#d1662c", "#3a8f4f", "#8c5aa8")
_STYLE: Any = {  # as typed, a dict of literals
    "svg.hashsalt": "bench",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw_all(section: BenchSection, folder: Path) -> list[Path]:
    """Every chart of a section that has its series; an earlier file is replaced."""
    found = {series.id: series for series in section.series}
    return [_draw(chart, found, folder) for chart in section.charts]


def _draw(chart: Chart, found: dict[str, Series], folder: Path) -> Path:
    path = folder / f"{chart.name}.svg"
    with mpl.rc_context(_STYLE):
        figure = _lines(chart, found) if chart.lines else _bars(chart, found)
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path


def _bars(chart: Chart, found: dict[str, Series]) -> Figure:
    shown = [found[name] for name in chart.bars if name in found][::-1]
    figure = Figure(figsize=(WIDTH_IN, 0.9 + ROW_IN * len(shown)), layout="constrained")
    axes = figure.subplots()
    medians = [series.median for series in shown]
    spread = (
        [series.median - series.least for series in shown],
        [series.most - series.median for series in shown],
    )
    axes.barh(
        [series.says for series in shown], medians, xerr=spread, color=COLOURS[0],
        error_kw={"ecolor": "#444444", "capsize": 3, "elinewidth": 1},
    )  # fmt: skip
    axes.bar_label(axes.containers[-1], fmt="{:,.0f}", padding=8)  # type: ignore[arg-type]
    axes.set_title(f"{chart.title}, {chart.unit} (median, least and greatest)", loc="left")
    axes.margins(x=0.15)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    return figure


def _lines(chart: Chart, found: dict[str, Series]) -> Figure:
    figure = Figure(figsize=(WIDTH_IN, LINES_IN), layout="constrained")
    axes = figure.subplots()
    for (name, ids), colour in zip(chart.lines.items(), COLOURS, strict=False):
        points = [(x, found[i]) for x, i in zip(chart.xs, ids, strict=True) if i in found]
        xs = [x for x, _ in points]
        axes.plot(xs, [series.median for _, series in points], "o-", color=colour, label=name)
        axes.fill_between(
            xs, [s.least for _, s in points], [s.most for _, s in points], color=colour, alpha=0.15
        )
    if min(chart.xs) > 0 and max(chart.xs) / min(chart.xs) >= 100:
        axes.set_xscale("log")
    axes.set_ylim(bottom=0, top=1.15 * axes.get_ylim()[1])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel(chart.x_says)
    axes.set_title(f"{chart.title}, {chart.unit}", loc="left")
    if len(chart.lines) > 1:
        axes.legend(frameon=False)
    return figure
