"""G5: an answer that is lost on its way has one effect, and repeating the call tells which."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from engine import BookingStatus, Engine, OutcomeUnknown, Settings
from tests.support.box_office import BoxOffice
from tests.support.factories import selection
from tests.support.proxy import Proxy

ROUNDS = 50


@pytest.fixture
async def proxy(redis_url: str, tmp_path: Path) -> AsyncIterator[Proxy]:
    async with Proxy(redis_url, tmp_path) as made:
        yield made


@pytest.fixture
async def far(proxy: Proxy, settings: Settings) -> AsyncIterator[Engine]:
    """An engine whose way to Redis loses answers."""
    over = {"redis_url": proxy.url, "redis_connections_max": 1}
    async with await Engine.connect(msgspec.structs.replace(settings, **over)) as engine:
        await engine.ping()
        yield engine


async def test_hold_whose_answer_is_lost_is_repeated_with_one_effect(
    far: Engine, proxy: Proxy, office: BoxOffice
) -> None:
    await office.open(seats=ROUNDS)
    for number in range(1, ROUNDS + 1):
        wanted = selection("ann", f"A-1-{number}")
        proxy.drop_next_reply(b"EVAL")
        with pytest.raises(OutcomeUnknown):
            await far.bookings.hold_seats(wanted, request_id=f"r{number}")
        held = await far.bookings.hold_seats(wanted, request_id=f"r{number}")
        assert held.seats == wanted.seats
    assert (await office.state()).event.counts.held == ROUNDS
    assert (await office.kinds()).count("seats_held") == ROUNDS


@pytest.mark.parametrize("verb", ["confirm", "release", "cancel"])
async def test_call_whose_answer_is_lost_is_repeated_with_one_effect(
    far: Engine, proxy: Proxy, office: BoxOffice, verb: str
) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    if verb == "cancel":
        await office.confirm(held)
    call = getattr(far.bookings, f"{verb}_booking")
    proxy.drop_next_reply(b"EVAL")
    with pytest.raises(OutcomeUnknown):
        await call(held.id, held.customer_id)
    ended = await call(held.id, held.customer_id)
    assert ended.status != BookingStatus.PENDING
    kinds = await office.kinds()
    assert len(kinds) == len(set(kinds))
    await office.state()
