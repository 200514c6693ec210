"""Servers that run under valgrind's callgrind, which counts the instructions they execute.

Counts do not depend on the load of the machine, and two runs differ by 1 to 3 %. A server takes
some 50 times as long as without callgrind, so times that are measured meanwhile mean nothing.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.rig.stand import free_port, running
from embedded.valkey import Valkey
from engine.errors import Misconfigured
from engine.settings.settings import Settings

PROGRAM = "valgrind"
READY_S_MAX = 300.0
_CONTROL = "callgrind_control"


class Counter:
    """Counts the instructions of one process. `profile` is the file that it was started with."""

    def __init__(self, pid: int, profile: Path) -> None:
        self._pid = pid
        self._profile = profile
        self._dump_count = 0

    def start(self) -> None:
        """Count from here on, where the process was started with `--instr-atstart=no`."""
        _control("--instr=on", self._pid)

    def instructions(self) -> int:
        """Instructions executed since the last call, or since the start. Raises Misconfigured."""
        said = _control("--dump", self._pid)
        self._dump_count += 1
        path = self._profile.with_suffix(f".out.{self._dump_count}")
        if not path.exists():
            raise Misconfigured(f"{_CONTROL}: {said}")
        return total_of(path.read_text(encoding="utf-8"))


class CountedValkey(Valkey):
    """The embedded Valkey with its settings and allocator, under callgrind."""

    def command(self, run: Path, keep: list[int]) -> list[str]:
        """As embedded, but it never forks to rewrite its append-only file: a fork counts too."""
        server = [*super().command(run, keep), "--auto-aof-rewrite-percentage", "0"]
        return _counted(self._profile, server)

    @property
    def _profile(self) -> Path:
        """Each dump is this file with its number behind it."""
        return self.path / "callgrind.out"

    def counter(self) -> Counter:
        """Its counter. Call it once the server runs."""
        return Counter(self.pid, self._profile)


@contextmanager
def counted_api(settings: Settings, folder: Path) -> Iterator[tuple[str, Counter]]:
    """`engine serve` with these servers and this secret. Yields its URL and its counter.

    Its start is not counted: that would take minutes.
    """
    port, profile = free_port(), folder / "callgrind.out"
    url = f"http://127.0.0.1:{port}"
    serve = [sys.executable, "-m", "engine", "serve", "--port", str(port), "--data", str(folder)]
    variables = {"REDIS_URL": settings.redis_url, "JWT_SECRET": settings.jwt_secret}
    command = _counted(profile, serve, "--instr-atstart=no")
    with running(command, url, "/healthz", variables, READY_S_MAX) as pid:
        yield url, Counter(pid, profile)


def _counted(profile: Path, command: list[str], *options: str) -> list[str]:
    return [PROGRAM, "--tool=callgrind", f"--callgrind-out-file={profile}", *options, *command]


def _control(option: str, pid: int) -> str:
    """What callgrind_control says. Raises Misconfigured."""
    ran = subprocess.run([_CONTROL, option, str(pid)], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Misconfigured(f"{_CONTROL}: {ran.stderr or ran.stdout}")
    return ran.stdout


def total_of(profile: str) -> int:
    """The sum of a callgrind profile."""
    for line in reversed(profile.splitlines()):
        name, _, count = line.partition(": ")
        if name == "totals":
            return int(count)
    raise Misconfigured("a profile of callgrind has no line `totals`")
