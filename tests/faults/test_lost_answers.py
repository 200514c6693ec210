"""T07, G5: a call whose answer is lost has one effect; repeating it returns which.

The control repeats by itself and names no request, as redis-py does by default over TCP.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine import BookingStatus, Engine, OutcomeUnknown, Settings
from tests.support.box_office import BoxOffice
from tests.support.factories import selection
from tests.support.proxy import Proxy
from tests.support.trials import Trial

SEATS = 50


@pytest.fixture
async def proxy(redis_url: str, tmp_path: Path) -> AsyncIterator[Proxy]:
    async with Proxy(redis_url, tmp_path) as made:
        yield made


@pytest.fixture
async def far(proxy: Proxy, settings: Settings) -> AsyncIterator[Engine]:
    """An engine whose way to Redis loses answers."""
    over = {"redis_url": proxy.url}
    async with await Engine.connect(msgspec.structs.replace(settings, **over)) as engine:
        await engine.ping()
        yield engine


async def test_control_a_client_that_repeats_by_itself_doubles_the_effect(
    proxy: Proxy, redis: Redis
) -> None:
    async with Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 1)) as client:
        await client.ping()
        proxy.drop_next_reply(b"XADD")
        await client.xadd("{gala}:journal", {"kind": "seats_held"})
    assert await redis.xlen("{gala}:journal") == 2


@pytest.mark.trial("T07")
async def test_hold_whose_answer_is_lost_is_repeated_with_one_effect(
    far: Engine, proxy: Proxy, office: BoxOffice, trial: Trial
) -> None:
    rounds = trial.rounds(50, 1000)
    await office.open(rows=1 + rounds // SEATS, seats=SEATS)
    for number in range(rounds):
        wanted = selection("ann", f"A-{1 + number // SEATS}-{1 + number % SEATS}")
        proxy.drop_next_reply(b"EVAL")
        with pytest.raises(OutcomeUnknown):
            await far.bookings.hold_seats(wanted, request_id=f"r{number}")
        held = await far.bookings.hold_seats(wanted, request_id=f"r{number}")
        assert held.seats == wanted.seats
    assert (await office.state()).event.counts.held == rounds
    effects = (await office.kinds()).count("seats_held")
    assert effects == rounds
    trial.tell(
        rounds, "the answer to a hold dropped after the script ran, the call repeated",
        f"{effects / rounds:g} effects a call; a client that repeats by itself has 2",
    )  # fmt: skip


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
