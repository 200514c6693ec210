"""The redis-py client behind the engine's: every command, for what only tests need."""

from typing import Any

from engine import Engine


def raw(engine: Engine) -> Any:
    """Untyped: the engine's own client has only the commands of the engine."""
    return engine.client
