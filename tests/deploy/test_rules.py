"""Rules of Prometheus: they parse, ask for what exists, fire and are silent as their tests say."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import Promtool, program
from tests.deploy.exporters import listed
from tests.deploy.known import ROOT, RULES, alerts, known, recordings, rule_groups
from tests.deploy.promql import Known, examine, faults, legend_faults

PROMETHEUS = ROOT / "deploy" / "prometheus"
TESTS = sorted((PROMETHEUS / "tests").glob("*_test.yml"))
SEVERITIES = {"critical", "warning"}
ALERTS = alerts()
IDS = [f"{rule['alert']}-{rule['labels']['severity']}" for rule in ALERTS]


def _unit_tests() -> list[dict[str, Any]]:
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in TESTS]
    return [test for file in files for test in file["tests"]]


@pytest.mark.parametrize("rule", recordings(), ids=lambda rule: rule["record"])
def test_recording_rule_asks_for_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    labels, wrong = examine(rule["expr"], known())
    assert wrong == []
    level = rule["record"].split(":")[0]
    assert level == ("_".join(sorted(labels)) or "engine"), "its name tells its labels"


@pytest.mark.parametrize("rule", ALERTS, ids=IDS)
def test_alert_asks_for_what_exists_and_shows_labels_it_has(rule: dict[str, Any]) -> None:
    labels, wrong = examine(rule["expr"], known())
    assert wrong == []
    for text in rule["annotations"].values():
        assert list(legend_faults(text, labels)) == []


@pytest.mark.parametrize("rule", ALERTS, ids=IDS)
def test_alert_says_how_grave_it_is_and_what_it_is(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert not rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith((".", "{{ end }}"))


@pytest.mark.parametrize("rule", ALERTS, ids=IDS)
def test_alert_has_a_unit_test_that_fires_and_one_that_is_silent(rule: dict[str, Any]) -> None:
    severity, firing, silent = rule["labels"]["severity"], 0, 0
    for test in _unit_tests():
        for asked in test.get("alert_rule_test", []):
            if asked["alertname"] == rule["alert"]:
                found = [one["exp_labels"]["severity"] for one in asked.get("exp_alerts", [])]
                firing += severity in found
                silent += severity not in found and bool(test["input_series"])
    assert (firing > 0, silent > 0) == (True, True)


def test_list_of_an_exporter_has_names_and_labels_as_they_were_scraped() -> None:
    scraped = '# TYPE pg_a counter\npg_a{x="1",y="a b"} 2\npg_a{z="}"} 2\nb 1\npg_c 1e+06\n'
    assert listed(scraped, ("pg_",)) == {"pg_a": ["x", "y", "z"], "pg_c": []}


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("sum(rate(http_request_total[1m]))", "no metric 'http_request_total'"),
        ('rate(http_requests_total{status="500"}[1m])', "has no label status"),
        ("sum by (rout) (rate(http_requests_total[1m]))", "has no label rout"),
        ("histogram_quantile(0.9, sum by (route) (rate(writer_batch_entries_bucket[1m])))", "le"),
        ("writer_lag_seconds_bucket > 1", "no metric 'writer_lag_seconds_bucket'"),
        ('rate(engine_calls_total{script="hold_seat"}[1m])', "script is never 'hold_seat'"),
        ('engine_seats{status=~"held|solt"}', "status is never 'solt'"),
        ("writer_lag_seconds / bookings_expired_total", "never meets"),
        ('label_replace(up, "a", "$1", "part", "(.*)")', "has no label part"),
        ("sum(rate(http_requests_total[1m])", "does not parse"),
        ("engine:http_request:rate1m", "no metric 'engine:http_request:rate1m'"),
    ],
)
def test_planted_fault_in_a_query_is_found(query: str, wrong: str) -> None:
    assert wrong in " ".join(faults(query, known()))


def test_planted_fault_in_a_legend_is_found() -> None:
    labels, wrong = examine("sum by (path) (rate(http_requests_total[1m]))", known())
    assert wrong == []
    assert list(legend_faults("{{path}} {{ $labels.method }}", labels)) != []


def test_a_known_value_is_asked_for_in_every_script_label() -> None:
    everything = Known(known().labels, {"code": frozenset()})
    assert faults('rate(engine_calls_total{code="ok"}[1m])', everything) != []


def test_every_target_is_a_service_that_shows_its_metrics_there() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    targets = [job["static_configs"][0]["targets"] for job in config["scrape_configs"]]
    found = dict(target.split(":") for [target] in targets)
    parts = {name for name, service in services.items() if "--metrics-port" in _command(service)}
    assert parts == {name for name, port in found.items() if port == "9100"}
    assert found.keys() - parts == {"app", "redis-exporter", "postgres-exporter"}
    for name in found:
        told = [*_command(services[name]), str(services[name].get("healthcheck"))]
        assert re.search(rf"\b{found[name]}\b", " ".join(told)), f"{name} listens elsewhere"
    assert services["prometheus"]["volumes"][0] == "./deploy/prometheus:/etc/prometheus:ro"


def _command(service: dict[str, Any]) -> list[str]:
    command: list[str] = service.get("command", [])
    return command


def test_without_promtool_a_test_fails_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.fail.Exception, match="apt-get install prometheus"):
        program("promtool")


@pytest.mark.prometheus
@pytest.mark.parametrize("name", ["prometheus.yml", "one-machine.yml"])
def test_promtool_takes_the_configuration_and_its_rules(promtool: Promtool, name: str) -> None:
    told = promtool("check", "config", PROMETHEUS / name)
    assert told.returncode == 0, told.stdout
    assert f"SUCCESS: {len(ALERTS)} rules found" in told.stdout
    assert f"SUCCESS: {len(recordings())} rules found" in told.stdout


@pytest.mark.prometheus
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_do_what_their_unit_tests_say(promtool: Promtool, path: Path) -> None:
    told = promtool("test", "rules", path)
    assert told.returncode == 0, told.stdout


@pytest.mark.prometheus
@pytest.mark.parametrize("instead", ["vector(0) > 1", "vector(1)"], ids=["never", "always"])
def test_unit_tests_find_alerts_that_never_or_always_fire(
    promtool: Promtool, tmp_path: Path, instead: str
) -> None:
    shutil.copytree(PROMETHEUS, tmp_path / "copy")
    groups = rule_groups(RULES / "alerts.yml")
    for group in groups:
        for rule in group["rules"]:
            rule["expr"] = instead
    spoilt = yaml.safe_dump({"groups": groups})
    (tmp_path / "copy" / "rules" / "alerts.yml").write_text(spoilt, encoding="utf-8")
    told = promtool("test", "rules", *sorted((tmp_path / "copy" / "tests").glob("*_test.yml")))
    missed = set(re.findall(r"alertname: (\w+)", told.stdout))
    assert missed == {rule["alert"] for rule in ALERTS}
