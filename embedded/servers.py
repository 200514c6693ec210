"""The embedded servers of one data folder: starts both, finds them from another terminal, stops.

`<data>/lock` is held by the one `engine up` of the folder and contains its pid. `servers.json` has
the URLs for the other commands; it exists only while the servers run.
"""

import fcntl
import os
import secrets
import socket
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec

from embedded.postgres import SOCKET_NAME, Postgres
from embedded.process import EmbeddedServer, lock, private_folder
from embedded.valkey import Valkey
from engine.errors import Misconfigured


class ServerUrls(msgspec.Struct, frozen=True):
    """The content of servers.json; the URL of a server that is not embedded is empty."""

    redis_url: str
    database_url: str
    pids: dict[str, int]
    api_url: str = ""


class Servers:
    """The running servers of one data folder, which is locked until `stop`."""

    def __init__(self, data: Path, lock: int) -> None:
        self.data = data
        self.urls = ServerUrls("", "", {})
        self._lock = lock
        self._running: list[EmbeddedServer] = []
        self._api_url = ""

    @property
    def redis_url(self) -> str:
        """Empty without an embedded Valkey."""
        return self.urls.redis_url

    @property
    def database_url(self) -> str:
        """Empty without an embedded Postgres."""
        return self.urls.database_url

    def __enter__(self) -> "Servers":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def announce_api(self, url: str) -> None:
        """Write the URL of the API into servers.json, for the commands that call it."""
        self._api_url = url
        self._publish()

    def revive(self) -> list[str]:
        """Restart the servers that died, under the same URL, and return their names.

        Raises Misconfigured when one does not start.
        """
        died = [server for server in self._running if not server.is_running()]
        for server in died:
            server.start()
        if died:
            self._publish()
        return [server.name for server in died]

    def stop(self) -> None:
        """Stop the servers, remove their sockets and servers.json, and release the folder."""
        (self.data / "servers.json").unlink(missing_ok=True)
        while self._running:
            self._running.pop().stop()
        os.close(self._lock)

    def _start(self, wanted: list[EmbeddedServer]) -> None:
        for server in wanted:
            server.start()
            self._running.append(server)
        self._publish()

    def _publish(self) -> None:
        by_name = {server.name.lower(): server for server in self._running}
        url_of = {name: server.url for name, server in by_name.items()}
        pids = {name: server.pid for name, server in by_name.items()}
        self.urls = ServerUrls(
            url_of.get("valkey", ""), url_of.get("postgres", ""), pids, self._api_url
        )
        _write_whole(self.data / "servers.json", msgspec.json.encode(self.urls))


def start(data_dir: Path | str, *, redis: bool = True, postgres: bool = True) -> Servers:
    """Start the requested servers on the folder, adopting those that a killed run left.

    Raises Misconfigured when the folder is in use, a wheel is missing or a server does not start.
    """
    data = private_folder(Path(data_dir).resolve())
    servers = Servers(data, _take(data / "lock"))
    wanted: list[EmbeddedServer] = []
    if redis:
        wanted.append(Valkey(data / "valkey"))
    if postgres:
        wanted.append(Postgres(data / "postgres"))
    try:
        servers._start(wanted)
    except BaseException:
        servers.stop()
        raise
    return servers


def find(data_dir: Path | str) -> ServerUrls | None:
    """The servers that `engine up` started on the folder; None if they do not answer."""
    try:
        text = (Path(data_dir) / "servers.json").read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Misconfigured(f"{error.filename}: {error.strerror}") from error
    urls = msgspec.json.decode(text, type=ServerUrls)
    sockets = [_socket_path(url) for url in (urls.redis_url, urls.database_url) if url]
    return urls if all(_listens(path) for path in sockets) else None


def jwt_secret(data_dir: Path | str) -> str:
    """The secret that signs tokens; the first call generates it. Raises Misconfigured."""
    path = private_folder(Path(data_dir)) / "jwt_secret"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be opened: {error.strerror}") from error
    with open(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        secret = file.read().strip()
        if not secret:
            secret = secrets.token_urlsafe(48)
            file.write(secret)
    return secret


def _take(path: Path) -> int:
    descriptor = lock(path)
    if descriptor is None:
        pid = path.read_text().strip() or "another process"
        raise Misconfigured(f"{path.parent} is in use by `engine up` with pid {pid}")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _write_whole(path: Path, content: bytes) -> None:
    """Replace a file atomically: a reader sees the whole old file or the whole new one."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.rename(path)


def _socket_path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return Path(parts.path)
    return Path(parse_qs(parts.query)["host"][0]) / SOCKET_NAME


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
