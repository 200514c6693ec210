"""The running API keeps the contract of its document: all checks of schemathesis find nothing."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from api.http.tokens import issue_token
from engine import Settings
from tests.support.box_office import BoxOffice
from tests.support.serving import serving

SEED = os.environ.get("CONTRACT_SEED", "20300601")
EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "10")
CONFIG = """
[checks]
# What is of the right form may still be refused: two seats of two events, an address in use.
# 400: an If-None-Match that is no list of tags, which a PATCH refuses and a GET ignores.
positive_data_acceptance.expected-statuses = [
  "2xx", "304", "400", "401", "403", "404", "409", "410", "412", "422",
]
negative_data_rejection.expected-statuses = ["4xx"]
"""


@pytest.mark.parametrize("phase", ["examples", "coverage", "fuzzing", "stateful"])
async def test_schemathesis_finds_nothing(
    settings: Settings, office: BoxOffice, database_url: str, tmp_path: Path, phase: str
) -> None:
    await office.open(owner_id="root", areas={"floor": 50}, seats=40)
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    token = issue_token(settings.jwt_secret, "root", "admin", ttl_s=3600)
    async with serving(settings, tmp_path) as port:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
            f"http://127.0.0.1:{port}/api/openapi.json",
            *("--header", f"Authorization: Bearer {token}", "--checks", "all", "--no-color"),
            *("--seed", SEED, "--max-examples", EXAMPLES, "--generation-database", "none"),
            *("--phases", phase),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
    print(told.decode()[-20000:])
    assert process.returncode == 0
