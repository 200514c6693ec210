"""The files in which processes share their metrics, one slot a running process, and the scrape.

prometheus-client names a process's files by its pid, so a folder grows with every restart, and the
gauges of a killed process stay until a supervisor removes them. Here a process takes the lowest
free slot, a file lock that the kernel releases when the process ends. The next process continues
the counters of the slot, so the folder has only as many slots as processes ever ran at once. The
scrape sees by the lock which gauges belong to dead processes, without a supervisor.

As a program it prints the scrape, so it imports nothing from the other packages.
"""

import fcntl
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

from prometheus_client import REGISTRY, ProcessCollector, generate_latest, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
FORGOTTEN = float("nan")
"""The value of a series that has ended: a file keeps every series it ever had."""


class Running(NamedTuple):
    """A process that shares its metrics: its slot, and which part of the system it is."""

    slot: str
    pid: int
    part: str


def share() -> None:
    """Keep values in the folder FOLDER names, if set. Call it before a metric is created."""
    if folder := os.environ.get(FOLDER):
        values.ValueClass = values.MultiProcessValue(_Slot(Path(folder)))  # type: ignore[no-untyped-call]


def shared() -> bool:
    """Whether this process keeps its metrics in files."""
    return bool(values.ValueClass._multiprocess)


def scrape() -> bytes:
    """Every metric as Prometheus' text: of all processes of the folder, or of this one.

    Reads every file of the folder, about 15 ms a process: do not call it in an event loop.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        return generate_latest(Own())
    return generate_latest(_Folder(Path(folder)))


class Own(Collector):
    """The metrics of this process alone, for a part with its own metrics port."""

    def collect(self) -> Iterator[Metric]:
        """Every series that has not ended."""
        return _standing(REGISTRY.collect())


class _Folder(Collector):
    """The metrics of all processes of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Merged by metric; `process_*` once a process, because their sum has no meaning."""
        running = forget_dead(self._folder)
        files = [str(path) for path in self._folder.glob("*.db") if _is_begun(path)]
        yield from _standing(MultiProcessCollector.merge(files))  # type: ignore[no-untyped-call]
        yield from _processes(running)


def forget_dead(folder: Path) -> list[Running]:
    """Remove the gauges of dead processes and return the running ones."""
    running = []
    with _locked(folder / "claims"):
        for path in sorted(folder.glob("*.slot")):
            with open(path, "r+") as file:
                if _take(file.fileno()):
                    mark_process_dead(path.stem, str(folder))  # type: ignore[no-untyped-call]
                else:
                    pid, _, part = file.read().partition(" ")
                    running.append(Running(path.stem, int(pid), part))
    return running


class _Slot:
    """This process's slot in a folder, taken at its first use; a fork takes its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = ""
        self._lock = -1
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self) -> str:
        if not self._name:  # called for every value: comparing the pid would cost a system call
            self._claim()
        return self._name

    def _forget(self) -> None:
        self._name = ""

    def _claim(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)  # the parent's, which keeps its own descriptor
        self._folder.mkdir(parents=True, exist_ok=True)
        with _locked(self._folder / "claims"):
            for number in count():
                name = f"slot{number}"  # a bare number could be a pid
                lock = os.open(self._folder / f"{name}.slot", os.O_RDWR | os.O_CREAT, 0o600)
                if _take(lock):
                    break
                os.close(lock)
            os.ftruncate(lock, 0)
            os.write(lock, f"{os.getpid()} {_part()}".encode())
            mark_process_dead(name, str(self._folder))  # type: ignore[no-untyped-call]
        self._name, self._lock = name, lock


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock the folder: no process takes a slot while its last owner's gauges are removed."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_begun(path: Path) -> bool:
    """Whether the file has content: it is empty while it is created, or after a crash then."""
    with suppress(FileNotFoundError):
        return path.stat().st_size > 0
    return False


def _part() -> str:
    """The command this process was started with: `serve`, also for the workers it spawns."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    return word if re.fullmatch("[a-z]{1,20}", word) else "other"


def _standing(metrics: Iterable[Metric]) -> Iterator[Metric]:
    for metric in metrics:
        metric.samples = [sample for sample in metric.samples if sample.value == sample.value]
        if metric.samples:
            yield metric


def _processes(running: Iterable[Running]) -> Iterable[Metric]:
    found: dict[str, Metric] = {}
    for process in running:
        labels = {"part": process.part, "slot": process.slot}
        for metric in ProcessCollector(pid=partial(int, process.pid), registry=None).collect():
            merged = found.setdefault(
                metric.name, Metric(metric.name, metric.documentation, metric.type)
            )
            merged.samples += [Sample(s.name, labels, s.value) for s in metric.samples]
    return found.values()


if __name__ == "__main__":
    os.nice(10)
    sys.stdout.buffer.write(scrape())
