"""The document as others read it: two linters, and a TypeScript client that sells a seat.

They come from npm, pinned in package.json; `make openapi-test` runs them, `make test` needs no npm.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from api import document
from tests.support.running import running_up

HERE = Path(__file__).parent
WITHOUT_NETWORK = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}

pytestmark = [pytest.mark.npm, pytest.mark.timeout(600)]


def _run(folder: Path, *command: str | Path) -> str:
    """Run a command in a folder. Returns what it said; a failure fails the test with it."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **WITHOUT_NETWORK}, capture_output=True, text=True
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    return told


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pinned packages and the document; nothing of it is committed."""
    if shutil.which("npm") is None:
        pytest.fail("npm is missing: Debian's npm, or https://nodejs.org. `make test` does without")
    folder = tmp_path_factory.mktemp("openapi")
    for name in ("package.json", "spectral.yaml", "tsconfig.json", "sell.ts"):
        shutil.copy(HERE / name, folder)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
    _run(folder, "npm", "install", *quiet)
    whole = json.loads(gzip.decompress(document.document().gzipped))
    (folder / "openapi.json").write_text(json.dumps(whole, indent=2))
    return folder


def _program(project: Path, name: str) -> Path:
    return project / "node_modules" / ".bin" / name


@pytest.mark.parametrize(
    ("linter", "options"),
    [
        ("redocly", ("--extends", "recommended-strict", "--format", "json")),
        ("spectral", ("--ruleset", "spectral.yaml", "--fail-severity", "hint", "--format", "json")),
    ],
)
def test_linter_has_nothing_to_say(project: Path, linter: str, options: tuple[str, ...]) -> None:
    """The control, linted beside it, lacks the description of a tag."""
    worse = json.loads((project / "openapi.json").read_text())
    del worse["tags"][0]["description"]
    (project / "worse.json").write_text(json.dumps(worse))
    done = subprocess.run(
        (_program(project, linter), "lint", *options, "openapi.json", "worse.json"),
        cwd=project,
        env={**os.environ, **WITHOUT_NETWORK},
        capture_output=True,
        text=True,
    )
    found = set(re.findall(r"(?:openapi|worse)\.json", done.stdout))
    assert (done.returncode, found) == (1, {"worse.json"}), done.stdout
    assert "tag-description" in done.stdout


async def test_typescript_client_sells_a_seat(project: Path, tmp_path: Path) -> None:
    _run(project, _program(project, "openapi-typescript"), "openapi.json", "-o", "schema.d.ts")
    _run(project, _program(project, "tsc"))
    async with running_up(tmp_path) as up:
        await up.ready()
        code, told = await up.engine("load", "venue:hall", "--event", "gala")
        assert code == 0, told
        _, token = await up.engine("token", "--sub", "ann")
        url = f"http://127.0.0.1:{up.port}"
        booking = json.loads(_run(project, "node", "sell.js", url, token.strip()))
        assert (booking["status"], booking["eventId"]) == ("confirmed", "gala")
        code, told = await up.engine("verify", "gala")
        assert code == 0, told
