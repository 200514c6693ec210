"""The writer and a dead writer, a poison entry, a reordered resale, servers that go away."""

import asyncio
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from structlog.testing import capture_logs

from engine import Engine, Settings
from engine.booking_json import json_of
from engine.errors import OutcomeUnknown
from engine.journal import GROUP
from engine.models import Booking
from persistence.database import Pool
from persistence.journal.tables import Store
from persistence.journal.writer import TRIES_MAX, Writer
from tests.persistence.entries import booking
from tests.persistence.running import drained, running, sold_seats, statuses
from tests.support.factories import GALA, layout, selection, terms
from tests.support.proxy import Proxy
from tests.support.raw_redis import raw
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("gala")


async def _buy(engine: Engine, seat: str) -> Booking:
    held = await engine.bookings.hold_seats(selection("ann", seat))
    return await engine.bookings.confirm_booking(held.id, None)


async def _append(redis: Redis, of: Booking) -> str:
    """Write a journal entry past the scripts; returns its id."""
    fields = {"kind": "planted", "at_ms": "1", "epoch": "1", "booking_id": of.id.split(":")[1]}
    entry_id = await redis.xadd("{gala}:journal", {**fields, "booking": json_of(of)})  # type: ignore[dict-item]
    return bytes(entry_id).decode()  # type: ignore[arg-type]


async def _read_as(engine: Engine, consumer: str) -> list[str]:
    await engine.journal.create_group(GALA)
    entries = await engine.journal.read([GALA], consumer, count=100, block_ms=0)
    return [entry.kind for entry in entries]


async def test_write_what_a_dead_writer_had_in_hand(
    engine: Engine, pool: Pool, writer: Writer
) -> None:
    sold = await _buy(engine, "A-1-1")
    assert await _read_as(engine, "dead") == ["event_loaded", "seats_held", "booking_confirmed"]
    async with running(writer):
        await drained(engine)
    assert await sold_seats(pool) == {sold.seats[0]: sold.id}


async def test_write_again_what_was_committed_and_not_acknowledged(
    engine: Engine, pool: Pool, writer: Writer
) -> None:
    sold = await _buy(engine, "A-1-1")
    await engine.bookings.cancel_booking(sold.id, None)
    await engine.journal.create_group(GALA)
    entries = await engine.journal.read([GALA], "died_after_commit", count=100, block_ms=0)
    await Store(pool).write(entries)
    tables = ("bookings", "booking_seats", "refund_obligations", "journal", "events", "seats")
    before = [await pool.fetch(f"SELECT * FROM {table}") for table in tables]

    async with running(writer):
        await drained(engine)

    assert [await pool.fetch(f"SELECT * FROM {table}") for table in tables] == before


async def test_write_cancelled_at_any_moment_loses_nothing(
    engine: Engine, pool: Pool, quick: Settings
) -> None:
    sold = {}
    for number in range(1, 6):
        booking = await _buy(engine, f"A-1-{number}")
        sold[booking.seats[0]] = booking.id
        running_writer = asyncio.create_task(Writer(engine, pool, quick).run(asyncio.Event()))
        await until(lambda: pool.fetchval("SELECT 1 FROM journal LIMIT 1"))
        running_writer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running_writer
    async with running(Writer(engine, pool, quick)):
        await drained(engine)
    assert await sold_seats(pool) == sold


async def test_write_poison_entry_is_set_aside_and_others_flow(
    engine: Engine, pool: Pool, writer: Writer, redis: Redis
) -> None:
    before = await _buy(engine, "A-1-1")
    poison = booking(9, "expired", 2, customer_id="nul \0 byte")
    entry_id = await _append(redis, poison)
    after = await _buy(engine, "A-1-3")
    refused = ("writer_entries_set_aside_total", {"reason": "refused"})
    count = REGISTRY.get_sample_value(*refused) or 0

    async with running(writer):
        await until(lambda: engine.journal.dead_letters(GALA))
        await drained(engine)

    assert await statuses(pool) == {before.id: "confirmed", after.id: "confirmed"}
    [letter] = await engine.journal.dead_letters(GALA)
    assert letter.entry.entry_id == entry_id
    assert "UTF8" in letter.reason
    assert REGISTRY.get_sample_value(*refused) == count + 1


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "seats_held", "at_ms": "soon"},
        {"kind": "terms_set", "at_ms": "1", "epoch": str(2**40), "event": "{}"},
        {"kind": "terms_set", "at_ms": str(2**64), "epoch": "1", "event": "{}"},
    ],
)
async def test_write_entry_no_script_wrote_is_set_aside_and_others_flow(
    engine: Engine, pool: Pool, writer: Writer, redis: Redis, fields: dict[Any, Any]
) -> None:
    await redis.xadd("{gala}:journal", fields)
    after = await _buy(engine, "A-1-3")
    async with running(writer):
        await until(lambda: engine.journal.dead_letters(GALA))
        await drained(engine)
    assert await statuses(pool) == {after.id: "confirmed"}
    [letter] = await engine.journal.dead_letters(GALA)
    assert fields["at_ms"] in letter.entry.kind


