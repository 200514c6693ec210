"""deploy/kubernetes: the manifests keep to Kubernetes' own schema, and name what exists."""

from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import yaml

from api.routes import ROUTES
from cli.commands import main
from engine.settings import settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "kubernetes" / "engine.yml").read_text(encoding="utf-8")
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all(TEXT))
NAMED = [f"{document['kind']}/{document['metadata']['name']}" for document in DOCUMENTS]
VERSION = "1.32"
PODS = {
    document["metadata"]["name"]: document["spec"]["template"]["spec"]
    for document in DOCUMENTS
    if document["kind"] in ("Deployment", "Job")
}
CONFIG = next(document["data"] for document in DOCUMENTS if document["kind"] == "ConfigMap")


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMED)
def test_manifest_keeps_to_the_schema(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, VERSION, strict=True)


def test_schema_sees_a_fault() -> None:
    wrong = {**DOCUMENTS[0], "datas": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


@pytest.mark.parametrize("name", list(PODS))
def test_pod_runs_a_command_of_ours_and_may_do_no_more_than_it_must(name: str) -> None:
    pod = PODS[name]
    (container,) = pod["containers"]
    command, *options = container["args"]
    with click.Context(main) as context:
        found = main.get_command(context, command)
        assert found is not None
        found.make_context(command, list(options), parent=context)
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"USER {pod['securityContext']['runAsUser']}:" in (ROOT / "Dockerfile").read_text()
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    paths = {route.path for route in ROUTES} | {"/metrics"}
    probes = [container[probe] for probe in container if probe.endswith("Probe")]
    assert {probe["httpGet"]["path"] for probe in probes} <= paths


def test_every_part_has_a_pod() -> None:
    started = {pod["containers"][0]["args"][0] for pod in PODS.values()}
    assert started == {"serve", "expire", "write", "deliver", "reconcile", "migrate"}


def test_configuration_is_right_and_gives_time_to_drain(tmp_path: Path) -> None:
    plain = {name: text for name, text in CONFIG.items() if not name.endswith("_FILE")}
    found = settings.load(plain)
    known = {setting.name for setting in settings.catalogue()}
    assert {name.removesuffix("_FILE") for name in CONFIG} <= known
    assert all(CONFIG[f"{s.name}_FILE"] for s in settings.catalogue() if s.name == "JWT_SECRET")
    wait_s = found.drain_wait_s + found.drain_s_max
    assert PODS["app"]["terminationGracePeriodSeconds"] >= wait_s + 10


def test_selectors_find_their_pods() -> None:
    labels = [
        document["spec"]["template"]["metadata"]["labels"]
        for document in DOCUMENTS
        if document["kind"] == "Deployment"
    ]
    for document in DOCUMENTS:
        if document["kind"] in ("Service", "PodDisruptionBudget"):
            selector = document["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            assert wanted in labels
