"""What `write` makes of entries that come twice, late, in any order, or from two writers."""

import asyncio
import gzip
from collections.abc import Sequence
from itertools import permutations

import asyncpg
import msgspec
import pytest

from engine import Booking
from engine.models import JournalEntry
from persistence.database import Pool
from persistence.refusals import Refusal
from persistence.store import Store
from tests.persistence.entries import booking, entry, event_entry, loaded, seat
from tests.support.factories import layout

TABLES = ("bookings", "booking_seats", "refund_obligations", "journal")


async def _owners(pool: Pool) -> dict[str, str]:
    found = await pool.fetch("SELECT seat_id, booking_id FROM booking_seats WHERE active")
    return {row["seat_id"]: row["booking_id"] for row in found}


async def _rows(pool: Pool, table: str) -> list[str]:
    return sorted(repr(row) for row in await pool.fetch(f"SELECT * FROM {table}"))


def _entries(refusals: list[Refusal]) -> list[JournalEntry]:
    return [refusal.entry for refusal in refusals]


async def test_write_confirmed_booking_sells_its_seats(pool: Pool, store: Store) -> None:
    sold = booking(1, "confirmed", 1, 2, confirmed_at_ms=2_000)
    await store.write([entry(10, booking(1, "pending", 1, 2)), entry(11, sold)])

    row = await pool.fetchrow("SELECT * FROM bookings")
    assert row is not None
    assert (row["status"], row["seats"]) == ("confirmed", [seat(1), seat(2)])
    assert (row["amount_minor"], row["confirmed_at_ms"], row["late"]) == (3000, 2000, False)
    assert (row["epoch"], row["entry_ms"], row["entry_seq"]) == (1, 11, 0)
    assert await _owners(pool) == {seat(1): sold.id, seat(2): sold.id}
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
    assert await _owners(pool) == {seat(n): booking(n, "confirmed").id for n in (1, 2, 3)}


async def test_write_stale_entry_is_kept_and_ignored(pool: Pool, store: Store) -> None:
    await store.write([entry(12, booking(1, "cancelled", 1))])
    await store.write([entry(11, booking(1, "confirmed", 1))])
    assert await pool.fetchval("SELECT status FROM bookings") == "cancelled"
    assert await _owners(pool) == {}
    assert await pool.fetchval("SELECT count(*) FROM journal") == 2


async def test_write_newer_epoch_wins_over_a_later_id(pool: Pool, store: Store) -> None:
    await store.write([entry(99, booking(1, "expired", 1), epoch=1)])
    await store.write([entry(50, booking(1, "confirmed", 1), epoch=2)])
    assert await pool.fetchval("SELECT status FROM bookings") == "confirmed"
    assert await _owners(pool) == {"gala:A-1-1": booking(1, "confirmed", 1).id}


@pytest.mark.parametrize("ended", ["expired", "released"])
async def test_write_newer_epoch_ends_no_sale(pool: Pool, store: Store, ended: str) -> None:
    """A restore that took it for a hold looked too early; it compares, and looks again."""
    await store.write([entry(10, booking(1, "confirmed", 1), epoch=1)])
    await store.write([entry(50, booking(1, ended, 1), epoch=2)])
    assert await pool.fetchval("SELECT status FROM bookings") == "confirmed"
    await store.write([entry(51, booking(1, "cancelled", 1), epoch=2)])
    assert await pool.fetchval("SELECT status FROM bookings") == "cancelled"
    assert await _owners(pool) == {}


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


async def test_write_seat_sold_to_another_is_refused_and_the_others_flow(
    pool: Pool, store: Store
) -> None:
    first = booking(1, "confirmed", 1)
    await store.write([entry(10, first)])
    second = entry(12, booking(2, "confirmed", 1, 2))
    [refusal] = await store.write([entry(11, booking(3, "pending", 5)), second])
    assert refusal.entry == second
    assert refusal.error.seat_sold_twice
    assert "booking_seats_one_owner" in str(refusal.error)
    assert await _owners(pool) == {seat(1): first.id}
    assert await pool.fetchval("SELECT count(*) FROM bookings") == 1
    assert await pool.fetchval("SELECT count(*) FROM journal") == 2


async def _refused(store: Store, *entries: JournalEntry) -> list[str]:
    """The bookings whose sale was refused, each as a second one."""
    refusals = await store.write(entries)
    assert all(refusal.error.seat_sold_twice for refusal in refusals)
    return [refusal.entry.booking.id for refusal in refusals if refusal.entry.booking]


async def test_write_of_two_sales_of_a_seat_in_one_batch_keeps_the_older(
    pool: Pool, store: Store
) -> None:
    first, second, third = (booking(number, "confirmed", 1) for number in (1, 2, 3))
    assert await _refused(store, entry(12, second), entry(13, third), entry(11, first)) == [
        second.id, third.id,
    ]  # fmt: skip
    assert await _owners(pool) == {seat(1): first.id}


async def test_write_of_a_contested_sale_takes_none_of_its_seats_from_another(
    pool: Pool, store: Store
) -> None:
    await store.write([entry(10, booking(1, "confirmed", 1))])
    torn, whole = booking(2, "confirmed", 1, 2), booking(3, "confirmed", 2)
    assert await _refused(store, entry(11, torn), entry(12, whole)) == [torn.id]
    assert await _owners(pool) == {seat(1): booking(1, "confirmed").id, seat(2): whole.id}


