"""What every baseline can do, and the house they sell.

A method holds seats of its own tables or keys: it never touches those of the engine, though it
uses the same servers.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self

HOLD_TTL_S = 900


class Taken(Exception):
    """Somebody has one of the seats; nothing was written."""


class Method(ABC):
    """Sells seats, as a context: entered before the first call."""

    @abstractmethod
    async def open_house(self, seats: Sequence[str]) -> None:
        """Make exactly these seats free, and forget every booking."""

    @abstractmethod
    async def hold(self, seats: Sequence[str], customer: str) -> str:
        """Hold all of the seats or none. The booking's id. Raises Taken."""

    @abstractmethod
    async def bookings(self) -> list[tuple[str, list[str]]]:
        """Every booking that stands, and its seats: as it is recorded, not as it was answered."""

    async def __aenter__(self) -> Self:
        return self

    @abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
