"""T13 to T16: no listener, notifications off, Redis expires nothing, events come wrong.

Every hold ends within its TTL and a second (G3): the sweep is sure, the check in Lua decides.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from engine import Engine, expirer, invariants, scripts
from engine.errors import SeatTaken
from engine.expirer import Expirer
from engine.models import Booking
from tests.support.crowd import seats_of, state_of
from tests.support.factories import GALA, layout, selection, terms
from tests.support.own_valkey import OwnValkey
from tests.support.raw_redis import raw
from tests.support.readings import exceeds, value
from tests.support.trials import Trial
from tests.support.waiting import until

LATE_MS_MAX = 1000
AT_ONCE = 100


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    """An expirer beside the test."""
    stop = asyncio.Event()
    task = asyncio.create_task(Expirer(engine).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def _hold_all(engine: Engine, seats: list[str], who: str = "ann") -> list[Booking]:
    """One booking a seat, in groups that the bound of waiting calls lets pass."""
    made: list[Booking] = []
    for start in range(0, len(seats), 1000):
        calls = (engine.bookings.hold_seats(selection(who, s)) for s in seats[start : start + 1000])
        made += await asyncio.gather(*calls)
    return made


async def _none_left(engine: Engine) -> bool:
    return bool(await raw(engine).zcard("{gala}:deadlines") == 0)


async def _late_ms(engine: Engine) -> list[int]:
    """How late every expired booking was, sorted."""
    state = await state_of(engine)
    assert invariants.check(state) == []
    late = [(b.ended_at_ms or 0) - b.expires_at_ms for b in state.bookings.values()]
    return sorted(late)


def _spread(late: list[int]) -> str:
    p50, p99 = late[len(late) // 2], late[int(0.99 * len(late))]
    return f"release delay p50 {p50} ms, p99 {p99} ms, max {late[-1]} ms"


@pytest.mark.trial("T13")
async def test_dead_listener_and_many_holds_ending_releases_all_in_time(
    engine: Engine, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(_: Expirer) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Expirer, "_listen", deaf)
    count = trial.rounds(400, 5000)
    rows = count // 50
    await engine.events.load_event(GALA, layout(rows, 50), terms(hold_ttl_ms=2000))
    began_s = time.monotonic()
    dead_s = trial.seconds(0.0, 60.0)
    before = value("engine_release_delay_seconds_count", path="sweep") or 0

    async def counted() -> bool:
        """Redis has none left a moment before the last answer is here."""
        swept = (value("engine_release_delay_seconds_count", path="sweep") or 0) - before
        return swept == rounds * len(held)

    async with running(engine):
        rounds = 0
        while rounds == 0 or time.monotonic() - began_s < dead_s:
            held = await _hold_all(engine, seats_of(rows, 50))
            await until(lambda: _none_left(engine))
            rounds += 1
        await until(counted)
    late = await _late_ms(engine)
    assert len(late) == rounds * len(held)
    assert late[-1] < LATE_MS_MAX
    trial.tell(
        len(late), f"hold that ends, listener dead for {time.monotonic() - began_s:.0f} s",
        f"{_spread(late)}, all by the sweep",
    )  # fmt: skip


@pytest.mark.trial("T13")
async def test_seat_of_an_overdue_hold_goes_to_a_buyer_with_no_expirer_at_all(
    engine: Engine, trial: Trial
) -> None:
    rows = trial.rounds(4, 100)
    await engine.events.load_event(GALA, layout(rows, 50), terms(hold_ttl_ms=1000))
    held = await _hold_all(engine, seats_of(rows, 50))
    last_ms = max(booking.expires_at_ms for booking in held)

    async def ended() -> bool:
        return (await state_of(engine)).now_ms >= last_ms

    await until(ended)
    again = await _hold_all(engine, seats_of(rows, 50), "bob")
    assert len(again) == len(held)
    trial.tell(len(again), "seat of an overdue hold, no expirer runs", "taken at once: refused 0")


@pytest.mark.trial("T14")
async def test_notifications_off_and_connections_killed_misses_nothing_and_says_so(
    engine: Engine, redis: Redis, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expirer, "RECONNECT_S", 0.02)
    rounds = trial.rounds(2, 30)
    await engine.events.load_event(GALA, layout(10, 50), terms(hold_ttl_ms=1000))
    reconnects = value("engine_listener_reconnects_total") or 0
    kills, stop = 0, asyncio.Event()

    async def kill() -> None:
        nonlocal kills
        while not stop.is_set():
            kills += await redis.client_kill_filter(_type="pubsub")
            await redis.config_set("notify-keyspace-events", "")
            await asyncio.sleep(0.2)

    killer = asyncio.create_task(kill())
    try:
        async with running(engine):
            for _ in range(rounds):
                await _hold_all(engine, seats_of(10, 50))
                await until(lambda: _none_left(engine))
            await exceeds(reconnects + rounds, "engine_listener_reconnects_total")
    finally:
        stop.set()
        await killer
        await redis.config_set("notify-keyspace-events", "Ex")
    late = await _late_ms(engine)
    assert len(late) == rounds * 500
    assert late[-1] < LATE_MS_MAX
    alarms = (value("engine_listener_reconnects_total") or 0) - reconnects
    trial.tell(
        kills, "listener's connection killed every 200 ms, notifications switched off",
        f"{len(late):,} holds ended, late 0, {_spread(late)}; `engine_listener_reconnects_total` "
        f"rose by {alarms:.0f}, which alert ListenerDown reads",
    )  # fmt: skip


@pytest.fixture
def debuggable(own: OwnValkey) -> OwnValkey:
    """A Valkey that takes DEBUG."""
    own.more(enable_debug_command="local")
    return own


_MANY_KEYS = """
for i = 1, tonumber(ARGV[1]) do redis.call("SET", ARGV[3] .. i, "", "PXAT", ARGV[2]) end
"""
PARTS = 20


@pytest.mark.trial("T15")
async def test_redis_that_expires_nothing_causes_no_wrong_refusal(
    debuggable: OwnValkey, own_engine: Engine, trial: Trial
) -> None:
    """TTL keys stay; and again with expiry on, while so many end at one moment."""
    keys = trial.rounds(20_000, 1_000_000)
    table = []
    for active in (0, 1):
        engine = own_engine
        await raw(engine).flushall()
        await raw(engine).execute_command("DEBUG", "SET-ACTIVE-EXPIRE", active)
        await engine.events.load_event(GALA, layout(10, 50), terms(hold_ttl_ms=1000))
        held = await _hold_all(engine, seats_of(10, 50))
        last_ms = max(booking.expires_at_ms for booking in held)
        for _ in range(PARTS):
            await raw(engine).eval(_MANY_KEYS, 0, keys // PARTS, last_ms, uuid4().hex)
        took_ms: list[float] = []

        async def ended(last_ms: int = last_ms) -> bool:
            now_s, micros = await own_engine.client.time()
            return bool(now_s * 1000 + micros // 1000 >= last_ms)

        await until(ended)
        wrong = 0
        for seat in seats_of(10, 50):
            began_s = time.monotonic()
            try:
                await engine.bookings.hold_seats(selection("bob", seat))
            except SeatTaken:
                wrong += 1
            took_ms.append((time.monotonic() - began_s) * 1000)
        assert wrong == 0
        found = invariants.check(await state_of(engine))
        assert [v for v in found if v.kind != "overdue_hold"] == [], "no expirer runs here"
        p99 = sorted(took_ms)[int(0.99 * len(took_ms))]
        table.append(f"active expiry {'on' if active else 'off'}: hold p99 {p99:.1f} ms")
    trial.tell(
        keys, "key ending at one moment, 500 overdue holds among them taken by others then",
        f"wrong refusals 0; {'; '.join(table)}",
    )  # fmt: skip


async def _owned(engine: Engine, generations: int) -> tuple[list[str], dict[str, str]]:
    """Seats that changed hands: the ULIDs of all earlier holds, and the owner of each seat now."""
    stale: list[str] = []
    for generation in range(generations):
        held = await _hold_all(engine, seats_of(4, 25), f"g{generation}")
        for booking in held if generation < generations - 1 else []:
            await engine.bookings.release_booking(booking.id, None)
            stale.append(booking.id.rpartition(":")[2])
    sold: dict[str, str] = {b.seats[0]: b.id for b in held}
    for booking in held[::2]:
        await engine.bookings.confirm_booking(booking.id, None)
    return stale, sold


@pytest.mark.trial("T16")
async def test_stale_and_repeated_expiry_events_free_no_held_seat(
    engine: Engine, redis: Redis, trial: Trial
) -> None:
    events = trial.rounds(4_000, 100_000)
    await engine.events.load_event(GALA, layout(4, 25), terms())
    stale, owners = await _owned(engine, 4)
    before = await state_of(engine)
    mine = [booking.rpartition(":")[2] for booking in owners.values()]
    async with running(engine):
        await until(lambda: _subscribed(redis))
        sent = 0
        while sent < events:
            pipeline = redis.pipeline(transaction=False)
            for ulid in trial.random.choices(stale + mine, k=min(40, events - sent)):
                pipeline.publish("__keyevent@0__:expired", f"{{gala}}:hold:{ulid}")
                sent += 1
            heard = await pipeline.execute()
            assert min(heard) == 1
        chosen = [trial.random.choices(stale + mine, k=250) for _ in range(events // 250)]
        for ulids in chosen:
            await engine.bookings.expire_bookings(GALA, ulids, path="listener")
    after = await state_of(engine)
    assert after.seats == before.seats
    assert invariants.check(after) == []
    trial.tell(
        sent + 250 * len(chosen), "stale, repeated or reordered expiry event",
        f"half published to the listener, half given to the script: wrong releases 0, "
        f"{dict(Counter(s.letter for s in after.seats.values()))}",
    )  # fmt: skip


async def _subscribed(redis: Redis) -> bool:
    [(_, count)] = await redis.pubsub_numsub("__keyevent@0__:expired")
    return bool(count)


async def test_control_a_script_that_believes_the_event_frees_a_newer_owners_seat(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: every named booking is released, in any status, before its deadline."""
    await engine.events.load_event(GALA, layout(4, 25), terms())
    stale, _ = await _owned(engine, 2)
    checked = 'record and record.status == "pending" and record.expires_at_ms <= box.now_ms'
    text = scripts.load("expire_bookings").text
    assert checked in text
    owned = "if ending[booking] then"
    assert owned in text
    planted = text.replace(checked, "record").replace(owned, "if index then")
    believing = scripts.Script("expire_bookings", planted, "0" * 40)
    monkeypatch.setattr(scripts, "load", lambda name, *, limited: believing)
    await engine.bookings.expire_bookings(GALA, stale[:50], path="listener")
    assert invariants.check(await state_of(engine)) != []
