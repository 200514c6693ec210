"""A Redis that restarts from an older copy: detected within a second, fenced and restored."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from engine import Booking, Engine, Settings
from engine.errors import Malformed, Misconfigured, Restoring, Unavailable
from engine.ids import EventId
from engine.models import SalesState
from engine.restore.staging import Fence
from persistence.database import Pool
from persistence.journal.writer import Writer
from persistence.loss_detector import LossDetector, check_once
from persistence.restorer import Restorer
from tests.persistence.running import drained, running, sold_seats
from tests.persistence.sale import Sale, ulid
from tests.support.factories import GALA, layout, selection, terms
from tests.support.own_valkey import OwnValkey
from tests.support.waiting import until

Copy = dict[bytes, bytes]


async def _copy(redis: Any) -> Copy:
    """A copy of Redis as it is now, as a lagging replica or a backup has it."""
    return {key: await redis.dump(key) for key in await redis.keys("*")}


async def _come_back_with(redis: Any, copy: Copy) -> None:
    await redis.flushall()
    for key, value in copy.items():
        await redis.restore(key, 0, value)


async def _sell(sale: Sale, customer: str, *seats: str) -> Booking:
    held = await sale.engine.bookings.hold_seats(selection(customer, *seats))
    return await sale.engine.bookings.confirm_booking(held.id, None)


def _fenced(engine: Engine) -> Callable[[], Awaitable[bool]]:
    async def fenced() -> bool:
        return (await engine.events.read_event(GALA)).sales == SalesState.RESTORING

    return fenced


async def test_check_of_a_sound_sale_fences_nothing(sale: Sale, engine: Engine, pool: Pool) -> None:
    detector = LossDetector(engine, pool)
    assert await detector.check() == []
    await sale.hold("A-2-1")  # Redis is ahead now
    assert await detector.check() == []
    await engine.events.load_event("derby", layout(), terms())  # type: ignore[arg-type]
    assert await detector.check() == []


async def test_check_of_an_older_copy_fences_it_and_restore_brings_back_what_was_lost(
    sale: Sale, engine: Engine, pool: Pool
) -> None:
    held = await sale.hold("A-2-1")
    copy = await _copy(sale.redis)
    confirmed = await engine.bookings.confirm_booking(held.id, None)
    lost = await _sell(sale, "bob", "A-2-2")
    await sale.write()
    await _come_back_with(sale.redis, copy)
    assert await LossDetector(engine, pool).check() == [GALA]
    for call in (sale.hold("A-2-2"), engine.bookings.confirm_booking(held.id, None)):
        with pytest.raises(Restoring):
            await call
    restored = await Restorer(engine, pool).restore(GALA)
    assert (restored.standing, restored.refunds_due, restored.sold) == ((), 0, 6)
    for booking in (confirmed, lost):
        assert await engine.bookings.read_booking(booking.id, None) == booking
    await sale.write()
    assert await sale.found() == []


@pytest.mark.parametrize(
    "key",
    ["seats", "map", "areas", "bookings", "customers", "deadlines", "journal", "layout", "event"],
)
async def test_look_at_an_event_with_a_key_missing_closes_it_and_restore_brings_it_back(
    sale: Sale, engine: Engine, pool: Pool, key: str
) -> None:
    """As after an eviction, or a DEL by hand."""
    assert await LossDetector(engine, pool).check() == []
    await sale.redis.delete(f"{{gala}}:{key}")
    assert await LossDetector(engine, pool).check() == [GALA]
    with pytest.raises(Restoring):
        await sale.hold("A-2-2")
    restored = await Restorer(engine, pool).restore(GALA)
    assert (restored.standing, restored.sold) == ((), 4)
    await sale.write()
    assert await sale.found() == []
    assert await LossDetector(engine, pool).check() == []


async def test_look_without_the_list_of_events_closes_what_is_not_listed(
    sale: Sale, engine: Engine, pool: Pool
) -> None:
    """No agent would sweep or write an event that is not listed."""
    await sale.redis.delete("events")
    assert await LossDetector(engine, pool).check() == [GALA]
    assert await engine.events.list_events() == [GALA]


async def test_a_redis_that_evicts_seats_is_noticed(
    tmp_path: Path, pool: Pool, settings: Settings
) -> None:
    """The policy is changed while the engine runs: a start would be refused."""
    valkey = OwnValkey(tmp_path / "valkey", maxmemory_samples="10")
    valkey.start()
    try:
        own = msgspec.structs.replace(settings, redis_url=valkey.url)
        async with await Engine.connect(own) as engine, Redis.from_url(valkey.url) as redis:
            sale = Sale(engine, pool, redis)
            await sale.open()
            used = (await redis.info("memory"))["used_memory"]
            await redis.config_set("maxmemory-policy", "allkeys-random")
            # Redis counts the buffers of its clients too: they need room when the keys are evicted.
            await redis.config_set("maxmemory", used + 2_000_000)
            detector, count = LossDetector(engine, pool), 0
            while not (closed := await detector.check()):
                count += 1
                await redis.set(f"filler:{count}", b"x" * 65_536)
            assert closed == [GALA]
            with pytest.raises(Misconfigured, match="allkeys-random"):
                await Engine.connect(own)
    finally:
        valkey.stop()


async def test_what_was_sold_before_it_was_noticed_is_kept_or_refunded_once(
    sale: Sale, engine: Engine, pool: Pool, writer: Writer
) -> None:
    """The journal is ahead of Postgres again when the writer reads it: a gap shows the loss."""
    copy = await _copy(sale.redis)
    first = await _sell(sale, "bob", "A-2-1")
    await sale.write()
    await _come_back_with(sale.redis, copy)
    again = await _sell(sale, "cleo", "A-2-1")
    kept = await _sell(sale, "dora", "A-2-2")
    assert await LossDetector(engine, pool).check() == []
    async with running(writer):
        await until(_fenced(engine))
        restored = await Restorer(engine, pool).restore(GALA)
        assert (restored.standing, restored.refunds_due, restored.sold) == ((), 1, 6)
        await drained(engine)
    # This also holds if the writer had the second sale in hand the whole time.
    assert await engine.journal.dead_letters(GALA) == []
    assert await sale.found() == []
    owners = await sold_seats(pool)
    assert owners["gala:A-2-1"] == first.id
    assert owners["gala:A-2-2"] == kept.id
    refund = await pool.fetchrow(
        "SELECT amount_minor, reason FROM refund_obligations WHERE booking_id = $1", again.id
    )
    assert refund is not None
    assert tuple(refund) == (1500, "seat_taken")


async def test_a_confirmation_is_not_undone_by_a_redis_that_forgot_it(
    sale: Sale, engine: Engine, pool: Pool, writer: Writer
) -> None:
    """Redis is behind, has the booking as pending and expires it, with a later journal entry."""
    held = await sale.hold("A-2-1")
    copy = await _copy(sale.redis)
    await engine.bookings.confirm_booking(held.id, None)
    await sale.write()
    await _come_back_with(sale.redis, copy)
    engine.bookings.now_ms = held.expires_at_ms + 1
    assert len((await engine.bookings.expire_bookings(GALA, path="sweep")).late_ms) >= 1
    engine.bookings.now_ms = ""
    await sale.write()
    assert (await sold_seats(pool))["gala:A-2-1"] == held.id
    restored = await Restorer(engine, pool).restore(GALA)
    assert restored.standing == ()
    assert (await engine.bookings.read_booking(held.id, None)).status == "confirmed"
    assert ulid(held) in {seat.booking for seat in (await sale.state()).seats.values()}


async def test_an_event_that_was_loaded_over_a_lost_one_is_fenced(
    sale: Sale, engine: Engine, writer: Writer
) -> None:
    await sale.redis.flushall()
    await engine.events.load_event(GALA, layout(areas={"floor": 50}), terms())
    async with running(writer):
        await until(_fenced(engine))


async def test_a_redis_that_was_emptied_under_a_writer_is_fenced(
    sale: Sale, engine: Engine, writer: Writer
) -> None:
    async with running(writer):
        await drained(engine)
        await sale.redis.flushall()

        async def listed() -> bool:
            return await engine.events.list_events() == [GALA]

        await until(listed)
        assert await _fenced(engine)()


@pytest.mark.parametrize("field", ["areas", "epoch", "position", "sales"])
async def test_an_event_that_cannot_be_read_keeps_no_other_from_being_checked(
    sale: Sale, engine: Engine, pool: Pool, writer: Writer, field: str
) -> None:
    derby = EventId("derby")
    await engine.events.load_event(derby, layout(), terms())
    async with running(writer):
        await drained(engine)
    await sale.redis.delete("{derby}:seats")
    if field == "areas":
        await sale.redis.delete("{gala}:areas")
        await sale.redis.set("{gala}:areas", "of another type")
    else:
        await sale.redis.hset("{gala}:event", field, "x")
    assert await LossDetector(engine, pool).check() == [derby]
    with pytest.raises(Malformed, match="gala"):
        await engine.restores.read_head(GALA)
    assert await Restorer(engine, pool).find_behind() == [derby]


async def test_an_event_that_redis_lost_is_listed_only_once_it_is_fenced(
    sale: Sale, engine: Engine, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is listed must not be answered with 404."""
    await sale.redis.flushall()
    detector, run = LossDetector(engine, pool), engine.restores._scripts.outcome

    async def cut(*_: Any, **__: Any) -> Any:
        raise Unavailable("the connection is cut")

    monkeypatch.setattr(engine.restores._scripts, "outcome", cut)
    with pytest.raises(Unavailable):
        await detector.check()
    assert await engine.events.list_events() == []
    monkeypatch.setattr(engine.restores._scripts, "outcome", run)
    assert await detector.check() == [GALA]
    assert await engine.events.list_events() == [GALA]


