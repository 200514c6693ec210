"""Rate limits: GCRA in front of a script, and as a script of its own."""

import asyncio

import pytest

from engine.errors import EventNotFound, RateLimited, Refused, SeatTaken
from engine.limits import Limit, LimitCheck
from engine.models import Booking
from tests.support.box_office import START_MS, BoxOffice
from tests.support.factories import selection
from tests.support.raw_redis import raw


def check(subject: str = "ann", *, interval_ms: float = 1000, burst: int = 2) -> LimitCheck:
    """One limit of two calls at once and one a second."""
    return LimitCheck((Limit("sale", subject, interval_ms, burst),))


async def _hold(office: BoxOffice, seat: str, under: LimitCheck) -> Booking:
    return await office.bookings.under(under).hold_seats(selection("ann", seat))


async def test_hold_seats_under_a_limit_returns_what_is_left(office: BoxOffice) -> None:
    await office.open()
    first = check()
    await _hold(office, "A-1-1", first)
    assert (first.left, first.full_in_ms) == (1, 1000)


async def test_hold_seats_over_the_limit_is_refused_with_no_effect(office: BoxOffice) -> None:
    await office.open()
    await _hold(office, "A-1-1", check())
    await _hold(office, "A-1-2", check())
    refusal = await office.refused(RateLimited, _hold(office, "A-1-3", check()))
    assert refusal.found == ("1000",)
    office.now_ms = START_MS + 400
    assert (await office.refused(RateLimited, _hold(office, "A-1-3", check()))).found == ("600",)
    office.now_ms = START_MS + 999
    assert (await office.refused(RateLimited, _hold(office, "A-1-3", check()))).found == ("1",)
    office.now_ms = START_MS + 1000
    await _hold(office, "A-1-3", check())
    await office.state()


async def test_hold_seats_that_is_refused_counts_too(office: BoxOffice) -> None:
    await office.open()
    await office.hold("bob", "A-1-1")
    for _ in range(2):
        counted = check()
        with pytest.raises(SeatTaken):
            await _hold(office, "A-1-1", counted)
    assert counted.left == 0
    await office.refused(RateLimited, _hold(office, "A-1-2", check()))


async def test_hold_seats_under_two_limits_meets_the_stricter(office: BoxOffice) -> None:
    await office.open()
    both = LimitCheck((Limit("sale", "ann", 1000, 5), Limit("sale", "10.0.0.1", 5000, 1)))
    await _hold(office, "A-1-1", both)
    assert both.left == 0
    await office.refused(RateLimited, _hold(office, "A-1-2", both))
    office.now_ms = START_MS + 5000
    await _hold(office, "A-1-2", both)


async def test_limits_of_other_subjects_and_classes_are_their_own(office: BoxOffice) -> None:
    await office.open()
    await _hold(office, "A-1-1", check("ann", interval_ms=1000, burst=1))
    await _hold(office, "A-1-2", check("bob", interval_ms=1000, burst=1))
    await _hold(office, "A-1-3", LimitCheck((Limit("pay", "ann", 1000, 1),)))


async def test_many_calls_at_once_pass_exactly_the_burst(office: BoxOffice) -> None:
    await office.open(seats=50, seats_max=1)
    calls = (_hold(office, f"A-1-{n}", check(burst=7)) for n in range(1, 51))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(answer, Booking) for answer in answers) == 7
    assert all(isinstance(answer, Booking | Refused) for answer in answers)


async def test_take_limits_counts_calls_of_no_event(office: BoxOffice) -> None:
    for _ in range(3):
        await office.engine.take_limits(check(interval_ms=60_000, burst=3))
    with pytest.raises(RateLimited) as caught:
        await office.engine.take_limits(check(interval_ms=60_000, burst=3))
    assert 59_000 < int(caught.value.found[0]) <= 60_000


async def test_hold_seats_of_an_event_that_is_none_counts_in_one_bucket(office: BoxOffice) -> None:
    under = check(interval_ms=60_000, burst=2)
    for event in ("made", "up"):
        with pytest.raises(EventNotFound):
            await office.bookings.under(under).hold_seats(selection("ann", "A-1-1", event=event))
    assert under.left == 0
    with pytest.raises(RateLimited):
        await office.bookings.under(under).hold_seats(selection("ann", "A-1-1", event="third"))
    await office.open()
    await _hold(office, "A-1-1", check(interval_ms=60_000, burst=1))  # it finds its event


async def test_limits_leave_no_key_behind(office: BoxOffice) -> None:
    await office.engine.take_limits(check(interval_ms=500, burst=3))
    (key,) = await raw(office.engine).keys("*:limit:*")
    assert 0 < await office.engine.client.pttl(key) <= 500
