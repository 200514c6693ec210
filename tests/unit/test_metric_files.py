"""Metrics of several processes in one folder: real processes, killed without a word."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.metrics import metrics, shared_files
from tests.support.servers import is_running

_ROOT = Path(__file__).parents[2]
_BEGIN = """
import os, signal, sys
from engine.metrics import metrics, shared_files

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def in_a_child(work):
    child = os.fork()
    if child == 0:
        work()
        die()
    os.waitpid(child, 0)
"""


def _run(folder: Path, body: str, part: str = "expire") -> subprocess.CompletedProcess[str]:
    """Run a process that shares its metrics in the folder, until it ends."""
    environ = {**os.environ, shared_files.FOLDER: str(folder)}
    command = [sys.executable, "-c", _BEGIN + body, part]
    return subprocess.run(
        command, env=environ, cwd=_ROOT, check=False, text=True, capture_output=True
    )


def _scraped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Every series of the folder, labels included, and its value."""
    monkeypatch.setenv(shared_files.FOLDER, str(folder))
    families = text_string_to_metric_families(shared_files.scrape().decode())
    return {
        sample.name + str(sample.labels or ""): sample.value
        for family in families
        for sample in family.samples
    }


def test_gauges_of_a_killed_process_vanish_and_its_counters_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "metrics.tickets_sold.inc(3); metrics.writer_up.set(1); metrics.http_in_flight.set(2);"
    died = _run(tmp_path, said + "print(shared_files.scrape().decode()); die()")
    assert died.returncode == -signal.SIGKILL
    assert "writer_up 1.0" in died.stdout
    assert "http_requests_in_flight 2.0" in died.stdout
    found = _scraped(tmp_path, monkeypatch)
    assert found["tickets_sold_total"] == 3
    assert "writer_up" not in found
    assert "http_requests_in_flight" not in found
    assert not any(name.startswith("process_") for name in found)


def test_restarts_let_the_folder_grow_by_nothing_and_the_counters_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The parent is there all the time: each child has a slot of its own, and always the same.
    sizes = "print(sum(file.stat().st_size for file in pathlib.Path(sys.argv[2]).glob('*.db')))"
    body = f"""
import pathlib
sys.argv.append({str(tmp_path)!r})
for number in range(30):
    in_a_child(lambda: (metrics.tickets_sold.inc(), metrics.seats.labels("gala", "sold").set(1)))
    {sizes}
"""
    first, *others = _run(tmp_path, body).stdout.split()
    assert int(first) > 0
    assert len(others) == 29
    assert set(others) == {first}  # a slot file has the id of its process, of more or fewer digits
    assert len(list(tmp_path.glob("*.slot"))) == 2
    assert _scraped(tmp_path, monkeypatch)["tickets_sold_total"] == 30


def test_processes_that_run_are_shown_by_part_and_slot(tmp_path: Path) -> None:
    shows = "print(shared_files.scrape().decode(), flush=True)"
    body = f"in_a_child(lambda: (metrics.tickets_sold.inc(), {shows}))"
    lines = _run(tmp_path, body, part="serve").stdout.splitlines()
    shown = [line.split()[0] for line in lines if line.startswith("process_resident_memory_bytes")]
    assert shown == [
        'process_resident_memory_bytes{part="serve",slot="slot0"}',
        'process_resident_memory_bytes{part="serve",slot="slot1"}',
    ]


def test_series_of_an_event_that_is_gone_is_taken_off(tmp_path: Path) -> None:
    body = """
pending = metrics.PerEvent(metrics.bookings_pending)
pending.set("gala", 2)
pending.set("opera", 0)
pending.keep(["opera"])
print(shared_files.scrape().decode())
pending.set("gala", 5)
print(shared_files.scrape().decode())
"""
    lines = _run(tmp_path, body).stdout.splitlines()
    assert [line for line in lines if line.startswith("bookings_pending")] == [
        'bookings_pending{event="opera"} 0.0',
        'bookings_pending{event="gala"} 5.0',
        'bookings_pending{event="opera"} 0.0',
    ]


def test_series_of_one_process_alone_are_taken_off_too() -> None:
    def shown() -> bool:
        families = {metric.name: metric for metric in shared_files.Own().collect()}
        return "restore_progress_ratio" in families

    restored = metrics.PerEvent(metrics.restore_progress)
    restored.set("gala", 0.5)
    assert shown()
    restored.keep([])
    assert not shown()


def test_file_without_a_size_does_not_spoil_the_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(tmp_path, "metrics.tickets_sold.inc()")
    (tmp_path / "counter_slot7.db").touch()  # its process died as it was made
    assert _scraped(tmp_path, monkeypatch)["tickets_sold_total"] == 1


def test_slot_of_a_running_process_is_not_given_to_another(tmp_path: Path) -> None:
    environ = {**os.environ, shared_files.FOLDER: str(tmp_path)}
    body = _BEGIN + "metrics.writer_up.set(1)\nprint('up', flush=True)\nsys.stdin.read()"
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", body, part],
            env=environ, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for part in ("write", "expire")
    )  # fmt: skip
    try:
        for process in (first, second):
            assert process.stdout
            assert process.stdout.readline() == b"up\n"
        running = shared_files.forget_dead(tmp_path)
        assert {(one.pid, one.part) for one in running} == {
            (first.pid, "write"),
            (second.pid, "expire"),
        }
    finally:
        for process in (first, second):
            process.communicate()
    assert not is_running(first.pid)
    assert shared_files.forget_dead(tmp_path) == []
