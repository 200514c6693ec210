"""The rivals of the benchmark are correct, and the check of their fights finds one that is not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from bench.baselines import METHODS
from bench.baselines.for_update import ForUpdate, ForUpdateFunction
from bench.baselines.method import HoldRefused, HouseTerms, Method, sold_twice, unsold
from bench.baselines.redis_py import RedisPy
from bench.baselines.seat_locks import SeatLocks
from bench.baselines.tables import COUNT_HELD
from bench.baselines.watch import Watch
from engine import Settings
from persistence.database import Connection

SEATS = [f"bench:A-1-{number}" for number in range(1, 6)]
CUSTOMERS = 40
CONNECTIONS = 8


class _NoRowLock(ForUpdate):
    """Reads the seat without a lock. Both calls read before either writes."""

    SELECT = ForUpdate.SELECT.replace("FOR UPDATE OF s", "")
    all_have_read: asyncio.Barrier

    async def insert(self, connection: Connection, row: Sequence[Any], most: int | None) -> None:
        await self.all_have_read.wait()
        await super().insert(connection, row, most)


class _NoSeatLock(SeatLocks):
    """Takes no lock, and the update takes a seat whatever its status."""

    update = SeatLocks.update.replace("s.status = 'available'", "true")
    all_have_read: asyncio.Barrier

    async def _lock(self, locks: Sequence[str], owner: str) -> None:
        await self.all_have_read.wait()


class _NoWatch(Watch):
    """Watches a key that nothing writes. Both calls read the seat before either writes."""

    all_have_read: asyncio.Barrier

    async def _read(self, pipeline: RedisPy, keys: Sequence[str]) -> list[bytes | None]:
        await pipeline.watch("bench:watch:nothing")
        found: list[bytes | None] = await pipeline.mget(keys)
        await self.all_have_read.wait()
        return found


class _NoCustomerLock(ForUpdate):
    """Counts the customer's seats without a lock. All calls count before any of them writes."""

    all_have_read: asyncio.Barrier

    async def held_count(self, connection: Connection, event: str, customer: str) -> int:
        count: int = await connection.fetchval(COUNT_HELD, event, customer)
        await self.all_have_read.wait()
        return count


@pytest.fixture(params=METHODS)
async def method(
    request: pytest.FixtureRequest, database_url: str, settings: Settings
) -> AsyncIterator[Method]:
    async with await METHODS[request.param](settings, CONNECTIONS) as connected:
        yield connected


async def _fight(method: Method, seats_each: int = 1) -> int:
    """All at once, for adjacent seats; how many got theirs."""
    await method.open_house(SEATS)
    starts = [n % (len(SEATS) + 1 - seats_each) for n in range(CUSTOMERS)]
    calls = (method.hold(SEATS[s : s + seats_each], f"c{n}") for n, s in enumerate(starts))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(answer, str | HoldRefused) for answer in answers), answers
    return sum(isinstance(answer, str) for answer in answers)


@pytest.mark.parametrize("seats_each", [1, 2])
async def test_a_rival_sells_every_seat_once(method: Method, seats_each: int) -> None:
    held = await _fight(method, seats_each)
    bookings = await method.bookings()
    assert sold_twice(bookings) == {}
    assert len(bookings) == held
    if seats_each == 1:
        assert unsold(bookings, SEATS) == set()


@pytest.mark.parametrize("control", [_NoRowLock, _NoSeatLock, _NoWatch])
async def test_control_without_its_protection_sells_twice_and_is_found_out(
    control: type[_NoRowLock | _NoSeatLock | _NoWatch], database_url: str, settings: Settings
) -> None:
    async with await control.connect(settings, CONNECTIONS) as method:
        method.all_have_read = asyncio.Barrier(2)
        await method.open_house(SEATS)
        await asyncio.gather(*(method.hold(SEATS[:1], customer) for customer in ("ann", "bob")))
        assert sold_twice(await method.bookings()) == {SEATS[0]: 2}


async def test_a_venue_is_opened_again(method: Method) -> None:
    await _fight(method)
    await method.open_house(SEATS)
    assert await method.bookings() == []
    await method.hold(SEATS[:1], "ann")
    with pytest.raises(HoldRefused):
        await method.hold(SEATS[:2], "bob")
    assert len(await method.bookings()) == 1


@pytest.fixture(params=[ForUpdate, ForUpdateFunction, SeatLocks])
async def checked(
    request: pytest.FixtureRequest, database_url: str, settings: Settings
) -> AsyncIterator[Method]:
    """Those that check all that the engine does."""
    async with await request.param.connect(settings, CONNECTIONS) as connected:
        yield connected


async def test_a_request_sent_again_has_the_same_booking(checked: Method) -> None:
    await checked.open_house(SEATS)
    twins = (checked.hold(SEATS[:2], "ann", "r1") for _ in range(5))
    answers = await asyncio.gather(*twins, return_exceptions=True)
    held = {answer for answer in answers if not isinstance(answer, HoldRefused)}
    assert held == {await checked.hold(SEATS[:2], "ann", "r1")}
    if not isinstance(checked, SeatLocks):
        assert len(answers) == sum(answer in held for answer in answers)
    for seats, customer, request in ((SEATS[:2], "bob", "r1"), (SEATS[2:4], "ann", "r1")):
        with pytest.raises(HoldRefused):
            await checked.hold(seats, customer, request)
    assert len(await checked.bookings()) == 1


async def test_what_is_past_its_deadline_is_free(checked: Method) -> None:
    await checked.open_house(SEATS, HouseTerms(hold_ttl_s=0))
    first = await checked.hold(SEATS[:2], "ann", "r1")
    second = await checked.hold(SEATS[1:3], "bob", "r2")
    again = await checked.hold(SEATS[:2], "ann", "r1")
    assert len({first, second, again}) == 3
    assert await checked.bookings() == []


async def test_before_and_beyond_the_terms_nothing_is_held(checked: Method) -> None:
    await checked.open_house(SEATS, HouseTerms(on_sale=False))
    with pytest.raises(HoldRefused):
        await checked.hold(SEATS[:1], "ann")
    await checked.open_house(SEATS, HouseTerms(seats_max=2))
    with pytest.raises(HoldRefused):
        await checked.hold(SEATS[:3], "ann")
    assert await checked.bookings() == []


async def test_one_customer_at_once_is_held_to_the_limit(checked: Method) -> None:
    await checked.open_house(SEATS, HouseTerms(customer_max=2))
    calls = (checked.hold([seat], "ann") for seat in SEATS)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(answer, str) for answer in answers) == 2
    assert sum(isinstance(answer, HoldRefused) for answer in answers) == len(SEATS) - 2
    assert len(await checked.bookings()) == 2
    await checked.hold([await _free_seat(checked)], "bob")


async def test_control_without_the_customers_lock_passes_the_limit(
    database_url: str, settings: Settings
) -> None:
    async with await _NoCustomerLock.connect(settings, CONNECTIONS) as method:
        method.all_have_read = asyncio.Barrier(len(SEATS))
        await method.open_house(SEATS, HouseTerms(customer_max=2))
        await asyncio.gather(*(method.hold([seat], "ann") for seat in SEATS))
        assert len(await method.bookings()) == len(SEATS)


async def _free_seat(method: Method) -> str:
    return min(unsold(await method.bookings(), SEATS))


def test_seats_left_over_are_reported() -> None:
    assert unsold([("b1", ["bench:A-1-1"])], SEATS[:2]) == {"bench:A-1-2"}
