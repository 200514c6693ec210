"""The walk of docs/accounts.md, line by line, against a real `engine up`.

Its curl calls are translated, not run by a shell: only what the page uses is understood.
"""

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from httpx2 import AsyncClient, Response

from api.routes.accounts import ROUTES
from bench.rig.stand import free_port
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "accounts.md").read_text(encoding="utf-8")
_OURS = {"REDIS_URL", "DATABASE_URL", "JWT_SECRET", "PUBLIC_URL", "SMTP_URL"}


class Step(NamedTuple):
    """A call with the status its text announces, a line of the log, or an answer."""

    kind: str
    text: str
    status: int


def _steps() -> list[Step]:
    steps, status = [], 0
    walk = PAGE.partition("\n## A walk through it\n")[2].partition("\n## ")[0]
    for prose, kind, text in re.findall(r"(.*?)```(sh|json|log)\n(.*?)```\n", walk, re.DOTALL):
        if said := re.findall(r"(?<!\d)([2-5]\d\d)\.", prose):
            status = int(said[-1])
        steps.append(Step(kind, text, status))
    return steps


class Up:
    """A running `engine up`, and what it says."""

    def __init__(self, data: Path, port: int) -> None:
        self.port = port
        self._data = data
        self._said: list[str] = []

    async def run(self, *command: str) -> asyncio.subprocess.Process:
        """Start `engine …` on the test's folder."""
        environ = {name: text for name, text in os.environ.items() if name not in _OURS}
        environ["LOG_FORMAT"] = "json"
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine", *command, "--data", str(self._data)),
            cwd=ROOT, env=environ,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def listen(self, process: asyncio.subprocess.Process) -> None:
        """Keep all that it says."""
        assert process.stdout
        async for line in process.stdout:
            self._said.append(line.decode())

    async def says(self, words: str) -> str:
        """Wait for a line that has these words."""

        async def said() -> list[str]:
            return [line for line in self._said if words in line]

        await until(said)
        return (await said())[-1]


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Up]:
    """A running installation with the hall on sale as the gala."""
    up = Up(tmp_path / "data", free_port())
    process = await up.run("up", "--port", str(up.port))
    listening = asyncio.create_task(up.listen(process))
    try:
        await up.says("ready\n")
        loaded = await up.run("load", "venue:hall", "--event", "gala")
        await loaded.communicate()
        assert loaded.returncode == 0
        yield up
    finally:
        process.send_signal(signal.SIGTERM)
        await listening
        await process.wait()


class Walker:
    """Goes through the steps with the names they give to what they find."""

    def __init__(self, up: Up, http: AsyncClient) -> None:
        self.up = up
        self.http = http
        self.names: dict[str, str] = {}
        self.answer: Response | None = None

    async def take(self, step: Step) -> None:
        """One step, as the page says it."""
        if step.kind == "sh":
            self.answer = await self._curl(step.text)
            assert self.answer.status_code == step.status, self.answer.text
        elif step.kind == "json":
            assert self.answer
            self._match(json.loads(step.text), self.answer.json())
        else:
            wanted = json.loads(step.text)
            self._match(wanted, json.loads(await self.up.says(wanted["event"])))

    async def _curl(self, text: str) -> Response:
        words = shlex.split(self._expanded(text))
        assert words.pop(0) == "curl"
        method, url, headers, body = "GET", "", {}, None
        while words:
            word = words.pop(0)
            if word == "-X":
                method = words.pop(0)
            elif word == "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name.lower()] = value
            elif word == "-d":
                body = words.pop(0)
                headers.setdefault("content-type", "application/x-www-form-urlencoded")
            else:
                url = word
        url = url.replace("localhost:8000", f"127.0.0.1:{self.up.port}")
        full = url if "://" in url else f"http://{url}"
        return await self.http.request(method, full, headers=headers, content=body)

    def _expanded(self, text: str) -> str:
        """As the shell does it: `$NAME`, and `${NAME#*=}` for what is behind the first `=`."""
        text = text.replace("\\\n", " ")
        text = re.sub(r"\$\{(\w+)#\*=\}", lambda m: self.names[m[1]].partition("=")[2], text)
        return re.sub(r"\$(\w+)", lambda m: self.names[m[1]], text)

    def _match(self, wanted: dict[str, Any], found: dict[str, Any]) -> None:
        for name, value in wanted.items():
            if isinstance(value, str) and value.startswith("$"):
                self.names[value[1:]] = found[name]
            else:
                assert found[name] == value


async def test_walk_of_the_page_goes_as_it_says(up: Up) -> None:
    steps = _steps()
    assert [step.kind for step in steps].count("sh") == 9
    async with AsyncClient() as http:
        walker = Walker(up, http)
        for step in steps:
            await walker.take(step)
    assert walker.names.keys() == {"LINK", "ACCESS", "REFRESH", "BOOKING"}


def test_page_names_every_call_about_accounts() -> None:
    for route in ROUTES:
        path = route.path.removeprefix("/api/v1").replace("{role_id}", "{role}")
        known = path in PAGE or path.rpartition("/")[2] in PAGE
        assert known, route.path


@pytest.mark.parametrize("kind", ["sh", "json", "log"])
def test_walk_has_steps_of_every_kind(kind: str) -> None:
    assert any(step.kind == kind for step in _steps())
