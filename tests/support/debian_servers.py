"""Runs a command against the Redis and the Postgres of this machine's packages, on loopback.

    python -m tests.support.debian_servers pytest tests/lua

Debian: redis-server, postgresql. The servers live in a temporary folder and end with the command.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _as_nobody(command: list[str]) -> list[str]:
    """Postgres refuses to run as root."""
    root = os.geteuid() == 0
    return (
        ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        if root
        else command
    )


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    """A server while the block lasts. Raises RuntimeError if it does not listen within 30 s."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"{command[0]} does not listen on {port}") from None
            yield
        finally:
            process.terminate()


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The URL of a Redis with the durability of production."""
    port = _free_port()
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    durable = ["--appendonly", "yes", "--appendfsync", "always", "--notify-keyspace-events", "Ex"]
    with _running(["redis-server", *settings, *durable], port):
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """The URL of the newest Postgres that is installed, as its superuser."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    programs = found[-1].parent if found else Path(shutil.which("postgres") or "postgres").parent
    port = _free_port()
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"
    make = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust"]
    subprocess.run(_as_nobody(make), check=True, stdout=subprocess.DEVNULL)
    where = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "max_connections=200"]
    with _running(_as_nobody([str(programs / "postgres"), "-D", str(data), *where]), port):
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


def main() -> int:
    """Run the command of the arguments; its exit code."""
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder, ExitStack() as stack:
        os.chmod(folder, 0o755)
        places = [Path(folder) / name for name in ("redis", "postgres")]
        for place in places:
            place.mkdir()
        environ = {
            **os.environ,
            "TEST_REDIS_URL": stack.enter_context(redis_server(places[0])),
            "TEST_DATABASE_URL": stack.enter_context(postgres_server(places[1])),
        }
        return subprocess.run(sys.argv[1:], env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
