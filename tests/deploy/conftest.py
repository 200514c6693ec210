"""Debian's promtool and prometheus for the tests marked `prometheus`; without them they fail."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Promtool = Callable[..., subprocess.CompletedProcess[str]]
_MISSING = (
    "{} is missing: apt-get install prometheus (Debian, Ubuntu), brew install prometheus, or "
    "https://prometheus.io/download. `make test` does without."
)


def program(name: str) -> str:
    """The path of a program of Prometheus; the test fails without it."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(_MISSING.format(name))
    return found


@pytest.fixture
def promtool() -> Promtool:
    """Runs promtool; its output is one text."""
    path = program("promtool")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [path, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    return run
