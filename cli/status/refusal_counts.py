"""Refusals by event and code: the one figure of `engine status` that is not in Redis.

A refusal writes nothing, so only the API's own counters have it: `engine_refusals_total`, from the
/metrics of a URL, or from the files that the parts of `engine up` share. Without a URL the files
are read: they need no port and contain the counts of every process.
"""

import asyncio
import http.client
import os
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from cli.sources import refuse_wrong_url
from embedded import servers
from engine.metrics.refusal_counter import EVENTS_MAX

METRIC = "engine_refusals_total"
RefusalsByEvent = Mapping[str, Mapping[str, int]]
"""By event, then by code; the event "" has those that were counted under no event."""
_TIMEOUT_S = 1.0


class RefusalCounts:
    """Reads the refusal counters of one API."""

    def __init__(self, url: str | None, data: Path) -> None:
        self._url = url.rstrip("/") if url else None
        self._data = data
        if self._url:
            refuse_wrong_url(self._url)

    async def read(self) -> RefusalsByEvent | None:
        """Refusals since the API started; None if no counters are found."""
        try:
            return await asyncio.to_thread(self._read)
        except (OSError, ValueError, RuntimeError, struct.error, http.client.HTTPException):
            return None  # not reachable, not an API, or a file that is being created

    def _read(self) -> RefusalsByEvent | None:
        if self._url:
            text = _get(f"{self._url}/metrics")
            lines = [line for line in text.splitlines() if METRIC in line]
            return _refusals(text_string_to_metric_families("\n".join([*lines, ""])))
        folder = self._folder()
        if folder is None:
            return None
        files = [str(path) for path in folder.glob("counter_*.db")]
        merged = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return _refusals(merged) if files else None

    def _folder(self) -> Path | None:
        """The folder of the shared counters, while the parts run."""
        if named := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            return Path(named)
        folder = self._data / "metrics"
        return folder if folder.is_dir() and servers.find(self._data) else None


def of_event(found: RefusalsByEvent | None, event: str) -> dict[str, int] | None:
    """The refusals of one event by code, most first.

    None if they are not known: beyond EVENTS_MAX events a process counts under no event.
    """
    if found is None or (event not in found and len(found) > EVENTS_MAX):
        return None
    return dict(Counter(found.get(event, {})).most_common())


def of_all(found: RefusalsByEvent | None) -> dict[str, int] | None:
    """All refusals by code, most first."""
    if found is None:
        return None
    total: Counter[str] = Counter()
    for codes in found.values():
        total.update(codes)
    return dict(total.most_common())


def _refusals(metrics: Iterable[Metric]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for metric in metrics:
        for sample in metric.samples:
            if sample.name == METRIC:
                codes = found.setdefault(sample.labels["event"], {})
                code = sample.labels["code"]
                codes[code] = codes.get(code, 0) + int(sample.value)
    return found


def _get(url: str) -> str:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "localhost", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise http.client.HTTPException(f"{url} answers {response.status}")
        return response.read().decode()
    finally:
        connection.close()
