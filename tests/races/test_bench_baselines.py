"""The rivals of the benchmark are correct, and the check of their fights finds one that is not."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from bench.baselines.fight import sold_twice, unsold
from bench.baselines.for_update import ForUpdate
from bench.baselines.method import Method, Taken
from bench.baselines.methods import METHODS
from bench.baselines.seat_locks import SeatLocks
from bench.baselines.watch import Watch
from engine import Settings
from engine.connection import RedisClient

SEATS = [f"bench:A-1-{number}" for number in range(1, 6)]
CUSTOMERS = 40
CONNECTIONS = 8


class _ForUpdateWithoutLock(ForUpdate):
    SELECT = ForUpdate.SELECT.removesuffix(" FOR UPDATE")


class _SeatLocksWithoutLock(SeatLocks):
    update = SeatLocks.update.replace(" AND status = 'available'", "")

    async def _lock(self, locks: Sequence[str], owner: str) -> None:
        """Nobody is asked."""


class _WatchOfNothing(Watch):
    async def _watch(self, pipeline: RedisClient, keys: Sequence[str]) -> None:
        await pipeline.watch("bench:watch:nobody")


@pytest.fixture(params=METHODS)
async def method(
    request: pytest.FixtureRequest, database_url: str, settings: Settings
) -> AsyncIterator[Method]:
    async with await METHODS[request.param](settings, CONNECTIONS) as connected:
        yield connected


async def _fight(method: Method, seats_each: int = 1) -> int:
    """Everybody at once, for seats next to each other; how many got theirs."""
    await method.open_house(SEATS)
    starts = [n % (len(SEATS) + 1 - seats_each) for n in range(CUSTOMERS)]
    calls = (method.hold(SEATS[s : s + seats_each], f"c{n}") for n, s in enumerate(starts))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(answer, str | Taken) for answer in answers), answers
    return sum(isinstance(answer, str) for answer in answers)


@pytest.mark.parametrize("seats_each", [1, 2])
async def test_a_rival_sells_every_seat_once(method: Method, seats_each: int) -> None:
    held = await _fight(method, seats_each)
    bookings = await method.bookings()
    assert sold_twice(bookings) == {}
    assert len(bookings) == held
    if seats_each == 1:
        assert unsold(bookings, SEATS) == set()


@pytest.mark.parametrize("naive", [_ForUpdateWithoutLock, _SeatLocksWithoutLock, _WatchOfNothing])
async def test_control_without_its_protection_sells_twice_and_is_found_out(
    naive: type[ForUpdate] | type[SeatLocks] | type[Watch], database_url: str, settings: Settings
) -> None:
    async with await naive.connect(settings, CONNECTIONS) as method:
        await _fight(method)
        assert sold_twice(await method.bookings())


async def test_a_house_is_opened_anew(method: Method) -> None:
    await _fight(method)
    await method.open_house(SEATS)
    assert await method.bookings() == []
    await method.hold(SEATS[:1], "ann")
    with pytest.raises(Taken):
        await method.hold(SEATS[:2], "bob")
    assert len(await method.bookings()) == 1


def test_what_nobody_got_is_told() -> None:
    assert unsold([("b1", ["bench:A-1-1"])], SEATS[:2]) == {"bench:A-1-2"}
