"""The processes a benchmark runs against, started for it alone and stopped after it.

`engine up` as a user would start it, on a folder and a port of its own; what REDIS_URL and the
like say is left out, so that a benchmark never touches a real installation.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryFile

from bench.load import client
from embedded import servers
from engine.errors import Misconfigured, Unavailable
from engine.settings.settings import Settings

READY_S_MAX = 60.0
STOP_S_MAX = 30.0
_LOOK_AGAIN_S = 0.1
_NOT_OURS = ("REDIS_URL", "DATABASE_URL", "JWT_SECRET", "JWT_SECRET_FILE")


class Stand:
    """One running `engine up`."""

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    @property
    def settings(self) -> Settings:
        """How to reach its Redis and Postgres, and its token secret."""
        found = servers.find(self.data)
        if found is None:
            raise Misconfigured(f"nothing runs in {self.data}")
        return Settings(
            redis_url=found.redis_url,
            database_url=found.database_url,
            jwt_secret=servers.jwt_secret(self.data),
        )

    def api_cpu_s(self) -> float:
        """What its API processes have used of the cores so far; 0 where there is no /proc."""
        used = 0.0
        for place in self._api_processes():
            with suppress(OSError):  # it has ended
                times = (place / "stat").read_text().rpartition(") ")[2].split()[11:13]
                used += sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
        return used

    def api_memory_bytes(self) -> int:
        """The resident memory of its largest API process; 0 where there is no /proc."""
        sizes = [0]
        for place in self._api_processes():
            with suppress(OSError):
                pages = int((place / "statm").read_text().split()[1])
                sizes.append(pages * os.sysconf("SC_PAGE_SIZE"))
        return max(sizes)

    def _api_processes(self) -> Iterator[Path]:
        asked = {b"serve", b"--port", str(self.port).encode()}
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if asked <= set((place / "cmdline").read_bytes().split(b"\0")):
                    yield place


@contextmanager
def engine_up(
    data: Path, workers: int = 1, variables: Mapping[str, str] | None = None
) -> Iterator[Stand]:
    """Start `engine up` and wait until it is ready; stop it at the end."""
    stand = Stand(data, free_port())
    command = [sys.executable, "-m", "engine", "up", "--port", str(stand.port)]
    command += ["--data", str(data), "--workers", str(workers)]
    with running(command, stand.url, "/readyz", variables or {}):
        yield stand


@contextmanager
def bare_endpoint(
    jwt_secret: str,
    variables: Mapping[str, str] | None = None,
    *,
    app: str = "bench.rig.bare:app",
    workers: int = 1,
) -> Iterator[str]:
    """Serve `bench.rig.bare`, or a baseline, with the flags of `engine serve`. Yields its URL."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--no-access-log", "--no-server-header"]
    command += ["--log-level", "warning", "--workers", str(workers)]
    url = f"http://127.0.0.1:{port}"
    with running(command, url, "/", {"JWT_SECRET": jwt_secret, **(variables or {})}):
        yield url


@contextmanager
def part_running(data: Path, part: str) -> Iterator[None]:
    """Run `engine PART` (expire, write) on the servers of a folder, until it is left."""
    command = [sys.executable, "-m", "engine", part, "--data", str(data)]
    process = subprocess.Popen(command, env=_environ(), stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S_MAX)


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def this_or_free_port(port: int) -> int:
    """This port, or a free one if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
    return port


@contextmanager
def running(
    command: list[str],
    url: str,
    path: str,
    variables: Mapping[str, str],
    ready_s_max: float = READY_S_MAX,
) -> Iterator[int]:
    """Run a server until it is left, once it answers at `path`. Yields its process id.

    Raises Misconfigured with what it printed if it does not become ready.
    """
    with TemporaryFile() as log:
        environ = _environ() | {**variables}
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        try:
            if not _becomes_ready(process, url, path, ready_s_max):
                log.seek(0)
                said = log.read().decode(errors="replace")
                raise Misconfigured(f"{url}{path} did not become ready:\n{said}")
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_S_MAX)


def _becomes_ready(
    process: subprocess.Popen[bytes], url: str, path: str, ready_s_max: float
) -> bool:
    end_s = time.monotonic() + ready_s_max
    while time.monotonic() < end_s and process.poll() is None:
        with suppress(Unavailable):
            if client.get(url, path)[0] < 500:
                return True
        time.sleep(_LOOK_AGAIN_S)
    return False


def _environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    return kept | {"RATE_LIMITS": "off"}
