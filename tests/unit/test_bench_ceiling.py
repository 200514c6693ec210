"""redis-benchmark is given the engine's own hold, and what it did not hold is no figure."""

import itertools

import pytest

from bench.rig.ceiling import RANDOM, Ceiling, CeilingLoad, call_of, parse
from bench.rig.houses import house, seat_of
from engine import Engine, Settings, scripts
from engine.event_state import read_state
from engine.ids import EventId
from engine.invariants import check
from engine.models import Terms
from tests.support.raw_redis import raw

EVENT = EventId("ceiling")


async def test_the_call_is_a_hold_with_all_its_writes(engine: Engine) -> None:
    await engine.events.load_event(EVENT, house(2000), Terms(name="Ceiling"))
    sha = str(await raw(engine).script_load(scripts.load("hold_seats").text))
    numbers = itertools.count()

    def as_redis_benchmark_does(word: str) -> str:
        for _ in range(word.count(RANDOM)):
            word = word.replace(RANDOM, f"{next(numbers):012}", 1)
        return word

    command = [as_redis_benchmark_does(word) for word in call_of(EVENT, sha, 4)]
    _, (code, ulid, *_) = await raw(engine).execute_command(*command)
    assert code == b"OK"
    assert len(ulid) == 26
    state = await read_state(engine, EVENT)
    (booking,) = state.bookings.values()
    assert len(booking.seats) == 4
    assert check(state) == []
    kinds = {key.split(b"}:")[1].split(b":")[0] async for key in raw(engine).scan_iter("{*")}
    assert {b"hold", b"request", b"journal"} <= kinds


async def test_holds_that_did_not_happen_are_found(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ceiling = Ceiling(engine, settings.redis_url, 1000)
    await ceiling.open()
    monkeypatch.setattr(ceiling, "_run", lambda *_: 99_999.0)
    assert await ceiling.measure(CeilingLoad(50, 16), 100) == 0
    assert ceiling.wrong == ["redis-benchmark 50 x 16, seats a hold: 1: 100 calls, only 0 holds"]


async def test_a_house_is_free_again_before_each_measurement(engine: Engine) -> None:
    ceiling = Ceiling(engine, "", 1000)
    await ceiling.open()
    before = await read_state(engine, EVENT)
    sha = str(await raw(engine).script_load(scripts.load("hold_seats").text))
    command = [word.replace(RANDOM, f"{7:012}") for word in call_of(EVENT, sha, 1)]
    assert (await raw(engine).execute_command(*command))[0] == b"OK"
    await ceiling.set_free()
    after = await read_state(engine, EVENT)
    assert (after.seats, after.map, after.bookings) == (before.seats, before.map, {})


def test_calls_a_second_are_read_off_the_csv() -> None:
    told = '"test","rps","avg_latency_ms"\n"EVALSHA x","16256.50","0.2"\n'
    assert parse(told) == 16256.5


def test_seats_have_twelve_digits() -> None:
    assert seat_of(7) == "A-1-000000000007"
    assert [s.id for s in house(2).sections[0].rows[0].seats] == [seat_of(0), seat_of(1)]
