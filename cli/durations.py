"""The type of options that are a number of seconds."""

from math import isfinite
from typing import Any

import click


class Seconds(click.FloatRange):
    """A finite number of seconds: click's own range accepts `nan` and `inf`."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number. Raises click.BadParameter."""
        seconds: float = super().convert(value, param, ctx)
        if not isfinite(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds
