"""Entries that a writer had in hand during a restore: settled without it, or set aside."""

from typing import Any

import msgspec
import pytest

from engine import Booking, Engine
from engine.errors import RefundDue
from engine.models import BookingStatus
from persistence.database import Pool
from persistence.journal.tables import Store
from persistence.journal.writer import Writer
from persistence.restorer import Restorer
from tests.persistence.entries import booking, entry, loaded
from tests.persistence.sale import Sale
from tests.support.factories import GALA, layout

SEAT = "A-2-3"


async def _pay(sale: Sale, held: Booking) -> Booking:
    return await sale.engine.bookings.confirm_booking(held.id, None)


async def _in_hand(sale: Sale, writer: Writer) -> None:
    """Read entries as a writer does, then suspend it."""
    entries = await sale.engine.journal.read([GALA], "asleep", count=100, block_ms=0)
    writer._batches = [entries]


async def _wake(writer: Writer) -> None:
    await writer._write(writer._batches[0])


async def _restored_as_a_refund(sale: Sale, writer: Writer, restorer: Restorer) -> Booking:
    """A seat sold twice, as by a Redis that lost the first sale; the restore refunds the second."""
    first = booking(7, "confirmed").id
    seat = f"{GALA}:{SEAT}"
    taken = msgspec.structs.replace(booking(7, "confirmed"), id=first, areas=(), seats=(seat,))
    again = await _pay(sale, await sale.hold(SEAT))
    await sale.put_row(taken)
    await _in_hand(sale, writer)
    restored = await restorer.restore(GALA)
    assert (restored.standing, restored.refunds_due) == ((), 1)
    return again


async def _journal_has(pool: Pool, of: Booking, kind: str, epoch: int) -> bool:
    query = "SELECT FROM journal WHERE booking_id = $1 AND kind = $2 AND epoch = $3"
    return len(await pool.fetch(query, of.id, kind, epoch)) > 0


async def test_a_sale_in_hand_that_the_restore_refunds_leaves_nothing_behind(
    sale: Sale, writer: Writer, restorer: Restorer, pool: Pool
) -> None:
    again = await _restored_as_a_refund(sale, writer, restorer)
    await _wake(writer)
    assert await sale.engine.journal.dead_letters(GALA) == []
    assert not await _journal_has(pool, again, "booking_confirmed", 1), "a webhook would tell it"
    await sale.agreed()
    assert (again.id, 1500) in await sale.owed()