async def test_write_of_a_sale_that_was_cancelled_since_is_in_nobodys_way(
    pool: Pool, store: Store
) -> None:
    """It comes late, from a writer that was killed; beside it is one that has to be refused."""
    owner, gone = booking(2, "confirmed", 1), booking(1, "confirmed", 1)
    await store.write([entry(12, booking(1, "cancelled", 1)), entry(13, owner)])
    twice = booking(3, "confirmed", 1)
    assert await _refused(store, entry(10, gone), entry(14, twice)) == [twice.id]
    assert await _owners(pool) == {seat(1): owner.id}


async def test_write_of_what_ended_before_a_late_payment_keeps_that_and_refuses_the_sale(
    pool: Pool, store: Store
) -> None:
    owner, late = booking(1, "confirmed", 1), booking(2, "confirmed", 1, late=True)
    await store.write([entry(10, owner)])
    assert await _refused(store, entry(11, booking(2, "expired", 1)), entry(12, late)) == [late.id]
    assert await pool.fetchval("SELECT status FROM bookings WHERE NOT late") == "confirmed"
    statuses = await pool.fetch("SELECT status FROM bookings ORDER BY booking_id")
    assert [row["status"] for row in statuses] == ["confirmed", "expired"]
    await store.write([entry(13, booking(1, "cancelled", 1))])
    assert await _refused(store, entry(12, late)) == []
    assert await _owners(pool) == {seat(1): late.id}


@pytest.fixture
def tried(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many entries each transaction had."""
    tried: list[int] = []
    really = store._write_whole

    async def count(entries: Sequence[JournalEntry]) -> None:
        tried.append(len(entries))
        await really(entries)

    monkeypatch.setattr(store, "_write_whole", count)
    return tried


async def test_write_of_a_resale_beside_a_refused_one_asks_who_owns_what_then(
    pool: Pool, store: Store, tried: list[int]
) -> None:
    first, owner = booking(1, "confirmed", 1), booking(2, "confirmed", 2)
    await store.write([entry(10, first), entry(11, owner)])
    tried.clear()
    resold, twice = booking(3, "confirmed", 1), booking(4, "confirmed", 2)
    entries = [entry(12, booking(1, "cancelled", 1)), entry(13, resold), entry(14, twice)]
    assert await _refused(store, entry(11, owner), *entries) == [twice.id]
    assert tried == [4, 3]
    assert await _owners(pool) == {seat(1): resold.id, seat(2): owner.id}


@pytest.mark.parametrize("contested", [0, 1, 300])
async def test_write_takes_two_transactions_however_many_sales_are_refused(
    pool: Pool, store: Store, tried: list[int], contested: int
) -> None:
    await store.write([entry(1 + n, booking(n, "confirmed", n)) for n in range(300)])
    tried.clear()
    sales = [entry(1000 + n, booking(1000 + n, "confirmed", n)) for n in range(contested)]
    others = [entry(2000 + n, booking(2000 + n, "confirmed", 2000 + n)) for n in range(100)]
    assert len(await store.write([*sales, *others])) == contested
    assert tried == ([contested + 100] * bool(contested)) + [100]
    assert len(await _owners(pool)) == 400


async def test_write_resale_in_one_batch_with_the_cancel_moves_the_seat(
    pool: Pool, store: Store, tried: list[int]
) -> None:
    await store.write([entry(10, booking(1, "confirmed", 1))])
    second = booking(2, "confirmed", 1)
    tried.clear()
    await store.write([entry(11, booking(1, "cancelled", 1)), entry(12, second)])
    assert tried == [2]
    assert await _owners(pool) == {seat(1): second.id}


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
    assert await _owners(pool) == {}


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


@pytest.mark.parametrize(
    "poison",
    [
        booking(9, "expired", 1, customer_id="nul \0 byte"),
        booking(9, "confirmed", 1, amount_minor=2**63),
        booking(9, "released", 1, amount_minor=-1),
        booking(9, "pending", 1, currency="\ud800"),
    ],
    ids=["nul", "too_large", "negative", "surrogate"],
)
async def test_write_value_postgres_cannot_take_is_unwritable(
    pool: Pool, store: Store, poison: Booking
) -> None:
    poisoned = entry(11, poison)
    assert _entries(await store.write([entry(10, booking(1, "pending", 2)), poisoned])) == [
        poisoned
    ]
    assert await pool.fetchval("SELECT entry_ms FROM journal") == 10


async def test_write_many_values_postgres_cannot_take_finds_each(pool: Pool, store: Store) -> None:
    poisons = [entry(n, booking(n, "released", amount_minor=-1)) for n in range(1, 40, 7)]
    others = [entry(n, booking(n, "confirmed", n)) for n in range(1, 40) if n % 7 != 1]
    mixed = sorted([*poisons, *others], key=lambda one: int(one.entry_id[:-2]))
    refusals = await store.write(mixed)
    assert _entries(refusals) == poisons
    assert not any(refusal.error.seat_sold_twice for refusal in refusals)
    assert len(await _owners(pool)) == len(others)


async def test_write_layout_that_is_not_one_is_unwritable(store: Store) -> None:
    for gzipped in (b"no gzip", b"", gzip.compress(b"{}")):
        torn = msgspec.structs.replace(loaded(10, layout()), layout=gzipped)
        assert _entries(await store.write([torn])) == [torn]


async def test_change_journal_is_refused(pool: Pool, store: Store) -> None:
    await store.write([entry(10, booking(1, "pending", 1))])
    for change in ("DELETE FROM journal", "UPDATE journal SET kind = ''", "TRUNCATE journal"):
        with pytest.raises(asyncpg.RaiseError, match="journal is append-only"):
            await pool.execute(change)
