"""Writes exporters.json: which metrics, with which labels, the usual exporters really give.

    apt-get install prometheus-redis-exporter prometheus-postgres-exporter
    python -m tests.deploy.exporters

Both are Debian's, started against the embedded Valkey and Postgres, scraped once and stopped. The
list is committed, so that a test of the dashboards needs neither.
"""

import asyncio
import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from bench.rig.stand import free_port
from embedded import servers
from tests.support.waiting import until

LIST = Path(__file__).parent / "exporters.json"
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:]\w*)(\{(?P<labels>.*)\})? ")
_LABEL = re.compile(r"(\w+)=\"")
_REDIS, _POSTGRES = "prometheus-redis-exporter", "prometheus-postgres-exporter"


def listed(text: str, prefixes: tuple[str, ...]) -> dict[str, list[str]]:
    """The labels of every metric in a scrape with this prefix."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        sample = _SAMPLE.match(line)  # prometheus_client's parser would add _total to counters
        if sample and sample["name"].startswith(prefixes):
            found.setdefault(sample["name"], set()).update(_LABEL.findall(sample["labels"] or ""))
    return {name: sorted(labels) for name, labels in sorted(found.items())}


async def scrape(command: list[str], flag: str, environ: dict[str, str]) -> str:
    """What an exporter says of its server."""
    port = free_port()
    with _running([*command, f"{flag}=127.0.0.1:{port}"], environ):
        found = [""]

        async def answers() -> str:
            with suppress(OSError):
                found[0] = await asyncio.to_thread(_read, f"http://127.0.0.1:{port}/metrics")
            return found[0]

        await until(answers)
        return found[0]


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: str = answer.read().decode()
        return text


@contextmanager
def _running(command: list[str], environ: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _version(program: str) -> str:
    asked = ["dpkg-query", "--show", "--showformat=${Version}", program]
    told = subprocess.run(asked, capture_output=True, check=True, text=True)
    return f"{program} {told.stdout}"


async def _main() -> None:
    with TemporaryDirectory() as folder, servers.start(Path(folder) / "data") as started:
        socket = urlsplit(started.redis_url).path
        redis = await scrape([_REDIS, f"-redis.addr=unix://{socket}"], "-web.listen-address", {})
        postgres = await scrape(
            [_POSTGRES], "--web.listen-address", {"DATA_SOURCE_NAME": started.database_url}
        )
    found = {
        "redis": {"made_by": _version(_REDIS), "metrics": listed(redis, ("redis_",))},
        "postgres": {"made_by": _version(_POSTGRES), "metrics": listed(postgres, ("pg_",))},
    }
    LIST.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_main())
