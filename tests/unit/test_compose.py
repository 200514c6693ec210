"""docker-compose.yml and deploy/ as documents: what they name exists. No container runs here."""

from pathlib import Path

import click
import pytest
import yaml

from api.routes import ROUTES
from engine.cli import main

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}


def test_every_part_has_a_service() -> None:
    started = {service["command"][0] for service in OURS.values()}
    assert started == {"serve", "expire", "write", "deliver", "migrate"}


@pytest.mark.parametrize("name", OURS)
def test_service_runs_a_command_with_options_it_has(name: str) -> None:
    command, *options = OURS[name]["command"]
    with click.Context(main) as context:
        found = main.get_command(context, command)
        assert found is not None
        found.make_context(command, list(options), parent=context)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_service_waits_for_services_and_mounts_volumes_that_exist(name: str) -> None:
    service = COMPOSE["services"][name]
    assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
    mounted = {volume.split(":")[0] for volume in service.get("volumes", [])}
    assert mounted <= set(COMPOSE["volumes"])


def test_prometheus_scrapes_the_service_that_has_the_metrics() -> None:
    path = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    (job,) = yaml.safe_load(path.read_text(encoding="utf-8"))["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert f"{port}:{port}" in COMPOSE["services"][host]["ports"]
    assert job["metrics_path"] in [route.path for route in ROUTES]


def test_redis_keeps_what_it_answered() -> None:
    command = COMPOSE["services"]["redis"]["command"]
    assert "--appendonly yes --appendfsync always" in " ".join(command.split())
    assert COMPOSE["services"]["redis"]["volumes"]
