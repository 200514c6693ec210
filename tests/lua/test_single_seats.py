"""Picked seats that leave one alone: refused where the event says so, and others would do."""

import asyncio

import pytest

from engine.errors import LeavesSingle
from engine.models import SingleSeats, TermsChange
from tests.support.box_office import TTL_MS, BoxOffice
from tests.support.factories import GALA


async def _open(office: BoxOffice, taken: str = "", **more: object) -> None:
    await office.open(**{"rows": 2, "seats": 10, "single_seats": SingleSeats.REFUSE, **more})
    if taken:
        await office.engine.events.set_terms(GALA, TermsChange(single_seats=SingleSeats.ALLOW))
        await office.hold("zoe", *taken.split())
        await office.engine.events.set_terms(GALA, TermsChange(single_seats=SingleSeats.REFUSE))


@pytest.mark.parametrize(
    ("taken", "picked", "alone", "instead"),
    [
        ("", "A-1-2", "0", "0 2"),
        ("", "A-1-9", "9", "7 9"),
        ("", "A-1-1 A-1-3", "1", "0 2"),
        ("A-1-5", "A-1-6 A-1-8", "6", "5 8"),
        ("A-1-5", "A-1-7 A-1-8", "5", "5 8"),
        ("", "A-2-2", "11", "11 13"),
    ],
)
async def test_hold_seats_that_leaves_one_alone_is_refused_with_others_beside(
    office: BoxOffice, taken: str, picked: str, alone: str, instead: str
) -> None:
    await _open(office, taken)
    with pytest.raises(LeavesSingle) as refused:
        await office.hold("ann", *picked.split())
    assert (refused.value.found[0], refused.value.found[2]) == (alone, instead)
    assert len(refused.value.found[1].split()) == len(picked.split())
    assert (await office.map()).count("h") == len(taken.split())


@pytest.mark.parametrize(
    ("taken", "picked"),
    [
        ("", "A-1-1"),
        ("", "A-1-3"),
        ("", "A-1-1 A-1-2 A-1-3"),
        ("", "A-1-10 A-2-1"),
        ("A-1-2", "A-1-3 A-1-4"),
        ("A-1-4", "A-1-2 A-1-3"),
        ("A-1-4", "A-1-1 A-1-3"),
        ("A-1-2", "A-1-1"),
    ],
)
async def test_hold_seats_that_leaves_none_alone_or_has_no_other_way_is_held(
    office: BoxOffice, taken: str, picked: str
) -> None:
    await _open(office, taken)
    assert (await office.hold("ann", *picked.split())).place_count == len(picked.split())


async def test_hold_seats_may_leave_one_alone_where_the_event_does_not_refuse(
    office: BoxOffice,
) -> None:
    await _open(office, single_seats=SingleSeats.AVOID)
    await office.hold("ann", "A-1-2")
    await office.engine.events.set_terms(GALA, TermsChange(single_seats=SingleSeats.ALLOW))
    await office.hold("ann", "A-2-2")


async def test_rule_is_off_when_little_is_left(office: BoxOffice) -> None:
    await _open(office, rows=11, seats=10, taken=" ".join(f"A-1-{n}" for n in range(4, 10)))
    for row in range(2, 12):
        await office.hold(f"c{row}", *(f"A-{row}-{seat}" for seat in range(1, 11)))
    assert (await office.map()).count("a") == 4  # of 110: below 5 %
    await office.hold("ann", "A-1-2")


async def test_requests_of_one_call_see_what_the_ones_before_left(office: BoxOffice) -> None:
    await _open(office)
    answers = await asyncio.gather(
        office.hold("ann", "A-1-1"), office.hold("bob", "A-1-3"), return_exceptions=True
    )
    assert isinstance(answers[1], LeavesSingle)
    assert answers[1].found == ("1", "2", "1 3")


async def test_seats_of_an_overdue_hold_that_is_picked_are_free(office: BoxOffice) -> None:
    await _open(office, "A-1-4 A-1-5")
    office.now_ms += TTL_MS
    await office.hold("ann", "A-1-4", "A-1-5")
    assert (await office.map()).startswith("aaahhaa")


async def test_a_block_longer_than_what_is_read_first_is_judged_whole(office: BoxOffice) -> None:
    await _open(office, rows=1, seats=400)
    await office.hold("ann", "A-1-200", "A-1-135", "A-1-265")
    with pytest.raises(LeavesSingle) as refused:
        await office.hold("bob", "A-1-399")
    assert refused.value.found == ("399", "398", "397 399")


async def test_picks_far_from_each_other_are_judged_all(office: BoxOffice) -> None:
    await _open(office)
    with pytest.raises(LeavesSingle) as refused:
        await office.hold("ann", "A-1-2", "A-1-9")
    assert refused.value.found == ("0 9", "1 8", ""), "other seats for both are in no one block"
