"""Every bug that is planted is caught, by the smallest check that should see it."""

import asyncio
from collections.abc import Iterator

import pytest

from engine import Engine, Settings
from tests.model.machine import Stage
from tests.mutants.checks import CHECKS, catches
from tests.mutants.planted import PLANTED, Planted, planting
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


@pytest.mark.parametrize("bug", PLANTED, ids=[bug.name for bug in PLANTED])
def test_planted_bug_is_caught(stage: Stage, bug: Planted) -> None:
    with planting(bug):
        assert catches(bug.seen_by, stage)


@pytest.mark.parametrize("name", PLANTED_PYTHON)
def test_bug_planted_in_python_is_caught(stage: Stage, name: str) -> None:
    patch, seen_by = PLANTED_PYTHON[name]
    with patch():
        assert catches(seen_by, stage)


def test_control_the_tour_catches_nothing_where_nothing_is_planted(stage: Stage) -> None:
    assert not catches("tour", stage)
