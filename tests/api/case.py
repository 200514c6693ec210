"""What a case of a route is: a call that succeeds when its owner makes it."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeAlias

from tests.api.client import Api


class Case(NamedTuple):
    """Path and body of a call."""

    path: str
    body: object = None


Prepare: TypeAlias = Callable[[Api], Awaitable[Case]]
