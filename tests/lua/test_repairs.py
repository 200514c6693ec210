"""repair_event and reinstate_booking: state that was damaged, or lost, is mended."""

import json

import pytest

from engine import invariants
from engine.errors import (
    AreaFull,
    AreaNotFound,
    BookingKnown,
    EventNotFound,
    SeatNotFound,
    SeatTaken,
)
from engine.event_state import read_state
from engine.models import Booking
from tests.support.box_office import BoxOffice
from tests.support.factories import GALA
from tests.support.raw_redis import raw


async def test_repair_event_mends_what_follows_from_seats_and_bookings(office: BoxOffice) -> None:
    await office.open(areas={"pit": 5})
    sold = await office.confirm(await office.hold("ann", "A-1-1", pit=1))
    held = await office.hold("bob", "A-1-2", pit=2)
    before = await office.state()
    assert await _scores(office) == {0}
    redis = raw(office.engine)
    await redis.setrange("{gala}:map", 0, "xx/x")
    await redis.hset("{gala}:event", mapping={"available": 99, "held": 0})
    await redis.hset("{gala}:areas", "pit", "5,1,0,5")
    await redis.zrem("{gala}:deadlines", held.id[5:])
    await redis.zadd("{gala}:deadlines", {sold.id[5:]: 1})
    await redis.zrem("{gala}:customers", f"bob {held.id[5:]}")
    await redis.zadd("{gala}:customers", {f"{who} {'0' * 26}": 0 for who in ("bob", "zoe")})
    await redis.hset("{gala}:seats", "A-2-5", f"10,0,h,{'0' * 26},1")
    await redis.setrange("{gala}:map", 10, "h")  # as the seat says: an orphan hold counts once
    assert {v.kind for v in invariants.check(await read_state(office.engine, GALA))} == {
        *("map_differs", "counts_differ", "area_differs", "deadline_differs"),
        *("customer_differs", "orphan_hold"),
    }
    mended = await office.engine.events.repair_event(GALA)
    assert mended == {
        "orphan_holds": 1, "map": 4, "counts": 2, "areas": 1, "deadlines": 2, "customers": 3,
    }  # fmt: skip
    after = await office.state()
    assert (after.map, after.seats, after.areas) == (before.map, before.seats, before.areas)
    assert after.event.counts == before.event.counts
    assert (await office.kinds())[-1] == "event_repaired"
    assert await _scores(office) == {0}


@pytest.mark.parametrize("value", ["5,1,0,1", "5,1,2,5"])
async def test_repair_event_with_one_count_of_an_area_wrong_mends_it(
    office: BoxOffice, value: str
) -> None:
    await office.open(areas={"pit": 5})
    await office.confirm(await office.hold("ann", pit=1))
    await office.hold("bob", pit=2)
    before = await office.state()
    await raw(office.engine).hset("{gala}:areas", "pit", value)
    assert (await office.engine.events.repair_event(GALA))["areas"] == 1
    assert (await office.state()).areas == before.areas


async def _scores(office: BoxOffice) -> set[float]:
    """Of the customers' list: with one for all its members are in the order of their names."""
    listed = await raw(office.engine).zrange("{gala}:customers", 0, -1, withscores=True)
    return {score for _, score in listed}


@pytest.mark.parametrize("by_ms", [-1, 60_000])
async def test_repair_event_gives_a_seat_the_deadline_of_its_booking(
    office: BoxOffice, by_ms: int
) -> None:
    """Too early, another buys it under its owner's eyes; too late, it is free and none may."""
    await office.open()
    bobs = await office.hold("bob", "A-1-3")
    held = await office.hold("ann", "A-1-1", "A-1-2")
    before = await office.state()
    wrong = f"1,0,h,{held.id[5:]},{held.expires_at_ms + by_ms}"
    await raw(office.engine).hset("{gala}:seats", "A-1-2", wrong)
    found = invariants.check(await read_state(office.engine, GALA))
    assert [(v.kind, v.subject) for v in found] == [("deadline_differs", held.id[5:])]
    assert (await office.engine.events.repair_event(GALA))["deadlines"] == 1
    after = await office.state()
    assert (after.map, after.seats, after.bookings) == (before.map, before.seats, before.bookings)
    assert after.seats["A-1-3"].deadline_ms == bobs.expires_at_ms
    assert invariants.check(await read_state(office.engine, GALA)) == []


async def test_repair_event_of_a_sound_event_mends_nothing(office: BoxOffice) -> None:
    await office.open(areas={"pit": 2})
    await office.hold("ann", "A-1-1", pit=1)
    assert set((await office.engine.events.repair_event(GALA)).values()) == {0}


async def test_repair_event_frees_more_orphans_than_one_command_names(office: BoxOffice) -> None:
    await office.open(rows=45, seats=50)
    held = {
        f"A-{row}-{n}": f"{51 * (row - 1) + n - 1},0,h,{'0' * 26},1"
        for row in range(1, 46)
        for n in range(1, 51)
    }
    await raw(office.engine).hset("{gala}:seats", mapping=held)
    assert (await office.engine.events.repair_event(GALA))["orphan_holds"] == len(held)
    assert await office.map() == "/".join(["a" * 50] * 45)


