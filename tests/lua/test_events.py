"""load_event, add_seats and read_map."""

import asyncio
import json

import pytest

from engine.engine import Engine
from engine.errors import (
    EventExists,
    EventInUse,
    EventNotFound,
    LayoutChanged,
    LoadIncomplete,
    NotOwner,
    SeatExists,
    TermsContradict,
    Unavailable,
)
from engine.ids import AreaId, EventId
from engine.models import (
    AreaCounts,
    Availability,
    Counts,
)
from engine.plans import layout as layouts
from engine.plans.addition import addition_of
from tests.support.box_office import BoxOffice
from tests.support.factories import GALA, layout, terms
from tests.support.raw_redis import raw


async def test_load_event_puts_everything_in_place(office: BoxOffice) -> None:
    plan = layout(areas={"pit": 4}, blocked="A-2-5")
    event = await office.engine.events.load_event(
        GALA, plan, terms(name="The Gala", owner_id="org", customer_max=6)
    )
    assert (event.name, event.owner_id, event.customer_max) == ("The Gala", "org", 6)
    assert event.counts == Counts(available=13, held=0, sold=0, blocked=1)
    assert event.hold_max_ms == 2 * event.hold_ttl_ms
    assert event.layout_version == plan.version
    assert await office.map() == "aaaaa/aaaab"
    assert await office.engine.events.list_events() == [GALA]
    assert (await office.engine.availability.read_layout(GALA)).layout == plan
    [(_, told)] = await office.engine.client.xrange("{gala}:journal")
    fields = await raw(office.engine).hgetall("{gala}:event")
    settings = {name.encode(): text.encode() for name, text in json.loads(told[b"event"]).items()}
    assert settings.items() <= fields.items(), "the journal says all that was set"
    assert len(settings) > 10


async def test_load_event_leaves_no_key_that_ends_by_itself(office: BoxOffice) -> None:
    """The staging key has a TTL, and RENAME takes it along: the seats vanished after 10 min."""
    await office.open(areas={"pit": 1})
    redis = raw(office.engine)
    ttls = {name: await redis.pttl(name) for name in await redis.keys("*")}
    assert set(ttls.values()) == {-1}, ttls


async def test_load_event_again_is_refused(office: BoxOffice) -> None:
    await office.open()
    call = office.engine.events.load_event(GALA, layout(rows=1), terms())
    await office.refused(EventExists, call)


async def test_load_event_with_replace_needs_nothing_held_or_sold(office: BoxOffice) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    call = office.engine.events.load_event(GALA, layout(rows=1), terms(), replace=True)
    refusal = await office.refused(EventInUse, call)
    assert refusal.found == ("1", "0")
    await office.bookings.release_booking(held.id, None)
    plan = layout(rows=1, areas={"pit": 2})
    await office.engine.events.load_event(GALA, plan, terms(), replace=True)
    assert await office.map() == "aaaaa"
    await office.hold("ann", "A-1-1", pit=1)


async def test_load_event_with_replace_keeps_the_owner(office: BoxOffice) -> None:
    events = office.engine.events
    await events.load_event(GALA, layout(), terms(owner_id="org"))
    event = await events.load_event(GALA, layout(rows=1), terms(), replace=True)
    assert event.owner_id == "org"
    *_, (_, entry) = await raw(office.engine).xrange("{gala}:journal")
    assert entry[b"kind"] == b"event_loaded"
    assert b'"owner_id":"org"' in b"".join(entry.values())


