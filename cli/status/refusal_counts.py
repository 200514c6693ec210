"""How often the API refused, by code: the one figure of `engine status` that is not in Redis.

A refusal writes nothing, so only the API's own counters know of it: `engine_calls_total`, from
the /metrics of a URL, or straight from the files that the parts of `engine up` share. The files
are asked first when no URL is named: they need no port and hold the counts of every process.
"""

import asyncio
import http.client
import os
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from embedded import servers
from engine.errors import Misconfigured

METRIC = "engine_calls"
NOT_REFUSALS = ("ok", "unanswered")
_TIMEOUT_S = 1.0


class RefusalCounts:
    """Reads the counters of one API, wherever they are."""

    def __init__(self, url: str | None, data: Path) -> None:
        self._url = url.rstrip("/") if url else None
        self._data = data
        if self._url and urlsplit(self._url).scheme not in ("http", "https"):
            raise Misconfigured(f"--url: {url} is not an http URL")

    async def read(self) -> dict[str, int] | None:
        """Refusals by code since the API started; None when nothing tells them."""
        try:
            return await asyncio.to_thread(self._read)
        except (OSError, ValueError, RuntimeError, struct.error, http.client.HTTPException):
            return None  # away, not what it should be, or a file that is just being made

    def _read(self) -> dict[str, int] | None:
        if self._url:
            text = _get(f"{self._url}/metrics")
            lines = [line for line in text.splitlines() if f"{METRIC}_total" in line]
            return _refusals(text_string_to_metric_families("\n".join([*lines, ""])))
        folder = self._folder()
        if folder is None:
            return None
        files = [str(path) for path in folder.glob("counter_*.db")]
        merged = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return _refusals(merged) if files else None

    def _folder(self) -> Path | None:
        """Where the parts share their counters, while they run."""
        if named := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            return Path(named)
        folder = self._data / "metrics"
        return folder if folder.is_dir() and servers.find(self._data) else None


def _refusals(metrics: Iterable[Metric]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for metric in metrics:
        for sample in metric.samples:
            code = sample.labels.get("code", "")
            if sample.name == f"{METRIC}_total" and code not in NOT_REFUSALS:
                found[code] += int(sample.value)
    return dict(found.most_common())


def _get(url: str) -> str:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "localhost", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise http.client.HTTPException(f"{url} answers {answer.status}")
        return answer.read().decode()
    finally:
        connection.close()
