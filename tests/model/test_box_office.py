"""The scripts do what the model says, whatever is done in whatever sequence.

Every commit takes other steps; what fails is shrunk to the shortest sequence and printed with the
line that repeats it. `make model` runs for longer.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from engine import Engine
from engine.settings.settings import Settings
from tests.model.machine import BoxOfficeMachine, Stage

EXAMPLES, STEPS = 80, 45
"""On every commit; the profile `long` has its own."""


@pytest.fixture
def stage(redis_url: str) -> Iterator[Stage]:
    """An engine of its own, on a loop of its own: hypothesis drives, and is not asynchronous."""
    with asyncio.Runner() as runner:
        settings = Settings(redis_url=redis_url, jwt_secret="s" * 48)
        stage = Stage(runner, runner.run(Engine.connect(settings)))
        yield stage
        runner.run(stage.engine.close())


def test_scripts_do_what_the_model_says(stage: Stage) -> None:
    chosen = settings()
    long = settings.get_current_profile_name() == "long"
    run_state_machine_as_test(
        cast("type[BoxOfficeMachine]", partial(BoxOfficeMachine, stage)),
        settings=settings(
            max_examples=chosen.max_examples if long else EXAMPLES,
            stateful_step_count=chosen.stateful_step_count if long else STEPS,
            print_blob=True,
            phases=(Phase.reuse, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"{stage.step_count} steps")
    assert stage.step_count >= 1000
