"""What `write` makes of entries that come twice, late, in any order, or from two writers."""

import asyncio
from itertools import permutations

import asyncpg
import pytest
from msgspec.structs import replace

from persistence.database import Pool
from persistence.journal.tables import Store
from tests.persistence.entries import booking, entry, event_entry, loaded, seat
from tests.persistence.running import sold_seats
from tests.support.factories import layout

TABLES = ("bookings", "booking_seats", "refund_obligations", "journal")


async def _rows(pool: Pool, table: str) -> list[str]:
    return sorted(repr(row) for row in await pool.fetch(f"SELECT * FROM {table}"))


async def test_write_confirmed_booking_sells_its_seats(pool: Pool, store: Store) -> None:
    sold = booking(1, "confirmed", 1, 2, confirmed_at_ms=2_000)
    await store.write([entry(10, booking(1, "pending", 1, 2)), entry(11, sold)])

    row = await pool.fetchrow("SELECT * FROM bookings")
    assert row is not None
    assert (row["status"], row["seats"]) == ("confirmed", [seat(1), seat(2)])
    assert (row["amount_minor"], row["confirmed_at_ms"], row["late"]) == (3000, 2000, False)
    assert (row["epoch"], row["entry_ms"], row["entry_seq"]) == (1, 11, 0)
    assert await sold_seats(pool) == {seat(1): sold.id, seat(2): sold.id}
    assert await pool.fetchval("SELECT count(*) FROM journal") == 2


async def test_write_standing_places_keeps_area_and_quantity(pool: Pool, store: Store) -> None:
    await store.write([entry(10, booking(1, "confirmed"))])
    areas = await pool.fetchval("SELECT areas FROM bookings")
    assert areas == '[{"area_id": "floor", "quantity": 2}]'


async def test_write_same_entries_twice_changes_nothing(pool: Pool, store: Store) -> None:
    entries = [
        entry(10, booking(1, "confirmed", 1)),
        entry(11, booking(1, "cancelled", 1, refund_minor=1500, refund_reason="cancelled")),
    ]
    await store.write(entries)
    before = [await _rows(pool, table) for table in TABLES]
    await store.write(entries[:1])
    await store.write(entries)
    assert [await _rows(pool, table) for table in TABLES] == before


async def test_write_entries_of_which_some_are_known_or_twice_there_keeps_each_once(
    pool: Pool, store: Store
) -> None:
    first, second, third = (entry(10 + n, booking(n, "confirmed", n)) for n in (1, 2, 3))
    await store.write([first])
    await store.write([first, second, third, second])
    assert await pool.fetchval("SELECT count(*) FROM journal") == 3
    assert await sold_seats(pool) == {seat(n): booking(n, "confirmed").id for n in (1, 2, 3)}


async def test_write_stale_entry_is_kept_and_ignored(pool: Pool, store: Store) -> None:
    await store.write([entry(12, booking(1, "cancelled", 1))])
    await store.write([entry(11, booking(1, "confirmed", 1))])
    assert await pool.fetchval("SELECT status FROM bookings") == "cancelled"
    assert await sold_seats(pool) == {}
    assert await pool.fetchval("SELECT count(*) FROM journal") == 2


async def test_write_newer_epoch_wins_over_a_later_id(pool: Pool, store: Store) -> None:
    await store.write([entry(99, booking(1, "expired", 1), epoch=1)])
    await store.write([entry(50, booking(1, "confirmed", 1), epoch=2)])
    assert await pool.fetchval("SELECT status FROM bookings") == "confirmed"
    assert await sold_seats(pool) == {"gala:A-1-1": booking(1, "confirmed", 1).id}


@pytest.mark.parametrize("ended", ["expired", "released"])
async def test_write_newer_epoch_ends_no_sale(pool: Pool, store: Store, ended: str) -> None:
    """A restore that took it for a hold looked too early; it compares, and looks again."""
    await store.write([entry(10, booking(1, "confirmed", 1), epoch=1)])
    await store.write([entry(50, booking(1, ended, 1), epoch=2)])
    assert await pool.fetchval("SELECT status FROM bookings") == "confirmed"
    await store.write([entry(51, booking(1, "cancelled", 1), epoch=2)])
    assert await pool.fetchval("SELECT status FROM bookings") == "cancelled"
    assert await sold_seats(pool) == {}


async def test_write_in_every_order_ends_the_same(pool: Pool, store: Store) -> None:
    story = [
        entry(10, booking(1, "pending", 1)),
        entry(11, booking(1, "confirmed", 1)),
        entry(12, booking(1, "cancelled", 1, refund_minor=1500, refund_reason="cancelled")),
    ]
    ends = set()
    for order in permutations(story):
        await pool.execute("TRUNCATE bookings, booking_seats, refund_obligations")
        for one in order:
            await store.write([one])
        ends.add(repr([await _rows(pool, table) for table in TABLES]))
    assert len(ends) == 1


