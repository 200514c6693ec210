"""Trials: tests that inject a fault some number of times, and report a figure.

One code for two lengths: a test marked `trial("T07")` asks `trial.rounds(short, long)`. `make test`
takes the short number; `make faults` sets FAULTS_FACTOR and takes the long one times the factor.
What a trial tells is kept for the table of docs/reliability.md, where FAULTS_RESULTS names a file.
A new seed is drawn for every run, stands in the head of pytest's report, and may be given again
by FAULTS_SEED.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest
from msgspec import Struct

SEED = int(os.environ.get("FAULTS_SEED") or SystemRandom().randrange(10**6))
FACTOR = float(os.environ.get("FAULTS_FACTOR") or 0)

_TOLD = pytest.StashKey["list[Told]"]()


class Told(Struct, frozen=True, kw_only=True):
    """What one trial says of itself: how often what was injected, and what was measured."""

    injected_count: int
    injected: str
    figure: str


class Trial:
    """One trial of one test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.random = Random(f"{SEED} {name}")
        self.told: list[Told] = []

    @property
    def long(self) -> bool:
        """Whether this is `make faults`."""
        return FACTOR > 0

    def rounds(self, short: int, long: int) -> int:
        """How often, or how long, in this run."""
        return max(1, round(long * FACTOR)) if self.long else short

    def seconds(self, short: float, long: float) -> float:
        """The same of a time in seconds."""
        return long * FACTOR if self.long else short

    def tell(self, injected_count: int, injected: str, figure: str) -> None:
        """Say what was done and what it came to; the promises are for assertions."""
        told = Told(injected_count=injected_count, injected=injected, figure=figure)
        self.told.append(told)
        print(f"\n{self.name}: {injected_count:,} x {injected}: {figure}")


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Trial:
    """The trial that the test is marked as."""
    marker = request.node.get_closest_marker("trial")
    assert marker, "mark the test with its trial"
    made = Trial(marker.args[0])
    request.node.stash[_TOLD] = made.told
    return made


def pytest_report_header() -> str:
    """The seed, with which a failure can be repeated."""
    return f"trials: seed {SEED} (FAULTS_SEED), factor {FACTOR:g} (FAULTS_FACTOR; 0: short forms)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what FAULTS_ONLY does not name."""
    only = os.environ.get("FAULTS_ONLY", "").split()
    if only:
        marks = [(item, item.get_closest_marker("trial")) for item in items]
        items[:] = [item for item, mark in marks if mark and mark.args[0] in only]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Keep what a trial came to."""
    report: Any = yield
    marker = item.get_closest_marker("trial")
    path = os.environ.get("FAULTS_RESULTS")
    if marker and path and (report.when == "call" or report.failed):
        line = {
            "trial": marker.args[0],
            "test": item.nodeid,
            "held": report.passed,
            "seed": SEED,
            "seconds": round(report.duration, 1),
            "told": [fields_of(told) for told in item.stash.get(_TOLD, [])],
        }
        with Path(path).open("a") as results:
            results.write(json.dumps(line) + "\n")
    return report  # type: ignore[no-any-return]


def fields_of(told: Told) -> dict[str, object]:
    """As in the file."""
    return {name: getattr(told, name) for name in told.__struct_fields__}
