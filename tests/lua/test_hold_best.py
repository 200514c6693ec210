"""hold_best.lua: the best places, whole parties, and every refusal of its header."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from engine.errors import (
    AlreadyConfirmed,
    BookingExpired,
    BookingNotFound,
    BookingReleased,
    CategoryNotFound,
    EventNotFound,
    LimitReached,
    NoSeatsTogether,
    RequestReused,
    SalesClosed,
    ScriptDefect,
    SectionNotFound,
    TooManySeats,
)
from engine.ids import CustomerId, EventId
from engine.models import BestSelection, Booking, Sales, Together
from engine.plans.event_json import parse_event_json
from tests.support.box_office import TTL_MS, BoxOffice
from tests.support.factories import GALA, terms
from tests.support.raw_redis import raw


def wanted(quantity: int, customer: str = "ann", **more: Any) -> BestSelection:
    """A party."""
    return BestSelection(event_id=GALA, customer_id=CustomerId(customer), quantity=quantity, **more)


def seats(booking: Booking) -> list[str]:
    """Its seats without their event."""
    return [seat.partition(":")[2] for seat in booking.seats]


async def best(office: BoxOffice, quantity: int, customer: str = "ann", **more: Any) -> list[str]:
    """Hold the best places; their seats."""
    return seats(await office.bookings.hold_best(wanted(quantity, customer, **more)))


async def take(office: BoxOffice, *ids: str) -> None:
    """Hold these seats for another customer."""
    for start in range(0, len(ids), 10):
        await office.hold("zoe", *ids[start : start + 10])


async def largest(office: BoxOffice, quantity: int, **more: Any) -> int:
    """What the refusal says fits."""
    with pytest.raises(NoSeatsTogether) as refused:
        await best(office, quantity, **more)
    return int(refused.value.found[0])


async def test_hold_best_takes_the_middle_of_the_first_row(office: BoxOffice) -> None:
    await office.open(rows=3, seats=9)
    booking = await office.bookings.hold_best(wanted(3))
    assert (seats(booking), booking.together) == (["A-1-4", "A-1-5", "A-1-6"], Together.ROW)
    assert booking.amount_minor == 3 * 1500
    assert await best(office, 3, "bob") == ["A-1-1", "A-1-2", "A-1-3"]
    assert await largest(office, 10) == 9


async def test_hold_best_goes_to_the_next_row_if_the_party_does_not_fit(office: BoxOffice) -> None:
    await office.open(rows=3, seats=9)
    await take(office, "A-1-4", "A-2-9")
    assert await best(office, 6) == ["A-2-3", "A-2-4", "A-2-5", "A-2-6", "A-2-7", "A-2-8"]


async def test_hold_best_leaves_no_single_seat_where_it_can(office: BoxOffice) -> None:
    await office.open(rows=1, seats=9)
    await take(office, "A-1-5")  # four to each side
    assert await best(office, 3) == ["A-1-2", "A-1-3", "A-1-4"]  # the block has no other way


async def test_hold_best_prefers_a_row_further_back_to_a_single_seat(office: BoxOffice) -> None:
    await office.open(rows=2, seats=9)
    await take(office, "A-1-5")
    assert await best(office, 3) == ["A-2-4", "A-2-5", "A-2-6"]
    await office.engine.events.set_terms(GALA, _allow())
    assert await best(office, 3) == ["A-1-2", "A-1-3", "A-1-4"]


def _allow() -> Any:
    from engine.models import SingleSeats, TermsChange

    return TermsChange(single_seats=SingleSeats.ALLOW)


async def test_hold_best_at_one_instant_gives_everybody_other_seats(office: BoxOffice) -> None:
    await office.open(rows=10, seats=20)
    found = await asyncio.gather(*(best(office, 2, f"c{n}") for n in range(80)))
    taken = [seat for pair in found for seat in pair]
    assert len(set(taken)) == 160
    for one, other in found:
        row, number = one.rsplit("-", 1)
        assert other == f"{row}-{int(number) + 1}"


async def test_hold_best_counts_an_overdue_hold_as_free(office: BoxOffice) -> None:
    await office.open(rows=1, seats=4)
    held = await office.hold("bob", "A-1-2", "A-1-3")
    assert await largest(office, 4) == 1
    office.now_ms += TTL_MS
    assert len(await best(office, 4)) == 4
    assert (await office.bookings.read_booking(held.id, None)).status == "expired"


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ({"category_ids": ("nothing", "seat", "more")}, CategoryNotFound("more", "nothing")),
        ({"section_ids": ("A", "Z")}, SectionNotFound("Z")),
        ({"quantity": 11}, TooManySeats("10")),
        ({"price_max_minor": 1499}, NoSeatsTogether("0")),
        ({"category_ids": ("seat",), "price_max_minor": 0}, NoSeatsTogether("0")),
        ({"wheelchair": 1}, NoSeatsTogether("0")),
    ],
)
async def test_hold_best_of_what_there_is_not_is_refused_and_writes_nothing(
    office: BoxOffice, more: dict[str, Any], refusal: Any
) -> None:
    await office.open(rows=1, seats=20)
    redis = raw(office.engine)
    before = {key: await redis.dump(key) for key in await redis.keys("*")}
    with pytest.raises(type(refusal)) as refused:
        await office.bookings.hold_best(wanted(**{"quantity": 2, **more}))
    assert refused.value.found == refusal.found
    assert {key: await redis.dump(key) for key in await redis.keys("*")} == before


async def test_hold_best_has_the_rules_of_a_hold(office: BoxOffice) -> None:
    await office.open(rows=2, seats=10, customer_max=4)
    with pytest.raises(EventNotFound):
        await office.bookings.hold_best(
            BestSelection(event_id=EventId("none"), customer_id=CustomerId("a"), quantity=1)
        )
    first = await office.bookings.hold_best(wanted(3), request_id="r1")
    assert await office.bookings.hold_best(wanted(3), request_id="r1") == first
    with pytest.raises(RequestReused):
        await office.bookings.hold_best(wanted(2), request_id="r1")
    with pytest.raises(RequestReused):
        await office.hold("ann", "A-2-1", request="r1")
    with pytest.raises(LimitReached):
        await best(office, 2)
    from engine.models import TermsChange

    await office.engine.events.set_terms(GALA, TermsChange(sales=Sales.PAUSED))
    with pytest.raises(SalesClosed):
        await best(office, 1, "bob")


async def _plan(office: BoxOffice, text: bytes, **over: Any) -> None:
    plan = parse_event_json(text)
    await office.engine.events.load_event(GALA, plan.layout, terms(**over))


TWO_BLOCKS = b"""{"name": "x", "categories": [
  {"id": "near", "name": "Near", "priceMinor": 5000},
  {"id": "far", "name": "Far", "priceMinor": 1000}
 ], "sections": [
  {"id": "L", "category": "near", "rows": [
    {"id": "1", "seats": [{"number": "1"}, {"number": "2"}, {"number": "3"}]},
    {"id": "2", "seats": [{"number": "1"}, {"number": "2"}, {"number": "3"}]}]},
  {"id": "R", "category": "far", "rows": [
    {"id": "1", "seats": [{"number": "1"}, {"number": "2"}, {"number": "3"}]},
    {"id": "2", "seats": [{"number": "1"}, {"number": "2"}, {"number": "3"}]}]}],
 "areas": [{"id": "floor", "name": "Floor", "category": "far", "capacity": 5}]}"""


async def test_hold_best_of_a_category_a_section_and_a_price(office: BoxOffice) -> None:
    await _plan(office, TWO_BLOCKS)
    assert await best(office, 3, category_ids=("far",)) == ["R-1-1", "R-1-2", "R-1-3"]
    assert await best(office, 3, price_max_minor=1000) == ["R-2-1", "R-2-2", "R-2-3"]
    assert await best(office, 3, section_ids=("L",)) == ["L-1-1", "L-1-2", "L-1-3"]
    assert await best(office, 3, category_ids=("far", "near")) == ["L-2-1", "L-2-2", "L-2-3"]
    assert await largest(office, 1) == 0


async def test_hold_best_of_a_category_and_a_section_that_do_not_meet(office: BoxOffice) -> None:
    await _plan(office, TWO_BLOCKS)
    assert await largest(office, 2, category_ids=("near",), section_ids=("R",)) == 0


@pytest.mark.parametrize(
    ("fallback", "quantity", "together", "chosen"),
    [
        (["rows"], 4, "rows", ["L-1-1", "L-1-2", "L-2-1", "L-2-2"]),
        (["rows"], 5, "rows", ["L-1-1", "L-1-2", "L-1-3", "L-2-1", "L-2-2"]),
        (["section"], 6, "section", ["L-1-1", "L-1-2", "L-1-3", "L-2-1", "L-2-2", "L-2-3"]),
        (["standing"], 5, "standing", []),
        (["rows", "standing"], 4, "rows", ["L-1-1", "L-1-2", "L-2-1", "L-2-2"]),
        (["apart"], 7, "apart", None),
    ],
)
async def test_hold_best_parts_a_party_only_as_it_may(
    office: BoxOffice,
    fallback: list[str],
    quantity: int,
    together: str,
    chosen: Sequence[str] | None,
) -> None:
    await _plan(office, TWO_BLOCKS)
    with pytest.raises(NoSeatsTogether):
        await best(office, quantity)
    booking = await office.bookings.hold_best(
        wanted(quantity, fallback=tuple(map(Together, fallback)))
    )
    assert booking.together == together
    assert booking.place_count == quantity
    if chosen is not None:
        assert sorted(seats(booking)) == list(chosen)


WHEELCHAIRS = b"""{"name": "x", "categories": [{"id": "c", "name": "C", "priceMinor": 1000}],
 "sections": [{"id": "A", "category": "c", "rows": [
  {"id": "1", "seats": [
    {"number": "1"}, {"number": "2", "accessible": true}, {"number": "3", "companionOf": "A-1-2"},
    {"number": "4"}, {"number": "5"}, {"number": "6", "restrictedView": true}]},
  {"id": "2", "seats": [
    {"number": "1", "accessible": true}, {"number": "2"}, {"number": "3"}]}]}]}"""


async def test_wheelchair_places_and_their_companions_are_not_in_a_general_pick(
    office: BoxOffice,
) -> None:
    await _plan(office, WHEELCHAIRS)
    assert await best(office, 2) == ["A-1-4", "A-1-5"]
    assert await largest(office, 3) == 2
    assert await best(office, 2) == ["A-2-2", "A-2-3"]
    assert await best(office, 1) == ["A-1-1"]
    assert await largest(office, 1) == 0
    assert await best(office, 1, restricted_view=True) == ["A-1-6"]


async def test_wheelchair_places_are_held_with_their_companions(office: BoxOffice) -> None:
    await _plan(office, WHEELCHAIRS)
    assert await best(office, 2, wheelchair=1) == ["A-1-2", "A-1-3"]
    assert await best(office, 3, wheelchair=1) == ["A-2-1", "A-2-2", "A-2-3"]
    assert await largest(office, 2, wheelchair=1) == 0


async def test_wheelchair_places_are_for_everybody_once_they_are_released(
    office: BoxOffice,
) -> None:
    await _plan(office, WHEELCHAIRS, accessible_release_at_ms=office.now_ms + 1000)
    await take(office, "A-1-1", "A-2-1", "A-2-2", "A-2-3")
    assert await largest(office, 3) == 2
    office.now_ms += 1000
    assert await best(office, 3) == ["A-1-2", "A-1-3", "A-1-4"]


async def test_beside_adds_to_the_hold_of_the_customer(office: BoxOffice) -> None:
    await office.open(rows=2, seats=9)
    own = await office.hold("ann", "A-1-4", "A-1-5")
    assert await best(office, 2, beside=own.id) == ["A-1-2", "A-1-3"]
    await take(office, "A-1-7", "A-1-8", "A-1-9")
    assert await largest(office, 3, beside=own.id) == 0
    assert await best(office, 1, beside=own.id) == ["A-1-6"]


async def test_beside_of_what_is_not_a_hold_of_the_customer_is_refused(office: BoxOffice) -> None:
    await office.open(rows=2, seats=9)
    own = await office.hold("ann", "A-1-4")
    with pytest.raises(BookingNotFound):
        await best(office, 1, "bob", beside=own.id)
    late = await office.hold("bob", "A-2-4")
    await office.bookings.release_booking(late.id, None)
    with pytest.raises(BookingReleased):
        await best(office, 1, "bob", beside=late.id)
    await office.confirm(own)
    with pytest.raises(AlreadyConfirmed):
        await best(office, 1, beside=own.id)
    another = await office.hold("ann", "A-2-6")
    office.now_ms += TTL_MS
    with pytest.raises(BookingExpired):
        await best(office, 1, beside=another.id)


async def test_hold_best_in_a_row_of_thousands(office: BoxOffice) -> None:
    await office.open(rows=1, seats=9000, blocked="A-1-4500")
    found = await best(office, 10)
    numbers = [int(seat.rpartition("-")[2]) for seat in found]
    assert numbers in ([*range(4501, 4511)], [*range(4490, 4500)])


async def test_hold_best_in_a_map_that_is_too_short_is_told_and_ends(office: BoxOffice) -> None:
    await office.open(rows=1, seats=10)
    await raw(office.engine).set("{gala}:map", "hhhh")
    with pytest.raises(ScriptDefect, match="shorter than the plan"):
        await best(office, 2)


TWO_RUNS = b"""{"name": "x", "categories": [{"id": "c", "name": "C", "priceMinor": 1000}],
 "sections": [{"id": "A", "category": "c", "rows": [
  {"id": "1", "seats": [{"number": "1"}, {"number": "2"}]},
  {"id": "1", "seats": [{"number": "3"}, {"number": "4"}]},
  {"id": "2", "seats": [{"number": "1"}, {"number": "2"}]},
  {"id": "2", "seats": [{"number": "3"}, {"number": "4"}]}]}]}"""


async def test_rows_behind_each_other_are_on_one_side_of_the_aisle(office: BoxOffice) -> None:
    await _plan(office, TWO_RUNS)
    found = await best(office, 4, fallback=(Together.ROWS,))
    assert sorted(found) == ["A-1-1", "A-1-2", "A-2-1", "A-2-2"]
    await take(office, "A-1-3")
    assert await largest(office, 4, fallback=(Together.ROWS,)) == 2


PLACES = b"""{"name": "x", "categories": [{"id": "c", "name": "C", "priceMinor": 1000}],
 "focus": {"x": 0, "y": 0}, "sections": [{"id": "A", "category": "c", "rows": [
  {"id": "1", "seats": [
    {"number": "1", "accessible": true, "x": 0, "y": 1},
    {"number": "2", "accessible": true, "x": 1, "y": 1},
    {"number": "3", "accessible": true, "x": 2, "y": 1}]},
  {"id": "2", "seats": [
    {"number": "1", "accessible": true, "x": 0, "y": 90},
    {"number": "2", "companionOf": "A-2-1", "x": 1, "y": 90},
    {"number": "3", "companionOf": "A-2-1", "x": 2, "y": 90}]}]}]}"""


async def test_companions_get_no_wheelchair_place_while_another_row_has_seats_for_them(
    office: BoxOffice,
) -> None:
    await _plan(office, PLACES)
    assert await best(office, 3, wheelchair=1) == ["A-2-1", "A-2-2", "A-2-3"]
    assert await best(office, 3, wheelchair=1) == ["A-1-1", "A-1-2", "A-1-3"]


async def test_search_ends_in_a_house_of_seats_that_are_not_for_everybody(
    office: BoxOffice,
) -> None:
    rows = [
        {
            "id": str(row),
            "seats": [
                {"number": str(seat), "restrictedView": seat % 2 == 0} for seat in range(100)
            ],
        }
        for row in range(400)
    ]
    plan = {
        "name": "x",
        "categories": [{"id": "c", "name": "C", "priceMinor": 1000}],
        "sections": [{"id": "A", "category": "c", "rows": rows}],
    }
    await _plan(office, json.dumps(plan).encode())
    redis = raw(office.engine)
    await redis.config_resetstat()
    assert await largest(office, 2) == 1
    assert (await redis.info("commandstats"))["cmdstat_hget"]["calls"] < 200, "of 400 rows"
    assert await largest(office, 2, section_ids=("A",)) == 1
    assert len(await best(office, 2, restricted_view=True)) == 2
