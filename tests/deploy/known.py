"""Every metric that a rule or a panel may ask for, from where it is made.

Ours come from engine.metrics itself, the exporters' from exporters.json, a list taken from a real
scrape (`python -m tests.deploy.exporters`), the recorded ones from the rules.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from api.http.problems import KINDS
from api.routes import ROUTES
from engine import errors, invariants, scripts
from engine.metrics import metrics
from persistence.reconcile import comparison
from tests.deploy.promql import SCRAPED, Known, examine

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules"
_ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def rule_groups(path: Path) -> list[dict[str, Any]]:
    """The groups of a rules file."""
    groups: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return groups


def alerts() -> list[dict[str, Any]]:
    """Every alert rule."""
    groups = rule_groups(RULES / "alerts.yml")
    return [rule for group in groups for rule in group["rules"]]


def recordings() -> list[dict[str, Any]]:
    """Every recording rule."""
    groups = rule_groups(RULES / "recording.yml")
    return [rule for group in groups for rule in group["rules"]]


@cache
def known() -> Known:
    """All of it."""
    raw = Known(_ours() | _processes() | _exporters() | _prometheus(), _values())
    recorded = {rule["record"]: examine(rule["expr"], raw)[0] for rule in recordings()}
    return Known({**raw.labels, **recorded}, raw.values)


def _ours() -> dict[str, frozenset[str]]:
    found = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            labels = frozenset(metric._labelnames) | SCRAPED
            for ending in _ENDINGS[str(metric._type)]:
                of_buckets = {"le"} if ending == "_bucket" else set()
                found[metric._name + ending] = labels | of_buckets
    return found


def _processes() -> dict[str, frozenset[str]]:
    """The metrics of every process; `engine up` labels them by part and slot."""
    collected = ProcessCollector(registry=None).collect()
    names = [sample.name for metric in collected for sample in metric.samples]
    return dict.fromkeys(names, SCRAPED | {"part", "slot"})


def _exporters() -> dict[str, frozenset[str]]:
    listed = json.loads((Path(__file__).parent / "exporters.json").read_text(encoding="utf-8"))
    return {
        name: frozenset(labels) | SCRAPED
        for exporter in listed.values()
        for name, labels in exporter["metrics"].items()
    }


def _prometheus() -> dict[str, frozenset[str]]:
    alert = {"alertname", "alertstate", "severity"}
    return {"up": SCRAPED, "ALERTS": SCRAPED | alert}


def _values() -> dict[str, frozenset[str]]:
    """The labels whose values are all known."""
    return {
        "script": frozenset(scripts.names()),
        "code": frozenset({"ok", "unanswered"} | {code.lower() for code in errors.REFUSALS}),
        "route": frozenset({"unmatched"} | {route.name for route in ROUTES}),
        "statusCode": frozenset({"200", "201"} | {str(kind.status) for kind in KINDS.values()}),
        "status": frozenset({"available", "held", "sold", "blocked"}),
        "kind": frozenset({*comparison.KINDS, *invariants.KINDS}),
        "reason": frozenset({"seat_sold_twice", "refused"}),
        "alertstate": frozenset({"pending", "firing"}),
    }
