"""What every baseline can do, and the house they sell.

A method holds seats of its own tables or keys: it never touches those of the engine, though it
uses the same servers.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from msgspec import Struct

from bench.baselines.redis_py import RedisPy
from persistence.database import Pool

HOLD_TTL_S = 900


class HouseTerms(Struct, frozen=True, kw_only=True):
    """How a house is sold, as an event of the engine: `customer_max` None is no limit."""

    on_sale: bool = True
    seats_max: int = 10
    customer_max: int | None = None
    hold_ttl_s: float = HOLD_TTL_S


OPEN = HouseTerms()


class HoldRefused(Exception):
    """A seat is taken, sales are closed, or a limit is reached; nothing was written."""


class Method(ABC):
    """Sells seats, as a context: entered before the first call.

    `does` is what it keeps and checks, for the page.
    """

    does: str

    def __init__(self, *, client: RedisPy = None, pool: "Pool | None" = None) -> None:
        self._client, self._pool = client, pool

    @abstractmethod
    async def open_house(self, seats: Sequence[str], terms: HouseTerms = OPEN) -> None:
        """Make exactly these seats free, and forget every booking."""

    @abstractmethod
    async def hold(self, seats: Sequence[str], customer: str, request: str | None = None) -> str:
        """Hold all of the seats or none; the same request has the same outcome.

        The booking's id. Raises HoldRefused.
        """

    @abstractmethod
    async def bookings(self) -> list[tuple[str, list[str]]]:
        """Every booking that stands, and its seats: as it is recorded, not as it was answered."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.aclose()
        if self._pool is not None:
            await self._pool.close()


def sold_twice(bookings: Iterable[tuple[str, Sequence[str]]]) -> dict[str, int]:
    """Seats on more than one booking, and on how many."""
    owners = Counter(seat for _, seats in bookings for seat in seats)
    return {seat: count for seat, count in owners.items() if count > 1}


def unsold(bookings: Iterable[tuple[str, Sequence[str]]], wanted: Iterable[str]) -> set[str]:
    """Requested seats that no booking has."""
    return set(wanted) - {seat for _, seats in bookings for seat in seats}
