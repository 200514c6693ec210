"""A short real war: real processes, real buyers over HTTP, and a verdict on what they did."""

import subprocess
import sys
from pathlib import Path

import msgspec

from bench.aftermath import Outcome
from bench.stand import Stand, engine_up

EVENT = "hall"


def fight(stand: Stand, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `engine war` as a person would."""
    command = [sys.executable, "-m", "engine", "war", "--event", EVENT, "--url", stand.url]
    command += ["--data", str(stand.data), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_war_sells_nothing_twice_and_leaves_nothing_over(tmp_path: Path) -> None:
    with engine_up(tmp_path / "data") as stand:
        stand.load("venue:hall", EVENT, "--hold-ttl", "2")
        told = fight(stand, "--buyers", "50", "--seconds", "5", "--json")
        assert told.returncode == 0, told.stdout + told.stderr
        outcome = msgspec.json.decode(told.stdout, type=Outcome)
        shown = fight(stand, "--buyers", "5", "--seconds", "1")
    assert outcome.clean
    summary = outcome.summary
    assert summary.attempt_count >= summary.held_count > 100
    assert summary.failures == {}
    assert summary.confirmed_count == outcome.statuses["confirmed"] > 0
    assert summary.confirmed_places == outcome.places.sold
    assert summary.released_count == outcome.statuses["released"] > 0
    assert outcome.statuses["expired"] >= summary.abandoned_count > 0
    assert outcome.places.held == 0
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for line in ("attempts to hold", "hold, p50 / p99", "writer lag", "Redis and Postgres agree"):
        assert line in shown.stdout