async def _sold_and_cancelled(engine: Engine, pool: Pool, quick: Settings) -> list[str]:
    """Sold, known to Postgres, cancelled; the entry that says so, which a slow writer has."""
    first = await _buy(engine, "A-1-1")
    async with running(Writer(engine, pool, quick)):
        await drained(engine)
    await engine.bookings.cancel_booking(first.id, None)
    entries = await engine.journal.read([GALA], "slow", count=100, block_ms=0)
    assert [entry.kind for entry in entries] == ["booking_cancelled"]
    return [entry.entry_id for entry in entries]


async def _keeps(engine: Engine, entry_ids: list[str]) -> None:
    """The slow writer says that it lives: nobody claims what it has in hand."""
    await raw(engine).xclaim("{gala}:journal", GROUP, "slow", 0, entry_ids)


async def test_dead_letter_whose_redis_dies_is_set_aside_whole_or_not(
    engine: Engine, redis: Redis, quick: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its first answer is lost on the way: nothing of it may be there twice."""
    await _append(redis, booking(9, "expired", 2))
    await engine.journal.create_group(GALA)
    *_, poison = await engine.journal.read([GALA], "w", count=100, block_ms=0)
    async with Proxy(quick.redis_url, tmp_path_factory.mktemp("redis")) as proxy:
        behind = msgspec.structs.replace(quick, redis_url=proxy.url)
        async with await Engine.connect(behind) as cuttable:
            await cuttable.ping()
            proxy.drop_next_reply(b"XADD")
            with pytest.raises(OutcomeUnknown):
                await cuttable.journal.dead_letter(poison, "why")
    letters = await engine.journal.dead_letters(GALA)
    pending = await redis.xpending("{gala}:journal", GROUP)
    assert (len(letters), pending["pending"]) == (1, 1), "set aside, and not in hand any more"


async def test_write_resale_before_its_cancel_waits_for_it(
    engine: Engine, pool: Pool, quick: Settings
) -> None:
    """The slow writer has the cancel in hand, ours meets the resale first:

    slow    reads `cancelled A`                                           dies
    ours           reads `confirmed B`: A owns it, again and again        claims both
    """
    in_hand = await _sold_and_cancelled(engine, pool, quick)
    second, other = await _buy(engine, "A-1-1"), await _buy(engine, "A-1-2")
    patient = msgspec.structs.replace(quick, writer_claim_idle_ms=100)
    with capture_logs() as logs:

        async def tried_often() -> bool:
            await _keeps(engine, in_hand)
            waits = [line for line in logs if line["event"] == "sales_out_of_order"]
            assert {line["wait_for"] for line in waits} <= set(in_hand)
            return len(waits) > TRIES_MAX

        async with running(Writer(engine, pool, patient)):
            await until(tried_often)
            assert (await sold_seats(pool))[other.seats[0]] == other.id, "the others flow"
            assert await engine.journal.dead_letters(GALA) == []
            await drained(engine)

    assert "entry_rejected" not in {line["event"] for line in logs}
    assert await sold_seats(pool) == {b.seats[0]: b.id for b in (second, other)}
    assert await engine.journal.dead_letters(GALA) == []


async def test_control_resale_whose_cancel_was_lost_is_set_aside(
    engine: Engine, pool: Pool, quick: Settings
) -> None:
    """The writer that has the cancel acknowledges it and writes nothing: no wait can help."""
    in_hand = await _sold_and_cancelled(engine, pool, quick)
    second = await _buy(engine, "A-1-1")
    await engine.journal.acknowledge(GALA, in_hand)
    async with running(Writer(engine, pool, quick)):
        await until(lambda: engine.journal.dead_letters(GALA))
        await drained(engine)
    [letter] = await engine.journal.dead_letters(GALA)
    assert letter.entry.booking
    assert letter.entry.booking.id == second.id


async def test_write_entry_that_was_handed_out_to_writers_that_died_is_tried_as_often(
    engine: Engine, pool: Pool, quick: Settings, redis: Redis
) -> None:
    """A delivery to a writer that was killed is no try."""
    poison = booking(9, "expired", 2, customer_id="nul \0 byte")
    await _append(redis, poison)
    await _read_as(engine, "dead")
    for _ in range(TRIES_MAX):
        await engine.journal.claim(GALA, "dead_too", idle_ms=0, count=10)
    with capture_logs() as logs:
        async with running(Writer(engine, pool, quick)):
            await until(lambda: engine.journal.dead_letters(GALA))
    tries = [line["tries"] for line in logs if line["event"] == "entry_rejected"]
    assert tries == list(range(1, TRIES_MAX))


async def test_write_seat_sold_twice_is_set_aside(
    engine: Engine, pool: Pool, writer: Writer, redis: Redis
) -> None:
    """The last wall: a second sale that somebody wrote past the scripts never reaches Postgres."""
    sold = await _buy(engine, "A-1-1")
    await _append(redis, booking(9, "confirmed", 1))
    async with running(writer):
        await until(lambda: engine.journal.dead_letters(GALA))
    assert await sold_seats(pool) == {sold.seats[0]: sold.id}
    [letter] = await engine.journal.dead_letters(GALA)
    assert "booking_seats_one_owner" in letter.reason


async def test_write_while_postgres_is_away_waits_and_beats(
    engine: Engine, pool: Pool, cuttable_pool: Pool, postgres_proxy: Proxy, quick: Settings
) -> None:
    async with running(Writer(engine, cuttable_pool, quick)):
        await drained(engine)
        await postgres_proxy.cut()
        sold = await _buy(engine, "A-1-1")
        await engine.client.delete("part:writer")
        await until(lambda: _beats(engine))
        assert (await engine.journal.backlog(GALA)).entries == 2
        await postgres_proxy.restore()
        await drained(engine)
    assert await sold_seats(pool) == {sold.seats[0]: sold.id}


async def test_write_stopped_while_postgres_is_away_leaves_the_rest(
    engine: Engine, pool: Pool, cuttable_pool: Pool, postgres_proxy: Proxy, quick: Settings
) -> None:
    async with running(Writer(engine, cuttable_pool, quick)):
        await drained(engine)
        await postgres_proxy.cut()
        sold = await _buy(engine, "A-1-1")
    assert (await engine.journal.backlog(GALA)).entries == 2
    async with running(Writer(engine, pool, quick)):
        await drained(engine)
    assert await sold_seats(pool) == {sold.seats[0]: sold.id}


async def test_write_goes_on_when_redis_comes_back(
    engine: Engine, pool: Pool, quick: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with Proxy(quick.redis_url, tmp_path_factory.mktemp("redis")) as proxy:
        behind = msgspec.structs.replace(quick, redis_url=proxy.url)
        async with (
            await Engine.connect(behind) as cuttable,
            running(Writer(cuttable, pool, quick)),
        ):
            await drained(engine)
            await proxy.cut()
            sold = await _buy(engine, "A-1-1")
            await proxy.restore()
            await drained(engine)
    assert await sold_seats(pool) == {sold.seats[0]: sold.id}


async def test_write_goes_on_when_redis_comes_back_empty(
    engine: Engine, pool: Pool, writer: Writer, redis: Redis
) -> None:
    async with running(writer):
        await drained(engine)
        await redis.flushall()
        await engine.events.load_event(GALA, layout(), terms(name="Again"))
        await until(lambda: pool.fetchval("SELECT 1 FROM events WHERE name = 'Again'"))


async def _beats(engine: Engine) -> bool:
    return (await engine.parts_running(["writer"]))["writer"]
