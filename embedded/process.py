"""One server process and its folder: starts or adopts it, and stops it.

The server inherits a descriptor of `<folder>/lock` with an flock. While the lock is held, the
server is alive, whichever process started it, and the pid it reports is its own. So the state is
certain after a SIGKILL of `engine up`, a reboot or a reused pid, and two servers never write the
same files (Valkey itself would not detect that). `<folder>/run` is a link to the private folder of
the socket, because a socket's path is limited to 103 bytes.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, TypedDict

from engine.errors import Misconfigured

START_TIMEOUT_S = 60
LOAD_TIMEOUT_S = 600
"""How long a server may load its files before it serves."""

STOP_TIMEOUT_S = 20
_ADOPT_TIMEOUT_S = 10
_SOCKET_PATH_MAX = 103
_SOCKET_PATH_END = "/engine-xxxxxxxx/.s.PGSQL.5432"


class Identity(TypedDict, total=False):
    """The user of a process, as keywords of subprocess.Popen; empty: the current user."""

    user: int
    group: int
    extra_groups: list[int]


class EmbeddedServer(ABC):
    """A server on one folder. A subclass has its command, and how to read its pid."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    niceness: ClassVar[int] = 0
    """Its scheduling priority, as in nice(2): a higher value yields the processor to others."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.identity: Identity = {}
        self.pid = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL for clients while it runs."""

    @abstractmethod
    def answering_pid(self) -> int | None:
        """The pid of the server that works on this folder and answers now."""

    def is_loading(self) -> bool:
        """Whether it answers but does not serve yet, because it is loading its files."""
        return False

    @abstractmethod
    def command(self, run: Path, keep: list[int]) -> list[str]:
        """The program and its arguments; prepares what they need.

        `run` is the folder of its socket. Descriptors that it must inherit are added to `keep`.
        """

    def environ(self) -> dict[str, str]:
        """Environment variables in addition to those of this process."""
        return {}

    @property
    def run(self) -> Path:
        """The folder of the socket."""
        return (self.path / "run").resolve()

    @property
    def log(self) -> Path:
        """The log file of the server."""
        return self.path / "log"

    def is_running(self) -> bool:
        """Whether the server that `start` started or adopted is still alive."""
        return not self._is_gone_after(0)

    def start(self) -> None:
        """Start the server, or adopt the one that a killed run left. Raises Misconfigured.

        After a crash it has the same URL as before.
        """
        private_folder(self.path)
        end = time.monotonic() + _ADOPT_TIMEOUT_S
        while (descriptor := lock(self.path / "lock")) is None:
            if pid := self.answering_pid():
                self.pid = pid
                self._wait_until_it_serves()
                return
            if time.monotonic() > end:
                raise Misconfigured(
                    f"a {self.name} of an earlier run holds {self.path} and does not answer at "
                    f"{self.run}: stop that process first"
                )
            time.sleep(0.01)
        keep = [descriptor]
        try:
            self._launch(keep)
        except BaseException:
            self._remove_run()
            raise
        finally:
            for descriptor in keep:
                os.close(descriptor)

    def stop(self) -> None:
        """Stop it cleanly and wait until it has ended; after STOP_TIMEOUT_S it is killed."""
        for number in (self.stop_signal, signal.SIGKILL):
            self._send(number)
            if self._is_gone_after(STOP_TIMEOUT_S):
                break
        self._remove_run()

    def log_tail(self) -> str:
        """The last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-12:])

    def _launch(self, keep: list[int]) -> None:
        run = self._make_run()
        keep.append(os.open(run, os.O_RDONLY | os.O_DIRECTORY))
        fcntl.flock(keep[-1], fcntl.LOCK_SH)  # cleaners of /tmp skip a locked folder
        command = self.command(run, keep)
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603  # fixed arguments
                    command, env={**os.environ, **self.environ()}, cwd="/",
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,  # otherwise Ctrl-C would stop it before its clients
                    pass_fds=keep, **self.identity,
                )  # fmt: skip
        except OSError as error:
            raise Misconfigured(f"{self.name} cannot be started: {error}") from error
        self.pid = self._process.pid
        os.setpriority(os.PRIO_PROCESS, self.pid, os.nice(0) + self.niceness)
        try:
            self._wait_until_it_answers(self._process)
            self._wait_until_it_serves()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _wait_until_it_answers(self, process: "subprocess.Popen[bytes]") -> None:
        end = time.monotonic() + START_TIMEOUT_S
        while self.answering_pid() != process.pid:
            if process.poll() is not None or time.monotonic() > end:
                raise Misconfigured(
                    f"{self.name} did not start; the end of {self.log}:\n{self.log_tail()}"
                )
            time.sleep(0.01)

    def _wait_until_it_serves(self) -> None:
        end = time.monotonic() + LOAD_TIMEOUT_S
        while self.is_loading():
            if not self.is_running() or time.monotonic() > end:
                raise Misconfigured(
                    f"{self.name} did not load its files; the end of {self.log}:\n{self.log_tail()}"
                )
            time.sleep(0.01)

    def _make_run(self) -> Path:
        """Make an empty folder for the socket, in place of the one a crash left or a new one."""
        link = self.path / "run"
        if link.is_symlink():
            run = self.run
            self._remove_run()
            with contextlib.suppress(OSError):  # another process has made this folder
                run.mkdir(mode=0o700)
                return self._own_run(run)
        places = (tempfile.gettempdir(), "/tmp", "/var/tmp")  # noqa: S108  # mkdtemp is private
        for place in places:
            too_long = len(os.fsencode(place + _SOCKET_PATH_END)) > _SOCKET_PATH_MAX
            if too_long or not can_enter(Path(place), self.identity):
                continue
            return self._own_run(Path(tempfile.mkdtemp(prefix="engine-", dir=place)).resolve())
        raise Misconfigured(f"no folder for {self.name}'s socket: {places} cannot be used")

    def _own_run(self, run: Path) -> Path:
        if self.identity:
            os.chown(run, self.identity["user"], self.identity["group"])
        (self.path / "run").symlink_to(run)
        return run

    def _remove_run(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree((self.path / "run").readlink(), ignore_errors=True)
            (self.path / "run").unlink()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
        elif self.is_running():  # the lock is held, so the pid has not been reused
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _is_gone_after(self, timeout_s: float) -> bool:
        end = time.monotonic() + timeout_s
        if self._process is not None:
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return False
        while (descriptor := lock(self.path / "lock")) is None:  # its children may still hold it
            if time.monotonic() >= end:
                return False
            time.sleep(0.01)
        os.close(descriptor)
        return True


def private_folder(path: Path) -> Path:
    """Make the folder unless it exists, readable only by this user. Raises Misconfigured."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"the folder {path} cannot be made: {error.strerror}") from error
    return path


def lock(path: Path) -> int | None:
    """Lock the file; None while another process holds it. Closing the descriptor releases it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def can_enter(folder: Path, identity: Identity) -> bool:
    """Whether the user can enter the folder. The kernel decides, because it also knows the ACLs."""
    if not identity:
        return os.access(folder, os.X_OK)
    asked = ["/bin/sh", "-c", 'cd "$0"', str(folder)]
    done = subprocess.run(asked, check=False, capture_output=True, **identity)  # noqa: S603
    return done.returncode == 0