async def test_write_refund_twice_owes_it_once(pool: Pool, store: Store) -> None:
    late = booking(1, "expired", 1, refund_minor=1500, refund_reason="seat_taken")
    await store.write([entry(10, late)])
    await store.write([entry(10, late), entry(11, late)])
    owed = await pool.fetch("SELECT amount_minor, reason, due_at_ms FROM refund_obligations")
    assert [tuple(row) for row in owed] == [(1500, "seat_taken", 10)]


async def test_write_by_many_at_once_ends_at_the_newest(pool: Pool, store: Store) -> None:
    bookings = range(20)
    stories = [
        [entry(100 * step + n, booking(n, status, n + 1)) for n in bookings]
        for step, status in enumerate(["pending", "confirmed", "cancelled", "cancelled"], 1)
    ]
    await asyncio.gather(*(store.write(story) for story in stories * 2))
    ends = await pool.fetch("SELECT DISTINCT status, entry_ms - entry_ms % 100 FROM bookings")
    assert [tuple(row) for row in ends] == [("cancelled", 400)]
    assert await sold_seats(pool) == {}


async def test_write_loaded_event_has_its_settings_and_seats(pool: Pool, store: Store) -> None:
    await store.write([loaded(10, layout(1, 3)), event_entry(11, {"sales": "paused"})])
    row = await pool.fetchrow("SELECT * FROM events")
    assert row is not None
    assert (row["name"], row["sales"], row["capacity"]) == ("Gala", "paused", 3)
    seats = await pool.fetch("SELECT seat_id, price_minor FROM seats ORDER BY seat_id")
    assert [tuple(row) for row in seats] == [(seat(n), 1500) for n in (1, 2, 3)]


async def test_write_event_entries_in_any_order_ends_the_same(pool: Pool, store: Store) -> None:
    larger = layout(1, 5, {"floor": 50})
    await store.write([event_entry(12, {"sales": "closed"})])
    assert await pool.fetchval("SELECT count(*) FROM events") == 0
    await store.write([event_entry(13, {"layout_version": larger.version}, larger)])
    await store.write([event_entry(11, {"sales": "paused", "closes_at_ms": "7"})])
    await store.write([loaded(10, layout(1, 3))])
    row = await pool.fetchrow("SELECT sales, closes_at_ms, layout_version, capacity FROM events")
    assert row is not None
    assert tuple(row) == ("closed", 7, larger.version, 55)
    assert await pool.fetchval("SELECT count(*) FROM seats") == 5


async def test_write_entries_of_an_older_release_gives_the_event_the_usual_terms(
    pool: Pool, store: Store
) -> None:
    names = "starts_at_ms, time_zone, cancel_until_ms, late_payment, payment_max_ms"
    new = loaded(10, layout(1, 3))
    assert new.event
    old = {name: text for name, text in new.event.items() if name not in names.split(", ")}
    paused = {"sales": "paused", "opens_at_ms": "5", "closes_at_ms": "4"}
    entries = [replace(new, event=old), replace(event_entry(11, paused), kind="sales_set")]
    assert await store.write(entries) == []
    row = await pool.fetchrow(f"SELECT sales, closes_at_ms, {names} FROM events")
    assert row is not None
    assert tuple(row) == ("paused", 4, 0, "", 0, "confirm", 0)


async def test_write_terms_in_any_order_ends_with_the_newest(pool: Pool, store: Store) -> None:
    change = {"starts_at_ms": "9", "time_zone": "UTC", "cancel_until_ms": "8"}
    await store.write([event_entry(12, change | {"late_payment": "confirm"})])
    await store.write([event_entry(11, {"late_payment": "refund", "payment_max_ms": "70000"})])
    await store.write([loaded(10, layout(1, 3))])
    row = await pool.fetchrow(
        "SELECT starts_at_ms, time_zone, cancel_until_ms, late_payment, payment_max_ms FROM events"
    )
    assert row is not None
    assert tuple(row) == (9, "UTC", 8, "confirm", 70000)


async def test_change_journal_is_refused(pool: Pool, store: Store) -> None:
    await store.write([entry(10, booking(1, "pending", 1))])
    for change in ("DELETE FROM journal", "UPDATE journal SET kind = ''", "TRUNCATE journal"):
        with pytest.raises(asyncpg.RaiseError, match="journal is append-only"):
            await pool.execute(change)
