"""Every bug that is planted is caught, by the smallest check that should see it."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from engine import Engine, Settings
from tests.model.machine import Stage
from tests.mutants.checks import CHECKS, catches
from tests.mutants.planted import PLANTED, planting
from tests.mutants.planted_python import PLANTED_PYTHON


@pytest.fixture(scope="module")
def stage(redis_url: str) -> Iterator[Stage]:
    """An engine on a loop of its own, for all the bugs."""
    with asyncio.Runner() as runner:
        settings = Settings(redis_url=redis_url, jwt_secret="s" * 48)
        stage = Stage(runner, runner.run(Engine.connect(settings)))
        yield stage
        runner.run(stage.engine.close())


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "model"])
def test_control_nothing_is_caught_where_nothing_is_planted(stage: Stage, name: str) -> None:
    CHECKS[name](stage)


def test_every_planted_bug_is_caught(stage: Stage) -> None:
    missed = []
    for bug in PLANTED:
        started = time.perf_counter()
        with planting(bug):
            if not catches(bug.seen_by, stage):
                missed.append(bug.name)
        print(f"{time.perf_counter() - started:.2f} s  {bug.name}")
    for name, (patch, seen_by) in PLANTED_PYTHON.items():
        with patch():
            if not catches(seen_by, stage):
                missed.append(name)
    count = len(PLANTED) + len(PLANTED_PYTHON)
    print(f"caught {count - len(missed)}/{count} planted bugs")
    assert missed == []
    assert not catches("tour", stage), "and nothing is caught where nothing is planted"
