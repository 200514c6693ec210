"""A real Prometheus on a copy of deploy/prometheus, quick enough for a test.

The copy is made by rule, not by hand: windows of minutes become seconds and every `for` a moment,
so the queries, the labels and the wiring stay those that are deployed.
"""

import asyncio
import json
import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from bench.rig.stand import free_port
from tests.deploy.conftest import program
from tests.support.waiting import until

WINDOW_S = 6
"""What every window of the rules becomes: some scrapes of one a second."""

_WINDOW = re.compile(r"\[\d+[mh]\]")
_OFFSET = re.compile(r"offset \d+[mh]")
_FOR = re.compile(r"^( +for:) \S+$", re.MULTILINE)


class Prometheus:
    """One that runs, by its HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def query(self, query: str) -> list[dict[str, Any]]:
        """The series a query gives now."""
        found: list[dict[str, Any]] = (await self._read("query", query=query))["result"]
        return found

    async def firing(self, alert: str = "") -> list[dict[str, str]]:
        """The labels of what fires now, of one alert or of all."""
        found = await self._read("alerts")
        alerts = [one["labels"] for one in found["alerts"] if one["state"] == "firing"]
        return [labels for labels in alerts if alert in ("", labels["alertname"])]

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health."""
        found = await self._read("rules")
        return [rule for group in found["groups"] for rule in group["rules"]]

    async def targets(self) -> dict[str, str]:
        """The health of each target by its job."""
        found = await self._read("targets")
        return {one["labels"]["job"]: one["health"] for one in found["activeTargets"]}

    async def is_ready(self) -> bool:
        """Whether it answers."""
        with suppress(OSError):
            await self._read("query", query="1")
            return True
        return False

    async def _read(self, what: str, **parameters: str) -> dict[str, Any]:
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"

        def ask() -> dict[str, Any]:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)["data"]
                return found

        return await asyncio.to_thread(ask)


def shortened(rules: str, thresholds: Mapping[str, str]) -> str:
    """The rules with windows of seconds, no patience, and these thresholds replaced."""
    for said, instead in thresholds.items():
        if rules.count(said) != 1:
            raise ValueError(f"{said!r} stands {rules.count(said)} times in the rules")
        rules = rules.replace(said, instead)
    rules = _WINDOW.sub(f"[{WINDOW_S}s]", rules)
    rules = _OFFSET.sub(f"offset {WINDOW_S}s", rules)
    return _FOR.sub(r"\1 1s", rules)


def copied(source: Path, folder: Path, port: int, thresholds: Mapping[str, str]) -> Path:
    """The configuration of one machine with this port, its rules shortened. Its path."""
    shutil.copytree(source / "rules", folder / "rules")
    alerts = folder / "rules" / "alerts.yml"
    alerts.write_text(shortened(alerts.read_text("utf-8"), thresholds), encoding="utf-8")
    recording = folder / "rules" / "recording.yml"
    recording.write_text(shortened(recording.read_text("utf-8"), {}), encoding="utf-8")
    config = (source / "one-machine.yml").read_text("utf-8")
    path = folder / "prometheus.yml"
    path.write_text(config.replace("127.0.0.1:8000", f"127.0.0.1:{port}"), encoding="utf-8")
    return path


@asynccontextmanager
async def watched(config: Path) -> AsyncIterator[Prometheus]:
    """Run it until the block ends, its data beside its configuration."""
    port = free_port()
    log = config.with_suffix(".log")
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            program("prometheus"), f"--config.file={config}",
            f"--storage.tsdb.path={config.parent / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", stdout=said, stderr=said,
        )  # fmt: skip
        prometheus = Prometheus(f"http://127.0.0.1:{port}")

        async def is_ready_or_over() -> bool:
            return process.returncode is not None or await prometheus.is_ready()

        try:
            await until(is_ready_or_over)
            assert process.returncode is None, log.read_text(errors="replace")[-2000:]
            yield prometheus
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