async def test_a_sale_in_hand_with_no_check_of_what_is_settled_is_left_behind(
    sale: Sale, writer: Writer, restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: refunded and also set aside, so that a person has to find out."""
    monkeypatch.setattr("persistence.journal.rejections._is_settled", lambda *_: False)
    again = await _restored_as_a_refund(sale, writer, restorer)
    await _wake(writer)
    [letter] = await sale.engine.journal.dead_letters(GALA)
    assert letter.entry.booking == again
    assert await sale.found() == [("dead_letter", letter.entry.entry_id)]


async def _lost_in_hand(sale: Sale, writer: Writer) -> Booking:
    """A paid booking that only Redis and a suspended writer had, and that Redis has lost."""
    held = await sale.hold(SEAT)
    await sale.write()
    paid = await _pay(sale, held)
    await _in_hand(sale, writer)
    await sale.redis.flushall()
    return paid


@pytest.mark.parametrize("taken", [False, True])
async def test_a_lost_sale_in_hand_that_is_paid_again_leaves_nothing_behind(
    sale: Sale, writer: Writer, restorer: Restorer, taken: bool
) -> None:
    """Its payment notice is repeated after the restore: a late payment, or a refund."""
    paid = await _lost_in_hand(sale, writer)
    await restorer.restore(GALA)
    if taken:
        await _pay(sale, await sale.hold(SEAT))
        with pytest.raises(RefundDue):
            await _pay(sale, paid)
    else:
        assert (await _pay(sale, paid)).late
    await sale.write()
    await _wake(writer)
    assert await sale.engine.journal.dead_letters(GALA) == []
    await sale.agreed()
    assert ((paid.id, 1500) in await sale.owed()) == taken


async def test_a_lost_sale_in_hand_that_is_not_settled_is_set_aside_until_the_next_restore(
    sale: Sale, writer: Writer, restorer: Restorer, engine: Engine
) -> None:
    paid = await _lost_in_hand(sale, writer)
    await restorer.restore(GALA)
    await _wake(writer)
    [letter] = await engine.journal.dead_letters(GALA)
    assert letter.entry.booking == paid
    assert await sale.found() == [("dead_letter", letter.entry.entry_id)]
    assert (await restorer.restore(GALA)).late_confirmed == 1
    assert await engine.journal.dead_letters(GALA) == []
    await sale.agreed()


@pytest.mark.parametrize("asked", [True, False])
async def test_a_letter_that_comes_while_the_event_is_restored_outlives_the_restore(
    sale: Sale, writer: Writer, restorer: Restorer, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    """Set aside too late for the restore. The control forgets the letter, and with it the sale."""
    if not asked:
        monkeypatch.setattr("persistence.restorer.is_about_money", lambda _: False)
    paid = await _lost_in_hand(sale, writer)
    reopen = sale.engine.restores.reopen_event

    async def late(*arguments: Any) -> Any:
        await _wake(writer)
        return await reopen(*arguments)

    monkeypatch.setattr(sale.engine.restores, "reopen_event", late)
    await restorer.restore(GALA)
    letters = await sale.engine.journal.dead_letters(GALA)
    assert [letter.entry.booking for letter in letters] == [paid] * asked


REFUNDED = {"refund_minor": 1500, "refund_reason": "seat_taken"}


@pytest.mark.parametrize(
    ("late", "now", "settled"),
    [
        (("confirmed", {}), ("confirmed", {}), True),
        (("confirmed", {}), ("cancelled", {}), True),
        (("confirmed", {}), ("expired", REFUNDED), True),
        (("confirmed", {}), ("expired", {}), False),
        (("confirmed", {}), ("released", {}), False),
        (("confirmed", {}), None, False),
        (("cancelled", {}), ("cancelled", {}), True),
        (("cancelled", {}), ("confirmed", {}), False),
        (("cancelled", REFUNDED), ("cancelled", {}), False),
        (("cancelled", REFUNDED), ("cancelled", REFUNDED), True),
        (("expired", REFUNDED), ("expired", REFUNDED), True),
        (("expired", REFUNDED), ("expired", {"refund_minor": 900}), False),
        (("expired", REFUNDED), ("confirmed", {}), False),
    ],
)
async def test_write_of_an_outdated_entry_asks_what_became_of_its_booking(
    store: Store,
    pool: Pool,
    late: tuple[str, dict[str, Any]],
    now: tuple[str, dict[str, Any]] | None,
    settled: bool,
) -> None:
    first = loaded(1, layout(areas={"floor": 50}))
    await store.write([first, msgspec.structs.replace(first, entry_id="20-0", epoch=2)])
    if now:
        await store.write([entry(21, booking(1, now[0], 1, **now[1]), epoch=2)])
    before = await _rows(pool)
    refusals = await store.write([entry(10, booking(1, late[0], 1, **late[1]))])
    assert [refusal.error.outdated for refusal in refusals] == [True] * (not settled)
    assert await _rows(pool) == before


async def _rows(pool: Pool) -> list[Any]:
    tables = ("journal", "bookings", "booking_seats", "refund_obligations")
    return [tuple(row) for name in tables for row in await pool.fetch(f"SELECT * FROM {name}")]


async def test_write_of_settled_and_other_entries_writes_the_others(
    store: Store, pool: Pool
) -> None:
    first = loaded(1, layout(areas={"floor": 50}))
    await store.write([first, msgspec.structs.replace(first, entry_id="20-0", epoch=2)])
    await store.write([entry(21, booking(1, "confirmed", 1, late=True), epoch=2)])
    other = entry(22, booking(2, "confirmed", 2), epoch=2)
    expired = entry(11, booking(3, "expired", 3))
    await store.write([entry(10, booking(1, "confirmed", 1)), expired, other])
    found = await pool.fetch("SELECT booking_id, status FROM bookings ORDER BY booking_id")
    assert [tuple(row) for row in found] == [
        (booking(number, "confirmed").id, BookingStatus.CONFIRMED) for number in (1, 2)
    ]
    kept = await pool.fetch("SELECT entry_ms FROM journal ORDER BY entry_ms")
    assert [row["entry_ms"] for row in kept] == [1, 11, 20, 21, 22]
