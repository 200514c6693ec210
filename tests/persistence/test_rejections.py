"""Which entries of a batch `write` rejects, and that all the others are written."""

import gzip
from collections.abc import Sequence

import msgspec
import pytest

from engine import Booking
from engine.models import JournalEntry
from persistence.database import Pool
from persistence.journal.rejections import Rejection
from persistence.journal.tables import Store
from tests.persistence.entries import booking, entry, loaded, seat
from tests.persistence.running import sold_seats
from tests.support.factories import layout


def _entries(rejections: list[Rejection]) -> list[JournalEntry]:
    return [rejection.entry for rejection in rejections]


async def test_write_seat_sold_to_another_is_rejected_and_the_others_are_written(
    pool: Pool, store: Store
) -> None:
    first = booking(1, "confirmed", 1)
    await store.write([entry(10, first)])
    second = entry(12, booking(2, "confirmed", 1, 2))
    [rejection] = await store.write([entry(11, booking(3, "pending", 5)), second])
    assert rejection.entry == second
    assert rejection.error.seat_sold_twice
    assert "booking_seats_one_owner" in str(rejection.error)
    assert await sold_seats(pool) == {seat(1): first.id}
    assert await pool.fetchval("SELECT count(*) FROM bookings") == 1
    assert await pool.fetchval("SELECT count(*) FROM journal") == 2


async def _rejected(store: Store, *entries: JournalEntry) -> list[str]:
    """The bookings whose sale was rejected, each as a second sale."""
    rejections = await store.write(entries)
    assert all(rejection.error.seat_sold_twice for rejection in rejections)
    return [rejection.entry.booking.id for rejection in rejections if rejection.entry.booking]


async def test_write_of_two_sales_of_a_seat_in_one_batch_keeps_the_older(
    pool: Pool, store: Store
) -> None:
    first, second, third = (booking(number, "confirmed", 1) for number in (1, 2, 3))
    assert await _rejected(store, entry(12, second), entry(13, third), entry(11, first)) == [
        second.id, third.id,
    ]  # fmt: skip
    assert await sold_seats(pool) == {seat(1): first.id}


async def test_write_of_a_contested_sale_takes_none_of_its_seats_from_another(
    pool: Pool, store: Store
) -> None:
    await store.write([entry(10, booking(1, "confirmed", 1))])
    torn, whole = booking(2, "confirmed", 1, 2), booking(3, "confirmed", 2)
    assert await _rejected(store, entry(11, torn), entry(12, whole)) == [torn.id]
    assert await sold_seats(pool) == {seat(1): booking(1, "confirmed").id, seat(2): whole.id}


async def test_write_of_a_sale_that_was_cancelled_since_takes_no_seat(
    pool: Pool, store: Store
) -> None:
    """It is redelivered late from a killed writer, in one batch with a sale to be rejected."""
    owner, gone = booking(2, "confirmed", 1), booking(1, "confirmed", 1)
    await store.write([entry(12, booking(1, "cancelled", 1)), entry(13, owner)])
    twice = booking(3, "confirmed", 1)
    assert await _rejected(store, entry(10, gone), entry(14, twice)) == [twice.id]
    assert await sold_seats(pool) == {seat(1): owner.id}


async def test_write_of_what_ended_before_a_late_payment_keeps_that_and_rejects_the_sale(
    pool: Pool, store: Store
) -> None:
    owner, late = booking(1, "confirmed", 1), booking(2, "confirmed", 1, late=True)
    await store.write([entry(10, owner)])
    assert await _rejected(store, entry(11, booking(2, "expired", 1)), entry(12, late)) == [late.id]
    assert await pool.fetchval("SELECT status FROM bookings WHERE NOT late") == "confirmed"
    statuses = await pool.fetch("SELECT status FROM bookings ORDER BY booking_id")
    assert [row["status"] for row in statuses] == ["confirmed", "expired"]
    await store.write([entry(13, booking(1, "cancelled", 1))])
    assert await _rejected(store, entry(12, late)) == []
    assert await sold_seats(pool) == {seat(1): late.id}


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


async def test_write_of_a_resale_beside_a_rejected_one_checks_the_owners_again(
    pool: Pool, store: Store, tried: list[int]
) -> None:
    first, owner = booking(1, "confirmed", 1), booking(2, "confirmed", 2)
    await store.write([entry(10, first), entry(11, owner)])
    tried.clear()
    resold, twice = booking(3, "confirmed", 1), booking(4, "confirmed", 2)
    entries = [entry(12, booking(1, "cancelled", 1)), entry(13, resold), entry(14, twice)]
    assert await _rejected(store, entry(11, owner), *entries) == [twice.id]
    assert tried == [4, 3]
    assert await sold_seats(pool) == {seat(1): resold.id, seat(2): owner.id}


@pytest.mark.parametrize("contested", [0, 1, 300])
async def test_write_takes_two_transactions_however_many_sales_are_rejected(
    pool: Pool, store: Store, tried: list[int], contested: int
) -> None:
    await store.write([entry(1 + n, booking(n, "confirmed", n)) for n in range(300)])
    tried.clear()
    sales = [entry(1000 + n, booking(1000 + n, "confirmed", n)) for n in range(contested)]
    others = [entry(2000 + n, booking(2000 + n, "confirmed", 2000 + n)) for n in range(100)]
    assert len(await store.write([*sales, *others])) == contested
    assert tried == ([contested + 100] * bool(contested)) + [100]
    assert len(await sold_seats(pool)) == 400


async def test_write_of_a_sale_after_its_cancel_in_one_batch_stays_cancelled(
    pool: Pool, store: Store
) -> None:
    """As when written one by one: within an epoch, a cancelled booking is not sold again."""
    ended = booking(1, "cancelled", 1, refund_minor=1500, refund_reason="cancelled")
    await store.write([entry(10, ended), entry(11, booking(1, "confirmed", 1))])
    assert await sold_seats(pool) == {}
    assert await pool.fetchval("SELECT amount_minor FROM refund_obligations") == 1500


async def test_write_resale_in_one_batch_with_the_cancel_moves_the_seat(
    pool: Pool, store: Store, tried: list[int]
) -> None:
    await store.write([entry(10, booking(1, "confirmed", 1))])
    second = booking(2, "confirmed", 1)
    tried.clear()
    await store.write([entry(11, booking(1, "cancelled", 1)), entry(12, second)])
    assert tried == [2]
    assert await sold_seats(pool) == {seat(1): second.id}


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
async def test_write_value_postgres_cannot_take_is_rejected(
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
    rejections = await store.write(mixed)
    assert _entries(rejections) == poisons
    assert not any(rejection.error.seat_sold_twice for rejection in rejections)
    assert len(await sold_seats(pool)) == len(others)


async def test_write_layout_that_is_not_one_is_rejected(store: Store) -> None:
    for gzipped in (b"no gzip", b"", gzip.compress(b"{}")):
        torn = msgspec.structs.replace(loaded(10, layout()), layout=gzipped)
        assert _entries(await store.write([torn])) == [torn]
