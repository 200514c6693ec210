"""A short description of a panel, and its JSON for Grafana.

A dashboard is written as data (`on_sale` and its neighbours in `dashboards`): the queries, the
unit, and the value from which it is bad. Grafana's own builder library turns it into JSON of its
schema, instead of 200 handwritten lines per panel that are hard to review and that no Grafana
checks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = model.DataSourceRef(type_val="prometheus", uid="prometheus")
TAG = "ticket-wars"
_GREEN, _ORANGE, _RED = "green", "orange", "red"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The targets: a query by its legend, which may name labels: `{{path}}`.

    `unit` is Grafana's name of the unit. Values from `warn` are orange, from `bad` red; if `good`
    is given, values below it are red instead.
    """

    title: str
    says: str
    queries: Mapping[str, str]
    unit: str = "short"
    warn: float | None = None
    bad: float | None = None
    good: float | None = None
    width: int = 12


class Lines(Panel):
    """Values over time."""


class Stacked(Panel):
    """Values over time that add up to a whole."""


class Number(Panel):
    """One value, large: now."""


class Rows(Panel):
    """The series that are there now, a row each."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A dashboard. `by_event` lets the reader choose events; its queries then say `$event`."""

    uid: str
    title: str
    says: str
    panels: Sequence[Panel] = field(default_factory=tuple)
    by_event: bool = False


def render(board: Board) -> str:
    """The dashboard as Grafana reads it from a file."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.says)
        .tags([TAG])
        .time("now-30m", "now")
        .refresh("5s")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(_neighbours())
    )
    if board.by_event:
        made = made.with_variable(_event())
    for number, panel in enumerate(board.panels, 1):
        made = made.with_panel(_builder(panel).id(number))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


_Builder = timeseries.Panel | stat.Panel | table.Panel


def _builder(panel: Panel) -> _Builder:
    """The panel of Grafana that shows this one."""
    made: _Builder
    if isinstance(panel, Number):
        made = stat.Panel().graph_mode(common_model.BigValueGraphMode.AREA).height(4)
    elif isinstance(panel, Rows):
        made = table.Panel().height(8)
    else:
        made = _lines(panel)
    instant = isinstance(panel, Rows)
    for letter, (legend, query) in zip("ABCDEFGH", panel.queries.items(), strict=False):
        target = prometheus.Dataquery().ref_id(letter).expr(query).legend_format(legend)
        target = target.instant().format(PromQueryFormat.TABLE) if instant else target.range()
        made = made.with_target(target)
    made = made.title(panel.title).description(panel.says).datasource(SOURCE)
    return made.unit(panel.unit).span(panel.width).thresholds(_thresholds(panel))


def _lines(panel: Panel) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .display_mode(common_model.LegendDisplayMode.TABLE)
        .placement(common_model.LegendPlacement.RIGHT)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )
    made = timeseries.Panel().height(8).legend(legend).fill_opacity(10).min(0)
    if isinstance(panel, Stacked):
        stacking = common.StackingConfig().mode(common_model.StackingMode.NORMAL)
        made = made.stacking(stacking).fill_opacity(60)
    if panel.bad is not None:
        style = common.GraphThresholdsStyleConfig()
        made = made.thresholds_style(style.mode(common_model.GraphThresholdsStyleMode.DASHED))
    return made


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [(None, _GREEN), (panel.warn, _ORANGE), (panel.bad, _RED)]
    if panel.good is not None:
        steps = [(None, _RED), (panel.good, _GREEN)]
    set_steps = [step for at, step in enumerate(steps) if at == 0 or step[0] is not None]
    return dashboard.ThresholdsConfig().steps(
        [model.Threshold(value=value, color=color) for value, color in set_steps]
    )


def _event() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("event")
        .label("Event")
        .description("The events to show.")
        .datasource(SOURCE)
        .query("label_values(engine_seats, event)")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _neighbours() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Ticket wars")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .keep_time(True)
        .include_vars(True)
    )
