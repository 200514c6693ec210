"""deploy/*.sh: secrets made once and for their owner alone; `make up` says what is missing."""

import hashlib
import json
import re
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from engine.settings import settings
from tests.support.containers import ROOT, make_secrets

_DOCKER = """#!/bin/sh
echo "docker $*" >> "$CALLS"
case "$1 $FAILS" in "compose compose" | "info info") exit 1;; esac
"""


def _contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_secrets_are_random_long_and_for_their_owner_alone(tmp_path: Path) -> None:
    folder, other = tmp_path / "secrets", tmp_path / "other"
    make_secrets(folder)
    make_secrets(other)
    made = _contents(folder)
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    wanted = {Path(secret["file"]).name for secret in compose["secrets"].values()}
    assert wanted <= set(made)
    assert not [name for name in made if name.startswith(".")]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    alone = [text for name, text in made.items() if name.endswith(("_password", "_secret"))]
    assert len(set(alone)) == len(alone) == 10
    assert all(len(text) == 48 and text.isalnum() for text in alone)
    assert not set(alone) & set(_contents(other).values())
    assert json.loads(made["redis_insight.json"])[0]["username"] == "insight"


def test_secrets_are_what_the_settings_and_redis_ask_for(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    names = ("redis_url", "database_url", "jwt_secret", "payment_webhook_secret")
    found = settings.load({f"{name.upper()}_FILE": str(tmp_path / name) for name in names})
    made = _contents(tmp_path)
    assert found.redis_url == f"redis://engine:{made['redis_engine_password']}@redis:6379/0"
    users = made["users.acl"]
    assert not re.search("@[A-Z]+@", users), "every place is filled"
    for user in ("engine", "exporter", "insight", "admin"):
        digest = hashlib.sha256(made[f"redis_{user}_password"].encode()).hexdigest()
        assert f"user {user} on #{digest} " in users


def test_secrets_are_never_overwritten_and_what_repeats_them_follows(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    before = _contents(tmp_path)
    assert make_secrets(tmp_path) == ""
    assert _contents(tmp_path) == before
    (tmp_path / "redis_engine_password").unlink()
    assert make_secrets(tmp_path) == f"made {tmp_path}/redis_engine_password\n"
    after = _contents(tmp_path)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"redis_engine_password", "redis_url", "users.acl"}
    assert after["redis_engine_password"] in after["redis_url"]


def _compose(verb: str, path: Path, fails: str = "") -> subprocess.CompletedProcess[str]:
    """`make up` in a copy of what it needs, with the programs of `path` and a few of the system."""
    env = {"PATH": str(path), "CALLS": str(path / "calls"), "FAILS": fails}
    copy = path / "copy" / "deploy"
    copy.mkdir(parents=True, exist_ok=True)
    for name in ("compose.sh", "secrets.sh", "redis/users.acl.in"):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text((ROOT / "deploy" / name).read_text())
    command = ["/bin/sh", str(copy / "compose.sh"), verb]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with the system's small programs, and no docker."""
    for name in ("sh", "dirname", "mkdir", "chmod", "tr", "dd", "cut", "cat", "mv", "sed", "env"):
        (tmp_path / name).symlink_to(
            f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}"
        )
    for name in ("sha256sum", "shasum"):
        for folder in ("/usr/bin", "/bin", "/sbin"):
            if Path(folder, name).exists() and not (tmp_path / name).is_symlink():
                (tmp_path / name).symlink_to(Path(folder, name))
    return tmp_path


def _with_docker(programs: Path) -> Path:
    docker = programs / "docker"
    docker.write_text(_DOCKER)
    docker.chmod(0o755)
    return programs


@pytest.mark.parametrize("verb", ["up", "down"])
def test_without_docker_one_line_says_what_is_missing(verb: str, programs: Path) -> None:
    found = _compose(verb, programs)
    assert found.returncode == 1
    assert found.stderr.startswith(f"make {verb} needs Docker, which is not installed here")
    assert "make demo" in found.stderr


@pytest.mark.parametrize(
    ("fails", "says"), [("compose", "the compose plugin"), ("info", "a running Docker engine")]
)
def test_with_half_a_docker_it_says_which_half(fails: str, says: str, programs: Path) -> None:
    found = _compose("up", _with_docker(programs), fails)
    assert found.returncode == 1
    assert f"make up needs {says}" in found.stderr
    assert not (programs / "copy" / "deploy" / "secrets").exists()


def test_up_makes_secrets_then_starts_and_down_keeps_the_data(programs: Path) -> None:
    found = _compose("up", _with_docker(programs))
    assert found.returncode == 0, found.stderr
    secrets = programs / "copy" / "deploy" / "secrets"
    assert (secrets / "users.acl").exists()
    assert (secrets / "grafana_admin_password").read_text() not in found.stdout
    assert _compose("down", programs).returncode == 0
    calls = (programs / "calls").read_text().splitlines()
    assert "docker compose up --detach --build" in calls
    assert calls[-1] == "docker compose down"
