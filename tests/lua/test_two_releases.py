"""Two releases beside each other: scripts are found by their hash, so each runs its own text."""

from hashlib import sha1

import pytest
from redis.asyncio import Redis

from engine import scripts
from engine.scripts import Script
from tests.support.box_office import BoxOffice

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
