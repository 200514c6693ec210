"""A Valkey that runs under valgrind's callgrind, which counts the instructions it executes.

Counts do not depend on the load of the machine, and two runs differ by about 1 %. The server takes
some 50 times as long as without callgrind, so times that are measured meanwhile mean nothing.
"""

import subprocess
from pathlib import Path

from embedded.valkey import Valkey
from engine.errors import Misconfigured

PROGRAM = "valgrind"
_CONTROL = "callgrind_control"


class CountedValkey(Valkey):
    """The embedded Valkey with its settings and allocator, under callgrind."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._dump_count = 0

    def command(self, run: Path, keep: list[int]) -> list[str]:
        """As embedded, but it never forks to rewrite its append-only file: a fork counts too."""
        server = [*super().command(run, keep), "--auto-aof-rewrite-percentage", "0"]
        return [PROGRAM, "--tool=callgrind", f"--callgrind-out-file={self._profile}", *server]

    @property
    def _profile(self) -> Path:
        """Each dump is this file with its number behind it."""
        return self.path / "callgrind.out"

    def instructions(self) -> int:
        """Instructions executed since the last call, or since the start. Raises Misconfigured."""
        dump = [_CONTROL, "--dump", str(self.pid)]
        ran = subprocess.run(dump, capture_output=True, text=True, check=False)
        self._dump_count += 1
        path = self._profile.with_suffix(f".out.{self._dump_count}")
        if ran.returncode or not path.exists():
            raise Misconfigured(f"{_CONTROL}: {ran.stderr or ran.stdout}")
        return total_of(path.read_text(encoding="utf-8"))


def total_of(profile: str) -> int:
    """The sum of a callgrind profile."""
    for line in reversed(profile.splitlines()):
        name, _, count = line.partition(": ")
        if name == "totals":
            return int(count)
    raise Misconfigured("a profile of callgrind has no line `totals`")
