"""Dashboards of Grafana: panels ask for what exists, and the JSON is what its source makes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from deploy.grafana.__main__ import BOARDS, FOLDER
from deploy.grafana.panels import Board, Lines, render
from tests.deploy.conftest import Promtool
from tests.deploy.known import ROOT, known
from tests.deploy.promql import examine, legend_faults, variable_faults

PROVISIONED = ROOT / "deploy" / "grafana" / "provisioning"
FILES = sorted(FOLDER.glob("*.json"))
_VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$event": ".*"}


class Target(NamedTuple):
    """One query of one panel, variables filled in."""

    dashboard: str
    panel: str
    query: str
    legend: str


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _targets(board: dict[str, Any]) -> Iterator[Target]:
    for panel in board["panels"]:
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in _VARIABLES.items():
                query = query.replace(name, value)
            yield Target(board["uid"], panel["title"], query, target["legendFormat"])


TARGETS = [target for path in FILES for target in _targets(_read(path))]


def test_json_is_what_its_source_makes() -> None:
    made = {f"{board.uid}.json": render(board) for board in BOARDS}
    found = {path.name: path.read_text(encoding="utf-8") for path in FILES}
    assert made == found, "make dashboards"


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.dashboard}-{t.panel}-{t.legend}")
def test_panel_asks_for_metrics_and_labels_that_exist(target: Target) -> None:
    labels, wrong = examine(target.query, known())
    assert wrong == []
    assert "$" not in target.query
    assert list(legend_faults(target.legend, labels)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_panel_has_a_unit_and_says_what_it_shows(path: Path) -> None:
    board = _read(path)
    for panel in board["panels"]:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        assert panel["targets"]
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places), "nothing hangs over"
    taken = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(taken)) == len(taken), "no panel lies on another"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_event_can_be_chosen_where_a_query_asks_for_it(path: Path) -> None:
    board = _read(path)
    variables = {found["name"]: found for found in board.get("templating", {}).get("list", [])}
    assert ("$event" in path.read_text(encoding="utf-8")) == ("event" in variables)
    for variable in variables.values():
        assert variable_faults(variable["query"], known()) == []
        assert (variable["multi"], variable["includeAll"]) == (True, True)


def test_provisioning_finds_the_dashboards_and_their_source() -> None:
    source = yaml.safe_load((PROVISIONED / "datasources" / "prometheus.yml").read_text("utf-8"))
    assert [found["uid"] for found in source["datasources"]] == ["prometheus"]
    assert [found["url"] for found in source["datasources"]] == ["http://prometheus:9090"]
    boards = yaml.safe_load((PROVISIONED / "dashboards" / "dashboards.yml").read_text("utf-8"))
    paths = [found["options"]["path"] for found in boards["providers"]]
    assert paths == ["/var/lib/grafana/dashboards"]
    uids = [_read(path)["uid"] for path in FILES]
    assert len(set(uids)) == len(uids) == len(BOARDS)


def _planted(query: str, legend: str = "x") -> list[str]:
    board = Board(uid="x", title="x", says="", panels=(_panel(query, legend),))
    (target,) = _targets(json.loads(render(board)))
    labels, wrong = examine(target.query, known())
    return wrong + list(legend_faults(target.legend, labels))


def _panel(query: str, legend: str) -> Lines:
    return Lines(title="x", says="x.", queries={legend: query})


def test_planted_fault_in_a_panel_is_found() -> None:
    right = "sum by (path) (rate(http_requests_total[$__rate_interval]))"
    assert _planted(right, "{{path}}") == []
    assert _planted(right.replace("requests", "request"), "{{path}}") != []
    assert _planted(right[:-1], "{{path}}") != []
    assert _planted(right, "{{route}}") != []
    assert variable_faults("label_values(engine_seat, event)", known()) != []
    assert variable_faults("label_values(engine_seats, show)", known()) != []


def _as_rules(queries: list[str]) -> str:
    rules = [{"record": f"panel:query:{at}", "expr": query} for at, query in enumerate(queries)]
    text: str = yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]})
    return text


@pytest.mark.prometheus
def test_promtool_parses_every_query_and_not_a_broken_one(
    promtool: Promtool, tmp_path: Path
) -> None:
    queries = [target.query for target in TARGETS]
    assert len(queries) > 60
    rules = tmp_path / "panels.yml"
    rules.write_text(_as_rules(queries), encoding="utf-8")
    told = promtool("check", "rules", rules)
    assert told.returncode == 0, told.stdout
    assert f"SUCCESS: {len(queries)} rules found" in told.stdout
    rules.write_text(_as_rules([*queries, "sum by (path) rate(up[1m])"]), encoding="utf-8")
    assert promtool("check", "rules", rules).returncode != 0