async def test_check_lists_an_event_that_was_fenced_and_not_listed(
    sale: Sale, engine: Engine, pool: Pool
) -> None:
    await sale.redis.flushall()
    detector = LossDetector(engine, pool)
    assert await detector.check() == [GALA]
    await sale.redis.delete("events")  # the process ended before it listed the event
    assert await detector.check() == [GALA]
    assert await engine.events.list_events() == [GALA]
    assert await detector.check() == []


async def test_check_after_another_has_restored_leaves_the_event_open(
    sale: Sale, engine: Engine, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check finds the event gone, another process restores it: the late fence is ignored."""
    await sale.redis.flushall()
    fence = engine.restores.fence_event

    async def late(*arguments: Any, **named: Any) -> Fence | None:
        monkeypatch.setattr(engine.restores, "fence_event", fence)
        await Restorer(engine, pool).restore(GALA)
        return await fence(*arguments, **named)

    monkeypatch.setattr(engine.restores, "fence_event", late)
    assert await LossDetector(engine, pool).check() == []
    assert (await engine.events.read_event(GALA)).sales == SalesState.OPEN


async def test_check_with_postgres_away_uses_its_last_answer(
    sale: Sale, engine: Engine, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = await sale.hold("A-2-1")
    copy = await _copy(sale.redis)
    await engine.bookings.confirm_booking(held.id, None)
    await sale.write()
    detector = LossDetector(engine, pool)
    assert await detector.check() == []
    await _come_back_with(sale.redis, copy)
    monkeypatch.setattr("persistence.event_record.QUERIES", {"read_newest": "SELECT pg_sleep(9)"})
    monkeypatch.setattr("persistence.loss_detector.CHECK_S_MAX", 0.05)
    assert await detector.check() == [GALA]


async def test_a_process_that_starts_with_postgres_away_starts(
    engine: Engine, redis: Redis, settings: Settings
) -> None:
    assert await check_once(engine, "postgresql://nobody@127.0.0.1:1/none") == []


async def test_a_process_that_starts_fences_what_is_behind(
    sale: Sale, engine: Engine, database_url: str
) -> None:
    copy = await _copy(sale.redis)
    await _sell(sale, "bob", "A-2-1")
    await sale.write()
    await _come_back_with(sale.redis, copy)
    assert await check_once(engine, database_url) == [GALA]
    assert await check_once(engine, database_url) == []


async def test_two_writers_at_one_journal_do_not_fence_it(
    sale: Sale, engine: Engine, pool: Pool, quick: Settings
) -> None:
    """Each writer reads entries that the other does not; the journal has all of them."""
    writers = [Writer(engine, pool, msgspec.structs.replace(quick, writer_batch_entries_max=3))]
    writers += [Writer(engine, pool, quick)]
    async with running(*writers):
        for _ in range(40):
            held = await sale.hold("A-2-1", "A-2-2", floor=1)
            await engine.bookings.release_booking(held.id, None)
        await drained(engine)
    assert not await _fenced(engine)()
    assert await LossDetector(engine, pool).check() == []
    assert await sale.found() == []


async def test_what_another_writer_wrote_and_trimmed_is_not_forgotten(
    sale: Sale, engine: Engine, pool: Pool, quick: Settings
) -> None:
    """Ours read, and was stopped for longer than JOURNAL_KEEP_MS before its check:

    ours    reads 2                                stopped     checks: 1 is not in Redis
    other             reads 1, writes it   trims
    """
    short = msgspec.structs.replace(quick, journal_keep_ms=50)
    ours, other = Writer(engine, pool, short), Writer(engine, pool, short)
    await ours._find_events()
    await ours._losses.before_reading([GALA])
    await sale.hold("A-2-1")
    theirs = await engine.journal.read([GALA], "other", count=10, block_ms=0)
    await sale.hold("A-2-2")
    found = await engine.journal.read([GALA], ours._consumer, count=10, block_ms=0)
    ours._losses.note_read(found)
    ours._batches = [found]
    await other._write(theirs)
    await asyncio.sleep(0.1)
    await other._measure_and_trim(GALA)
    assert await sale.redis.xlen("{gala}:journal") == 1
    await ours._step()
    assert not await _fenced(engine)()


async def test_what_was_lost_of_a_journal_that_was_trimmed_is_detected(
    sale: Sale, engine: Engine, pool: Pool, writer: Writer
) -> None:
    """A quiet sale: its whole journal was trimmed before Redis lost the newest entry."""
    await sale.write()
    await sale.redis.xtrim("{gala}:journal", maxlen=0)
    copy = await _copy(sale.redis)
    await _sell(sale, "bob", "A-2-1")
    await sale.write()
    await _come_back_with(sale.redis, copy)
    await _sell(sale, "cleo", "A-2-1")
    async with running(writer):
        await until(_fenced(engine))
