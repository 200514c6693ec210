"""The layers of pyproject.toml hold: import-linter says so."""

from importlinter import api as importlinter
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_layers_hold() -> None:
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def test_the_contracts_are_read() -> None:
    assert len(importlinter.read_configuration()["contracts_options"]) == 7
