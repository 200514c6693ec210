"""Many customers through a connection that breaks: every answer they got can be explained.

The control is the checker itself: a falsehood put into the same history must be found, each time.
"""

import asyncio
from random import Random

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from engine import Engine, Settings
from engine.models import JournalEntry
from tests.support.factories import GALA, layout, selection, terms
from tests.support.false_histories import LIES
from tests.support.history import Call, Recorder, read_journal
from tests.support.invariants import broken_promises
from tests.support.linearizability import check
from tests.support.proxy import Proxy

CUSTOMERS = 12
ROUNDS = 25
SEATS = [f"A-1-{number}" for number in range(1, 7)]
CUT_EVERY = 60
LIES_TOLD = 204


class _Disturber:
    """Loses an answer, then breaks everything, and so on, as the calls come."""

    def __init__(self, proxy: Proxy, recorder: Recorder) -> None:
        self._proxy = proxy
        self._recorder = recorder
        self._next = CUT_EVERY
        self._swallow = True

    async def look(self) -> None:
        """Disturb if it is time."""
        if len(self._recorder.calls) < self._next:
            return
        self._next += CUT_EVERY
        self._swallow = not self._swallow
        if self._swallow:
            await self._proxy.cut_connections()
        else:
            self._proxy.drop_next_reply(b"EVALSHA")


async def _buy(recorder: Recorder, disturber: _Disturber, buyer: int) -> None:
    random = Random(buyer)
    for number in range(ROUNDS):
        await disturber.look()
        seats = random.sample(SEATS, random.choice((1, 1, 2)))
        held = await recorder.hold(selection(f"c{buyer}-{number}", *seats))
        if held is None:
            continue
        if random.random() < 0.3:
            await recorder.extend(held.id)
        fate = random.random()
        if fate < 0.45:
            await recorder.confirm(held.id)
        elif fate < 0.9:
            await asyncio.gather(recorder.release(held.id), recorder.confirm(held.id))
        await recorder.read(held.id)
        if fate < 0.9:
            await recorder.cancel(held.id)


@pytest.fixture
async def history(
    engine: Engine, settings: Settings, redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Call], list[JournalEntry]]:
    """What some hundred calls through a breaking connection came to."""
    await engine.events.load_event(GALA, layout(rows=1, seats=6), terms(hold_ttl_ms=1000))
    folder = tmp_path_factory.mktemp("history")
    async with (
        Proxy(settings.redis_url, folder) as proxy,
        await Engine.connect(replace(settings, redis_url=proxy.url)) as cuttable,
    ):
        recorder = Recorder(cuttable.bookings)
        disturber = _Disturber(proxy, recorder)
        await asyncio.gather(*(_buy(recorder, disturber, n) for n in range(CUSTOMERS)))
    return recorder.calls, await read_journal(engine, GALA)


async def test_history_of_breaking_connections_can_be_explained(
    history: tuple[list[Call], list[JournalEntry]], engine: Engine
) -> None:
    calls, entries = history
    unknown = [call for call in calls if call.answer is None]
    assert unknown, "no answer was lost: nothing was tried here"
    assert check(calls, entries) == []
    assert await broken_promises(engine, GALA) == []


async def test_false_histories_are_found_every_time(
    history: tuple[list[Call], list[JournalEntry]],
) -> None:
    calls, entries = history
    told, missed = 0, []
    for number in range(LIES_TOLD):
        name, lie = list(LIES.items())[number % len(LIES)]
        false = lie(Random(number), calls, entries)
        assert false, f"no occasion for {name}"
        told += 1
        if not check(*false):
            missed.append(f"{name} (seed {number})")
    print(f"caught {told - len(missed)}/{told} false histories of {len(calls)} calls")
    assert missed == []
