"""A Valkey of a test's own, for trials that kill, stop, fill or cut what it works on.

The engine's embedded server, with more settings and signals by pid. The append-only file of one
that is stopped can be copied and cut: what a loss of power leaves of it.
"""

import os
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from embedded.valkey import Valkey


class OwnValkey(Valkey):
    """Starts in the given folder, with these settings over the engine's."""

    def __init__(self, path: Path, **settings: str) -> None:
        super().__init__(path)
        self._settings: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        self.more(**settings)

    def more(self, **settings: str) -> None:
        """Settings for the next start; `_` is `-`."""
        self._settings |= {name.replace("_", "-"): value for name, value in settings.items()}

    def command(self, run: Path, keep: list[int]) -> list[str]:
        """As the engine starts it. A write past a limit of size is an error, no signal's death."""
        more = [word for name, value in self._settings.items() for word in (f"--{name}", value)]
        given = [f"{name}={value}" for name, value in self.variables.items()]
        shell = ["/bin/sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh", "env", *given]
        return [*shell, *super().command(run, keep), *more]

    def start(self) -> None:
        """Start it and wait until it has loaded its file."""
        super().start()
        with redis.Redis.from_url(self.url) as client:
            while client.info("persistence")["loading"]:
                time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL, as the kernel does when memory is short."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._is_gone_after(10)

    def wait_until_gone(self) -> None:
        """It ends by itself."""
        assert self._is_gone_after(10)

    def restart(self) -> None:
        """End it cleanly and start it again under the same URL, as its supervisor would."""
        os.kill(self.pid, signal.SIGTERM)
        assert self._is_gone_after(10)
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def limit_file_bytes(self, most: int | None) -> None:
        """No file of its may grow beyond this: a full disk, for one process."""
        limit = resource.RLIM_INFINITY if most is None else most
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    @property
    def journal_file(self) -> Path:
        """What is appended to now."""
        return max((self.path / "appendonlydir").glob("*.incr.aof"))

    def copy_cut(self, to: Path, at: int) -> "OwnValkey":
        """What is left when the power fails with this much of the file on the disk."""
        shutil.copytree(self.path / "appendonlydir", to / "appendonlydir")
        copy = OwnValkey(to)
        copy.more(**self._settings)
        os.truncate(copy.journal_file, at)
        return copy
