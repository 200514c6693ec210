"""docker-compose.yml and the Dockerfile as documents: lint, schema, and what they name exists.

No container runs here: tests/acceptance/test_containers.py runs every command line without one.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from packaging.requirements import Requirement
from redis.commands import AsyncCoreCommands

from cli.commands import main
from engine.settings import settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
HADOLINT = Path(sys.executable).parent / "hadolint"


def _check(*command: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def _check_schema(path: Path) -> subprocess.CompletedProcess[str]:
    schema = ("--builtin-schema", "vendor.compose-spec", "--disable-formats", "*")
    return _check(sys.executable, "-m", "check_jsonschema", *schema, path)


def test_compose_file_keeps_to_the_schema_of_the_specification(tmp_path: Path) -> None:
    found = _check_schema(ROOT / "docker-compose.yml")
    assert found.returncode == 0, found.stdout
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text("services: {app: {image: a, mem_limits: 1g}}")
    assert "mem_limits" in _check_schema(wrong).stdout  # the check itself sees a fault


def test_dockerfile_is_clean() -> None:
    found = _check(HADOLINT, ROOT / "Dockerfile")
    assert found.returncode == 0, found.stdout
    assert "DL3007" in _check(HADOLINT, "-", text="FROM python:latest\n").stdout


def test_every_part_has_a_service() -> None:
    started = {service["command"][0] for service in OURS.values()}
    assert started == {"serve", "expire", "write", "deliver", "reconcile", "migrate"}


@pytest.mark.parametrize("name", list(OURS))
def test_service_runs_a_command_with_options_it_has(name: str) -> None:
    command, *options = OURS[name]["command"]
    with click.Context(main) as context:
        found = main.get_command(context, command)
        assert found is not None
        found.make_context(command, list(options), parent=context)


@pytest.mark.parametrize("name", list(SERVICES))
def test_service_names_only_what_exists(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    for secret in service.get("secrets", []):
        assert secret in COMPOSE["secrets"]


@pytest.mark.parametrize("name", list(SERVICES))
def test_service_may_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] or name == "redis-insight"  # it writes beside its data
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    assert "test" in service["healthcheck"] or name == "migrate"
    assert re.search(r":v?\d+\.\d+(\.\d+)?(-alpine)?$", service["image"]), "an exact version"
    assert not service.get("privileged")
    for port in service.get("ports", []):
        assert port.startswith(("127.0.0.1:", "${APP_ADDRESS:-127.0.0.1}:"))


@pytest.mark.parametrize("name", list(SERVICES))
def test_service_reads_its_secrets_from_files_it_is_given(name: str) -> None:
    service = SERVICES[name]
    text = str(service.get("environment", {})) + str(service.get("command", ""))
    named = set(re.findall(r"/run/secrets/([\w.]+)", text))
    given = set(service.get("secrets", []))
    by_other_means = {"redis": {"users.acl"}, "postgres": given - {"postgres_password"}}
    assert named | by_other_means.get(name, set()) == given
    known = {setting.name for setting in settings.catalogue()}
    if name in OURS:
        variables = {variable.removesuffix("_FILE") for variable in service.get("environment", {})}
        assert variables <= known
        secret = {setting.name for setting in settings.catalogue() if setting.secret}
        assert not secret & set(service["environment"]), "a secret is a file"


def test_no_password_in_the_repository_opens_a_server() -> None:
    environment = [item for s in SERVICES.values() for item in s.get("environment", {}).items()]
    words = [key for key, _ in environment if re.search("PASS|SECRET|TOKEN", key)]
    assert all(key.endswith("_FILE") for key in words)
    grafana = SERVICES["grafana"]["environment"]
    assert grafana["GF_SECURITY_ADMIN_USER"] != "admin"
    assert grafana["GF_AUTH_ANONYMOUS_ENABLED"] == "false"


def test_containers_are_stopped_more_slowly_than_they_drain() -> None:
    defaults = settings.Settings()
    drain_s = defaults.drain_wait_s + defaults.drain_s_max
    assert {int(s["stop_grace_period"].removesuffix("s")) for s in OURS.values()} == {30}
    assert drain_s + 10 <= 30


def test_sale_starts_without_postgres_and_writers_after_the_schema() -> None:
    assert "migrate" not in OURS["app"]["depends_on"]
    assert "postgres" not in OURS["app"]["depends_on"]
    for name in ("writer", "deliverer", "reconciler"):
        assert OURS[name]["depends_on"]["migrate"] == {
            "condition": "service_completed_successfully"
        }


def test_redis_keeps_what_it_answered() -> None:
    text = (ROOT / "deploy" / "redis" / "valkey.conf").read_text(encoding="utf-8")
    lines = dict(line.split(" ", 1) for line in text.splitlines() if line and line[0] != "#")
    assert lines["appendonly"] == "yes"
    assert lines["appendfsync"] == "always"
    assert lines["maxmemory-policy"] == "noeviction"
    assert lines["notify-keyspace-events"] == "Ex"
    assert lines["aclfile"] == "/run/secrets/users.acl"
    assert lines["maxmemory"] == "512mb"  # a rewrite of the file may take as much again
    redis = SERVICES["redis"]
    assert redis["mem_limit"] == "1g"
    folder = redis["command"][redis["command"].index("--dir") + 1]
    assert f"redis-data:{folder}" in redis["volumes"]
    assert "dir" not in lines


def _commands_of_lua() -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "lua").rglob("*.lua")]
    called = [found for text in texts for found in re.findall(r'redis\.p?call\(\s*"(\w+)"', text)]
    return {command.lower() for command in called}


def _commands_of_python() -> set[str]:
    """What is called on a client or a pipeline, by Redis' name: `xinfo_groups` is XINFO GROUPS."""
    paths = [*(ROOT / "engine").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    called = set(re.findall(r"(?:client|pipeline|pipe|batch)\.([a-z_]+)\(", text))
    commands = {name for name in called if hasattr(AsyncCoreCommands, name)}
    other_names = {"xpending_range": "xpending", "delete": "del"}
    return {other_names.get(name, name.replace("_", "|", 1)) for name in commands}


def test_user_of_the_engine_may_run_every_command_it_has() -> None:
    users = (ROOT / "deploy" / "redis" / "users.acl.in").read_text(encoding="utf-8")
    (engine,) = [line for line in users.splitlines() if line.startswith("user engine ")]
    allowed = {word[1:] for word in engine.split() if word[0] == "+"}
    assert _commands_of_lua() - allowed == set()
    switched_on_by_the_configuration = {"config|set"}
    assert _commands_of_python() - allowed - switched_on_by_the_configuration == set()
    assert {"hset", "xadd"} <= _commands_of_lua()  # the search itself finds some
    assert {"xinfo|groups", "info"} <= _commands_of_python()


def _copied() -> Iterator[str]:
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            yield from line.split()[1:-1]


def test_image_is_made_of_what_the_builder_is_given() -> None:
    given = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in given
    assert {line[1:] for line in given if line.startswith("!")} == set(_copied())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= set(_copied())


def test_image_has_no_shell_between_and_no_root() -> None:
    last = (ROOT / "Dockerfile").read_text(encoding="utf-8").rpartition("FROM ")[2]
    assert 'ENTRYPOINT ["engine"]' in last
    assert re.search(r"^USER (\d+):(\d+)$", last, re.MULTILINE)
    assert "pip" not in last
    assert "HEALTHCHECK" in last


def test_image_pins_every_dependency_by_its_hash() -> None:
    text = (ROOT / "deploy" / "requirements.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    assert text.count("--hash=sha256:") >= len(pinned)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for wanted in map(Requirement, project["dependencies"]):
        assert wanted.name in pinned, "run make lock"
        assert wanted.specifier.contains(pinned[wanted.name]), f"{wanted}: run make lock"
    build = (ROOT / "deploy" / "requirements-build.txt").read_text(encoding="utf-8")
    assert re.search(r"^hatchling==", build, re.MULTILINE)


def test_page_names_every_service() -> None:
    page = (ROOT / "docs" / "how-to" / "containers.md").read_text(encoding="utf-8")
    assert [name for name in SERVICES if f"`{name}`" not in page] == []
