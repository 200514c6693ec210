"""What the writer makes of a sale: every state, every seat, every refund, and nothing left over."""

import asyncio

import msgspec
import pytest
from prometheus_client import REGISTRY

from engine import Booking, Engine, Event, Sales, Settings, TermsChange
from engine.errors import RefundDue
from engine.ids import EventId
from engine.plans.addition import addition_of
from persistence.database import Pool
from persistence.journal.writer import Writer
from tests.persistence.running import drained, running, sold_seats, statuses
from tests.support.factories import GALA, layout, selection, terms
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("gala")


async def _hold(engine: Engine, *seats: str, **areas: int) -> Booking:
    return await engine.bookings.hold_seats(selection("ann", *seats, areas=areas))


async def _buy(engine: Engine, *seats: str, **areas: int) -> Booking:
    held = await _hold(engine, *seats, **areas)
    return await engine.bookings.confirm_booking(held.id, None)


async def test_write_every_ending_of_a_booking(engine: Engine, pool: Pool, writer: Writer) -> None:
    pending = await _hold(engine, "A-1-1")
    released = await _hold(engine, "A-1-2")
    await engine.bookings.release_booking(released.id, None)
    confirmed = await _buy(engine, "A-1-3", "A-1-4", floor=2)
    cancelled = await _buy(engine, "A-1-5")
    await engine.bookings.cancel_booking(cancelled.id, None)
    expired = await _hold(engine, "A-2-1")
    engine.bookings.now_ms = expired.expires_at_ms + 1
    await engine.bookings.expire_bookings(GALA, [expired.id.split(":")[1]], path="sweep")

    async with running(writer):
        await drained(engine)

    assert await statuses(pool) == {
        pending.id: "pending",
        released.id: "released",
        confirmed.id: "confirmed",
        cancelled.id: "cancelled",
        expired.id: "expired",
    }
    assert await sold_seats(pool) == dict.fromkeys(confirmed.seats, confirmed.id)
    owed = await pool.fetch("SELECT booking_id, amount_minor, reason FROM refund_obligations")
    assert [tuple(row) for row in owed] == [(cancelled.id, 1500, "cancelled")]


async def test_write_late_payments(engine: Engine, pool: Pool, writer: Writer) -> None:
    in_luck, too_late = await _hold(engine, "A-1-1"), await _hold(engine, "A-1-2")
    engine.bookings.now_ms = too_late.expires_at_ms + 1
    taken = await _buy(engine, "A-1-2")
    late = await engine.bookings.confirm_booking(in_luck.id, None)
    with pytest.raises(RefundDue):
        await engine.bookings.confirm_booking(too_late.id, None)

    async with running(writer):
        await drained(engine)

    assert await sold_seats(pool) == {taken.seats[0]: taken.id, late.seats[0]: late.id}
    rows = await pool.fetch("SELECT booking_id, status, refund_minor FROM bookings WHERE late")
    assert [tuple(row) for row in rows] == [(late.id, "confirmed", 0)]
    owed = await pool.fetch("SELECT booking_id, amount_minor, reason FROM refund_obligations")
    assert [tuple(row) for row in owed] == [(too_late.id, 1500, "seat_taken")]


async def test_write_event_its_seats_and_its_sales(
    engine: Engine, pool: Pool, writer: Writer, gala: Event
) -> None:
    async with running(writer):
        await engine.events.set_terms(GALA, TermsChange(sales=Sales.PAUSED, closes_at_ms=7))
        known, larger = layout(areas={"floor": 50}), layout(3, areas={"floor": 50, "pit": 5})
        await engine.events.add_seats(GALA, addition_of(larger, known))
        await drained(engine)

    row = await pool.fetchrow("SELECT * FROM events")
    assert row is not None
    assert (row["event_id"], row["name"], row["sales"]) == (GALA, "Gala", "paused")
    assert (row["closes_at_ms"], row["loaded_at_ms"]) == (7, gala.loaded_at_ms)
    assert (row["capacity"], row["layout_version"]) == (70, larger.version)
    assert await pool.fetchval("SELECT count(*) FROM seats") == 15


async def test_write_event_loaded_while_it_runs(engine: Engine, pool: Pool, writer: Writer) -> None:
    async with running(writer):
        await drained(engine)
        await engine.events.load_event(EventId("later"), layout(), terms())
        await until(lambda: pool.fetchval("SELECT 1 FROM events WHERE event_id = 'later'"))


async def test_write_stopped_drains_the_journal(engine: Engine, pool: Pool, writer: Writer) -> None:
    async with running(writer):
        await drained(engine)
        held = await asyncio.gather(*(_hold(engine, floor=1) for _ in range(30)))
    assert await statuses(pool) == {booking.id: "pending" for booking in held}


async def test_write_stopped_drains_an_event_it_has_not_found_yet(
    engine: Engine, pool: Pool, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.journal.writer._HOUSEKEEPING_S", 3600)
    async with running(writer):
        await drained(engine)
        await engine.events.load_event(EventId("later"), layout(), terms())
    assert await pool.fetchval("SELECT 1 FROM events WHERE event_id = 'later'")


async def test_write_trims_only_what_is_persisted(
    engine: Engine, pool: Pool, quick: Settings
) -> None:
    await engine.journal.create_group(GALA)
    in_hand = await engine.journal.read([GALA], "slow", count=1, block_ms=0)
    await _buy(engine, "A-1-1")
    keeps_nothing = msgspec.structs.replace(
        quick, journal_keep_ms=0, writer_claim_idle_ms=3_600_000
    )

    async def trimmed_to(entries: int) -> bool:
        return bool(await engine.client.xlen("{gala}:journal") == entries)

    async with running(Writer(engine, pool, keeps_nothing)):
        await until(lambda: pool.fetchval("SELECT 1 FROM booking_seats WHERE active"))
        assert await engine.client.xlen("{gala}:journal") == 3  # the slow one holds the first
        await engine.journal.acknowledge(GALA, [in_hand[0].entry_id])
        await until(lambda: trimmed_to(0))


async def test_write_measures_backlog_and_lag(engine: Engine, pool: Pool, writer: Writer) -> None:
    await engine.journal.create_group(GALA)
    await engine.journal.read([GALA], "slow", count=1, block_ms=0)
    writer._settings = Settings()  # claims after 10 s: the slow one keeps the entry

    def gauge(name: str) -> float:
        return REGISTRY.get_sample_value(name, {"event": GALA}) or 0

    async def measured() -> bool:
        return gauge("writer_backlog_entries") == 1 and gauge("writer_lag_seconds") > 0

    async with running(writer):
        await until(measured)


async def test_write_two_writers_share_a_sale(engine: Engine, pool: Pool, quick: Settings) -> None:
    writers = [Writer(engine, pool, quick) for _ in range(2)]

    async def sell_and_resell(seat: str) -> str:
        for _ in range(5):
            sold = await _buy(engine, seat)
            await engine.bookings.cancel_booking(sold.id, None)
        return (await _buy(engine, seat)).id

    seats = [f"A-{row}-{number}" for row in (1, 2) for number in range(1, 6)]
    async with running(*writers):
        owners = await asyncio.gather(*(sell_and_resell(seat) for seat in seats))
        await drained(engine)

    expected = {f"{GALA}:{seat}": owner for seat, owner in zip(seats, owners, strict=True)}
    assert await sold_seats(pool) == expected
    assert await pool.fetchval("SELECT count(*) FROM refund_obligations") == 50
    assert await engine.journal.dead_letters(GALA) == []