async def test_load_event_whose_staged_seats_are_gone_leaves_nothing(
    office: BoxOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = office.engine.events

    run = events._scripts.run

    async def short(name: str, keys: list[str], arguments: list[object]) -> list[bytes]:
        arguments[2] = 11
        return await run(name, keys, arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(events._scripts, "run", short)
    with pytest.raises(LoadIncomplete) as caught:
        await events.load_event(GALA, layout(), terms())
    assert caught.value.found == ("10",)
    assert await raw(office.engine).keys("{gala}*") == []


@pytest.mark.parametrize(
    ("over", "found"),
    [
        ({"opens_at_ms": 5, "closes_at_ms": 5}, ("opens_at_ms", "closes_at_ms")),
        ({"opens_at_ms": 5, "starts_at_ms": 5}, ("opens_at_ms", "starts_at_ms")),
        ({"cancel_until_ms": 6, "starts_at_ms": 5}, ("cancel_until_ms", "starts_at_ms")),
        ({"payment_max_ms": 59_999}, ("hold_ttl_ms", "payment_max_ms")),
    ],
)
async def test_load_event_with_terms_that_contradict_leaves_nothing(
    office: BoxOffice, over: dict[str, int], found: tuple[str, str]
) -> None:
    load = office.engine.events.load_event
    with pytest.raises(TermsContradict) as caught:
        await load(GALA, layout(), terms(**over))
    assert caught.value.found == found
    assert await raw(office.engine).keys("{gala}*") == []
    await office.open()
    again = load(GALA, layout(), terms(**over), replace=True)
    await office.refused(TermsContradict, again)


async def test_load_event_that_breaks_off_leaves_nothing(office: BoxOffice) -> None:
    def break_off(_: int) -> None:
        raise Unavailable("the line is cut")

    call = office.engine.events.load_event(GALA, layout(), terms(), progress=break_off)
    with pytest.raises(Unavailable, match="the line is cut"):
        await call
    assert await raw(office.engine).keys("{gala}*") == []
    with pytest.raises(EventNotFound):
        await office.engine.events.read_event(GALA)


async def test_load_event_with_no_seats_in_place_of_seats_leaves_none(office: BoxOffice) -> None:
    await office.open(areas={"pit": 1})
    standing = layouts.with_version(layout(rows=0, areas={"pit": 3}))
    await office.engine.events.load_event(GALA, standing, terms(), replace=True)
    state = await office.state()
    assert (state.seats, state.map, state.areas["pit"].capacity) == ({}, "", 3)


async def test_load_event_with_no_seats_takes_them_later(office: BoxOffice) -> None:
    empty = layouts.with_version(layout(rows=0))
    await office.engine.events.load_event(GALA, empty, terms(owner_id="org"))
    grown = layout(rows=2, areas={"pit": 3}, blocked="A-1-2")
    event = await office.engine.events.add_seats(GALA, addition_of(grown, empty), owner_id="org")
    assert event.counts == Counts(available=12, held=0, sold=0, blocked=1)
    assert (event.capacity, event.layout_version) == (13, grown.version)
    assert await office.map() == "abaaa/aaaaa"
    await office.hold("ann", "A-1-1", pit=3)


async def test_add_seats_while_selling_keeps_what_is_there(office: BoxOffice) -> None:
    await office.open()
    await office.confirm(await office.hold("ann", "A-1-1"))
    addition = addition_of(layout(rows=3), layout())
    await office.engine.events.add_seats(GALA, addition)
    assert await office.map() == "saaaa/aaaaa/aaaaa"
    [(_, entry)] = await raw(office.engine).xrevrange("{gala}:journal", count=1)
    assert entry[b"layout"] == addition.added
    assert await office.engine.availability.read_encoded_layout(GALA) == addition.gzipped


async def test_add_seats_refusals_change_nothing(office: BoxOffice) -> None:
    add = office.engine.events.add_seats
    await office.refused(EventNotFound, add(GALA, addition_of(layout(rows=3), layout())))
    await office.engine.events.load_event(GALA, layout(), terms(owner_id="org"))
    await office.refused(
        NotOwner, add(GALA, addition_of(layout(rows=3), layout()), owner_id="other")
    )
    await office.refused(LayoutChanged, add(GALA, addition_of(layout(rows=4), layout(rows=3))))
    stale = layouts.with_version(layout(rows=0))
    await raw(office.engine).hset("{gala}:event", "layout_version", stale.version)
    all_of_them = await office.refused(SeatExists, add(GALA, addition_of(layout(), stale)))
    assert all_of_them.found == tuple(
        f"gala:A-{row}-{seat}" for row in "12" for seat in range(1, 6)
    )
    one = await office.refused(SeatExists, add(GALA, addition_of(layout(rows=1, seats=1), stale)))
    assert one.found == ("gala:A-1-1",)


async def test_add_seats_names_the_area_that_is_there(office: BoxOffice) -> None:
    await office.open(areas={"pit": 3})
    await raw(office.engine).hset("{gala}:event", "layout_version", layout().version)
    add = office.engine.events.add_seats(GALA, addition_of(layout(areas={"pit": 3}), layout()))
    assert (await office.refused(SeatExists, add)).found == ("gala:pit",)


async def test_read_map_shows_the_event_at_one_position(office: BoxOffice) -> None:
    await office.open(areas={"pit": 4})
    await office.confirm(await office.hold("ann", "A-1-1", pit=1))
    await office.hold("bob", "A-1-3", pit=1)
    found = await office.engine.availability.read_map(GALA)
    assert isinstance(found, Availability)
    assert found.map == "sahaa/aaaaa"
    assert found.areas == (AreaCounts(AreaId("pit"), 4, held=1, sold=1),)
    assert found.counts == Counts(available=10, held=2, sold=2, blocked=0)


async def test_read_map_is_the_same_object_until_something_happens(office: BoxOffice) -> None:
    await office.open()
    availability = office.engine.availability
    first = await availability.read_map(GALA)
    assert await availability.read_map(GALA) is first
    await office.hold("ann", "A-1-1")
    second = await availability.read_map(GALA)
    assert second.map == "haaaa/aaaaa"


async def test_read_map_by_many_at_once_asks_redis_once(office: BoxOffice) -> None:
    await office.open()
    availability = office.engine.availability
    before = await office.engine.client.info("commandstats")
    found = await asyncio.gather(*(availability.read_map(GALA) for _ in range(50)))
    after = await office.engine.client.info("commandstats")
    assert all(one is found[0] for one in found)
    calls = [stats["cmdstat_evalsha"]["calls"] for stats in (before, after)]
    assert calls[1] - calls[0] <= 1


async def test_read_map_after_a_hold_was_answered_shows_it(office: BoxOffice) -> None:
    """However many requests share a read, each returns a state no older than the request."""
    await office.open()
    availability = office.engine.availability

    async def ask_on_and_on(asked: asyncio.Event) -> None:
        while not asked.is_set():
            await availability.read_map(GALA)

    done = asyncio.Event()
    others = [asyncio.create_task(ask_on_and_on(done)) for _ in range(8)]
    for number in range(1, 6):
        await office.hold("ann", f"A-1-{number}")
        assert (await availability.read_map(GALA)).map.startswith("h" * number)
    done.set()
    await asyncio.gather(*others)


async def test_read_map_and_layout_without_the_event_are_refused(engine: Engine) -> None:
    with pytest.raises(EventNotFound):
        await engine.availability.read_map(EventId("nothing"))
    with pytest.raises(EventNotFound):
        await engine.availability.read_layout(EventId("nothing"))
