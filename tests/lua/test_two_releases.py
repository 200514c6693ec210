"""Two releases beside each other: scripts are found by their hash, so each runs its own text."""

from collections.abc import Callable
from hashlib import sha1
from typing import Any

import pytest
from redis.asyncio import Redis

from engine import scripts
from engine.errors import OtherFormat
from engine.event_image import FORMAT
from engine.expirer import Expirer
from engine.ids import EventId, SeatId
from engine.models import Sales, TermsChange
from engine.restore.staging import Stub
from engine.scripts import Script
from tests.support.box_office import TTL_MS, BoxOffice
from tests.support.factories import GALA, layout, selection, terms

ZOO = EventId("zoo")
_NAMES = ("hold_seats", "confirm_booking")
_this_release = scripts.load


def _next_release(name: str, *, limited: bool = False) -> Script:
    """The script as another release might have it: another text, so another hash."""
    known = _this_release(name, limited=limited)
    text = f"-- of the next release\n{known.text}"
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


async def test_two_releases_sell_one_event_side_by_side(
    office: BoxOffice, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.open()
    first = await office.hold("ann", "A-1-1")
    with monkeypatch.context() as upgraded:
        upgraded.setattr(scripts, "load", _next_release)
        second = await office.hold("bob", "A-1-2")
        await office.confirm(first)
    await office.confirm(second)
    hashes = [release(name).sha for release in (_this_release, _next_release) for name in _NAMES]
    assert len(set(hashes)) == 4
    assert await redis.script_exists(*hashes) == [True] * 4
    assert (await office.map()).startswith("ss")


async def test_a_release_taken_back_goes_on_after_a_flush(
    office: BoxOffice, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.open()
    with monkeypatch.context() as upgraded:
        upgraded.setattr(scripts, "load", _next_release)
        held = await office.hold("ann", "A-1-1")
    await redis.script_flush()
    await office.confirm(held)
    assert (await office.map()).startswith("s")


_CALLS: dict[str, Callable[[BoxOffice, Any], Any]] = {
    "hold": lambda office, _: office.hold("bob", "A-1-2"),
    "confirm": lambda office, held: office.confirm(held),
    "extend": lambda office, held: office.bookings.extend_booking(held.id, None),
    "release": lambda office, held: office.bookings.release_booking(held.id, None),
    "cancel": lambda office, held: office.bookings.cancel_booking(held.id, None),
    "notice": lambda office, held: office.told(held, "processing", "pi_1"),
    "expire": lambda office, _: office.bookings.expire_bookings(GALA, path="sweep"),
    "load": lambda office, _: office.engine.events.load_event(
        GALA, layout(), terms(), replace=True
    ),
    "terms": lambda office, _: office.engine.events.set_terms(
        GALA, TermsChange(sales=Sales.PAUSED)
    ),
    "block": lambda office, _: office.engine.events.block_seats(
        GALA, [SeatId("gala:A-2-1")], blocked=True
    ),
    "repair": lambda office, _: office.engine.events.repair_event(GALA),
    "reinstate": lambda office, held: office.bookings.reinstate_booking(held),
    "fence": lambda office, _: office.engine.restores.fence_event(
        GALA, "lost", Stub({}, b""), restore="0" * 26, epoch="*"
    ),
}


@pytest.mark.parametrize("name", _CALLS)
async def test_event_of_a_later_release_is_left_as_it_is(
    office: BoxOffice, redis: Redis, name: str
) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    await redis.hset("{gala}:event", "format", str(FORMAT + 1))
    office.now_ms += TTL_MS
    before = {key: await redis.dump(key) for key in await redis.keys("{gala}:*")}
    with pytest.raises(OtherFormat, match=f"format {FORMAT + 1}, this release knows {FORMAT}"):
        await _CALLS[name](office, held)
    assert {key: await redis.dump(key) for key in await redis.keys("{gala}:*")} == before


async def test_event_of_an_earlier_release_without_a_format_is_sold(
    office: BoxOffice, redis: Redis
) -> None:
    await office.open()
    assert await redis.hget("{gala}:event", "format") == str(FORMAT).encode()
    await redis.hdel("{gala}:event", "format")
    held = await office.hold("ann", "A-1-1")
    await office.confirm(held)
    assert (await office.map()).startswith("s")


async def test_expirer_leaves_an_event_of_a_later_release_and_releases_the_others(
    office: BoxOffice, redis: Redis
) -> None:
    await office.open()
    await office.engine.events.load_event(ZOO, layout(), terms())
    await office.hold("ann", "A-1-1")
    await office.bookings.hold_seats(selection("ann", "A-1-1", event=ZOO))
    await redis.hset("{gala}:event", "format", str(FORMAT + 1))
    office.now_ms += TTL_MS
    expirer = Expirer(office.engine)
    await expirer._discover()
    await expirer.sweep()
    maps = [await office.engine.availability.read_map(event) for event in (GALA, ZOO)]
    assert [found.map[0] for found in maps] == ["h", "a"]
