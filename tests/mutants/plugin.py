"""`pytest -p tests.mutants.plugin --lua-folder DIR`: the tests run other scripts than lua/ has."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mutants.lua_source import scripts_in

_STACK = ExitStack()


def pytest_addoption(parser: pytest.Parser) -> None:
    """What pytest calls to ask for options."""
    parser.addoption("--lua-folder", type=Path, help="a copy of lua/, changed")


def pytest_configure(config: pytest.Config) -> None:
    """What pytest calls before it looks for tests."""
    if folder := config.getoption("--lua-folder"):
        _STACK.enter_context(scripts_in(folder))


def pytest_unconfigure(config: pytest.Config) -> None:
    """What pytest calls at the end."""
    _STACK.close()