async def test_repair_event_rebuilds_a_map_that_is_gone(office: BoxOffice) -> None:
    await office.open()
    await office.hold("ann", "A-2-1")
    await office.engine.client.delete("{gala}:map")
    await office.engine.events.repair_event(GALA)
    assert await office.map() == "aaaaa/haaaa"


async def test_repair_event_without_the_event_is_refused(office: BoxOffice) -> None:
    await office.refused(EventNotFound, office.engine.events.repair_event(GALA))


async def _forgotten(office: BoxOffice) -> Booking:
    """A confirmed booking whose Redis was replaced by an empty one."""
    await office.open(areas={"pit": 2})
    sold = await office.confirm(await office.hold("ann", "A-1-1", pit=2))
    await raw(office.engine).flushall()
    await office.open(areas={"pit": 2})
    return sold


async def test_reinstate_booking_gives_redis_a_forgotten_sale_back(office: BoxOffice) -> None:
    sold = await _forgotten(office)
    assert await office.bookings.reinstate_booking(sold) == sold
    assert await office.bookings.reinstate_booking(sold) == sold
    assert (await office.state()).event.counts.sold == 3
    assert await office.confirm(sold) == sold


async def test_reinstate_booking_on_taken_places_is_refused(office: BoxOffice) -> None:
    sold = await _forgotten(office)
    other = await office.hold("bob", "A-1-1")
    await office.refused(SeatTaken, office.bookings.reinstate_booking(sold))
    await office.bookings.release_booking(other.id, None)
    await office.hold("bob", pit=1)
    await office.refused(AreaFull, office.bookings.reinstate_booking(sold))


async def test_reinstate_booking_that_redis_has_otherwise_is_refused(office: BoxOffice) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    refusal = await office.refused(BookingKnown, office.bookings.reinstate_booking(held))
    assert refusal.found == ("pending",)


async def test_reinstate_booking_of_another_layout_or_event_is_refused(office: BoxOffice) -> None:
    sold = await _forgotten(office)
    await raw(office.engine).flushall()
    await office.refused(EventNotFound, office.bookings.reinstate_booking(sold))
    await office.open(seats=1)
    await office.refused(AreaNotFound, office.bookings.reinstate_booking(sold))
    await raw(office.engine).hdel("{gala}:seats", "A-1-1")
    await office.refused(SeatNotFound, office.bookings.reinstate_booking(sold))


async def test_reinstate_booking_asks_no_purchase_limit(office: BoxOffice) -> None:
    sold = await _forgotten(office)
    await raw(office.engine).hset("{gala}:event", "customer_max", 3)
    await office.hold("ann", "A-2-2")
    await office.bookings.reinstate_booking(sold)


@pytest.mark.parametrize(
    ("key", "field", "value", "kind"),
    [
        ("seats", "A-1-1", "0,0,a", "owner_differs"),
        ("seats", "A-1-3", "2,0,s,01JDTESTTESTTESTTESTTESTTE,0", "orphan_sale"),
        ("seats", "A-1-3", "2,0,h,01JDTESTTESTTESTTESTTESTTE,0", "orphan_hold"),
        ("event", "sold", "7", "counts_differ"),
        ("event", "capacity", "7", "counts_differ"),
        ("areas", "pit", "1,1,0,2", "area_oversold"),
    ],
)
async def test_check_with_a_planted_violation_finds_it(
    office: BoxOffice, key: str, field: str, value: str, kind: str
) -> None:
    await office.open(areas={"pit": 2})
    await office.confirm(await office.hold("ann", "A-1-1"))
    assert invariants.check(await read_state(office.engine, GALA)) == []
    await raw(office.engine).hset(f"{{gala}}:{key}", field, value)
    assert kind in {v.kind for v in invariants.check(await read_state(office.engine, GALA))}


async def test_check_with_a_seat_sold_twice_finds_it(office: BoxOffice) -> None:
    await office.open()
    sold = await office.confirm(await office.hold("ann", "A-1-1"))
    redis = raw(office.engine)
    record = await redis.hget("{gala}:bookings", sold.id[5:])
    await redis.hset("{gala}:bookings", "01JDTESTTESTTESTTESTTESTTE", record)
    kinds = {v.kind for v in invariants.check(await read_state(office.engine, GALA))}
    assert "sold_twice" in kinds


async def test_check_with_a_hold_past_its_deadline_finds_it(office: BoxOffice) -> None:
    await office.open()
    office.now_ms = 1_000
    await office.hold("ann", "A-1-1")
    found = invariants.check(await read_state(office.engine, GALA))
    assert [v.kind for v in found] == ["overdue_hold"]


@pytest.mark.parametrize(
    ("seats", "together"),
    [(("A-1-1", "A-2-1"), "row"), (("A-1-1",), "standing")],
)
async def test_check_with_a_party_that_does_not_sit_as_its_booking_says_finds_it(
    office: BoxOffice, seats: tuple[str, ...], together: str
) -> None:
    await office.open()
    held = await office.hold("ann", *seats)
    redis = raw(office.engine)
    record = json.loads(await redis.hget("{gala}:bookings", held.id[5:]))
    await redis.hset("{gala}:bookings", held.id[5:], json.dumps(record | {"together": together}))
    found = invariants.check(await read_state(office.engine, GALA))
    assert ("together_differs", held.id[5:]) in {(v.kind, v.subject) for v in found}
