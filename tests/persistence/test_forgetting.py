"""What ended unpaid leaves Postgres after a time, and nothing that anybody paid or is owed for."""

import time
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from engine import Engine, Settings
from engine.ids import BookingId
from engine.models import Booking, JournalEntry, Payment, PaymentOutcome, PaymentSource
from engine.payments import UNPAID_TTL_MS
from engine.ports.payments import Notice, NoticeOutcome, UnkeptReason
from persistence.database import Pool
from persistence.journal import tables
from persistence.journal.tables import Store
from persistence.journal.writer import Writer
from persistence.restorer import Restorer
from persistence.stores.stores import PostgresStores
from tests.persistence.entries import booking, entry, loaded
from tests.persistence.running import running, statuses
from tests.persistence.sale import Sale
from tests.persistence.telling import Telling
from tests.support.factories import GALA, layout
from tests.support.receiver import Receiver
from tests.support.waiting import until

KEEP_MS = 7_200_000
OLD_MS = int(time.time() * 1000) - KEEP_MS - 60_000
YOUNG_MS = OLD_MS + KEEP_MS
PAYMENT = Payment(
    id="pi_1",
    amount_minor=1500,
    currency="EUR",
    source=PaymentSource.PROVIDER,
    outcome=PaymentOutcome.PAYMENT_FAILED,
    at_ms=OLD_MS,
)


def _ended(number: int, status: str, ended_at_ms: int = OLD_MS, **changes: Any) -> Booking:
    return booking(number, status, number, ended_at_ms=ended_at_ms, **changes)


def _story(at: int, of: Booking) -> list[JournalEntry]:
    """A hold and what became of it."""
    held = replace(of, status="pending", ended_at_ms=None, payments=())
    return [entry(at, held), entry(at + 1, of)]


async def _written(store: Store, *bookings: Booking) -> None:
    """Write them between the load of the event and a hold, whose entry is the newest."""
    entries = [loaded(1, layout(areas={"floor": 50}))]
    for number, one in enumerate(bookings):
        entries += _story(10 + 2 * number, one)
    assert await store.write([*entries, entry(900, booking(90, "pending", 5))]) == []


async def _forget(store: Store) -> None:
    while await store.forget_unpaid(KEEP_MS):
        pass


async def _known(pool: Pool) -> set[str]:
    """Bookings that Postgres has anything of."""
    query = "SELECT booking_id FROM journal UNION SELECT booking_id FROM bookings"
    return {row["booking_id"] for row in await pool.fetch(query) if row["booking_id"]}


async def test_forget_takes_what_ended_unpaid_and_nothing_else(store: Store, pool: Pool) -> None:
    gone = [_ended(1, "expired"), _ended(2, "released")]
    refunded: dict[str, Any] = {"refund_minor": 1500, "refund_reason": "seat_taken"}
    stays = [
        _ended(3, "expired", YOUNG_MS),
        _ended(4, "cancelled", confirmed_at_ms=OLD_MS),
        _ended(5, "expired", **refunded),
        _ended(6, "expired", payments=(PAYMENT,)),
        booking(7, "confirmed", 7),
    ]
    await _written(store, *gone, *stays)
    rows = await pool.fetchval("SELECT count(*) FROM journal")
    await _forget(store)
    pending = booking(90, "pending").id
    assert await _known(pool) == {one.id for one in stays} | {pending}
    assert await pool.fetchval("SELECT count(*) FROM journal") == rows - 4
    assert await statuses(pool) == {one.id: one.status for one in stays} | {pending: "pending"}


async def test_forget_goes_in_bounded_batches(
    store: Store, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "FORGET_BOOKINGS", 2)
    await _written(store, *(_ended(number, "released") for number in range(1, 6)))
    left = []
    while await store.forget_unpaid(KEEP_MS):
        left.append(await pool.fetchval("SELECT count(*) FROM bookings"))
    assert left == [3, 1]
    assert await pool.fetchval("SELECT count(*) FROM bookings") == 0


async def test_forget_keeps_the_newest_entry_of_an_event(store: Store, pool: Pool) -> None:
    """It says how far Redis must be."""
    last = _ended(1, "released")
    await store.write([loaded(1, layout()), *_story(10, last)])
    await _forget(store)
    assert await _known(pool) == {last.id}
    await store.write([entry(20, booking(2, "pending", 2))])
    await _forget(store)
    assert last.id not in await _known(pool)


@pytest.mark.parametrize("kept", ["pending", "confirmed", "owed"])
async def test_delete_from_the_journal_what_is_not_unpaid_is_refused(
    store: Store, pool: Pool, kept: str
) -> None:
    owed = _ended(1, "expired", refund_minor=1500, refund_reason="seat_taken")
    of = owed if kept == "owed" else booking(1, kept, 1)
    await _written(store, of)
    with pytest.raises(asyncpg.RaiseError, match="journal is append-only"):
        await pool.execute("DELETE FROM journal WHERE booking_id = $1", of.id)
    with pytest.raises(asyncpg.RaiseError, match="journal is append-only"):
        await pool.execute("DELETE FROM journal WHERE kind = 'event_loaded'")


async def test_a_payment_that_was_noted_meanwhile_keeps_the_booking(
    store: Store, pool: Pool
) -> None:
    """It is recorded between the look and the deletion."""
    one = _ended(1, "expired")
    await _written(store, one)
    async with pool.acquire() as connection:
        find = await connection.fetch(tables.QUERIES["find_unpaid"], KEEP_MS, 10)
        ids = [row["booking_id"] for row in find]
        assert ids == [one.id]
        await connection.execute(
            "INSERT INTO payments (booking_id, payment_id, amount_minor, currency, source,"
            " outcome, paid_at_ms) VALUES ($1, 'pi', 1500, 'EUR', 'provider', 'refund_due', 1)",
            one.id,
        )
        for name in ("forget_entries", "forget_bookings"):
            await connection.execute(tables.QUERIES[name], ids)
    assert one.id in await _known(pool)
    assert (await statuses(pool))[one.id] == "expired"


def _notice(of: Booking, number: int) -> Notice:
    return Notice(
        id=f"evt-{number}",
        kind="payment.succeeded",
        booking_id=BookingId(of.id),
        payment_id="pi_9",
        event_id=GALA,
        amount_minor=1500,
        currency="EUR",
        outcome=NoticeOutcome.BOOKING_NOT_FOUND,
        unkept_reason=UnkeptReason.FORGOTTEN,
    )


async def test_a_payment_for_a_forgotten_booking_is_owed_once(
    store: Store, pool: Pool, database_url: str
) -> None:
    one = _ended(1, "expired")
    await _written(store, one)
    await _forget(store)
    assert one.id not in await _known(pool)
    stores = PostgresStores(database_url)
    try:
        for number in (1, 1, 2):  # the same notice again, and another one of the same payment
            await stores.payments.record_notice(_notice(one, number))
    finally:
        await stores.close()
    owed = await pool.fetch("SELECT booking_id, payment_id, amount_minor FROM refund_obligations")
    assert [tuple(row) for row in owed] == [(one.id, "pi_9", 1500)]
    assert await store.find_unaccounted(GALA) == []


async def test_a_hold_that_is_written_again_after_it_was_forgotten_keeps_no_payment_waiting(
    store: Store, pool: Pool, database_url: str
) -> None:
    """A writer that was suspended for hours: the deadline tells that this hold is not live."""
    one = _ended(1, "expired")
    await _written(store, one)
    await _forget(store)
    await store.write([entry(10, replace(one, status="pending", ended_at_ms=None))])
    stores = PostgresStores(database_url)
    try:
        await stores.payments.record_notice(_notice(one, 1))
    finally:
        await stores.close()
    assert await pool.fetchval("SELECT sum(amount_minor) FROM refund_obligations") == 1500


async def test_a_late_sale_that_is_written_after_its_booking_was_forgotten_is_whole(
    store: Store, pool: Pool
) -> None:
    """The journal waited in Redis while Postgres was away."""
    one = _ended(1, "expired")
    await _written(store, one)
    await _forget(store)
    sold = replace(one, status="confirmed", late=True, ended_at_ms=None, confirmed_at_ms=OLD_MS)
    assert await store.write([entry(30, sold)]) == []
    assert (await statuses(pool))[one.id] == "confirmed"
    assert await pool.fetchval("SELECT seat_id FROM booking_seats WHERE active") == one.seats[0]
    await _forget(store)
    assert (await statuses(pool))[one.id] == "confirmed"


async def test_forget_waits_for_the_message_and_then_it_cannot_be_sent_again(
    telling: Telling, receiver: Receiver, pool: Pool
) -> None:
    store = Store(pool)
    await telling.hook(receiver.url)
    one = _ended(1, "expired")
    await telling.happens(10, one)
    await telling.happens(20, booking(90, "pending", 5))
    await _forget(store)
    assert one.id in await _known(pool), "the message is queued"
    receiver.answers(500)
    assert await telling.deliver() == 1
    await _forget(store)
    assert one.id in await _known(pool), "the message is tried again"
    receiver.answers(204)
    assert await telling.deliver(3600) == 1
    [delivery] = await telling.deliveries("hook")
    await _forget(store)
    assert one.id not in await _known(pool)
    assert not await telling.stores.webhooks.replay_delivery("hook", delivery.id)
    assert await pool.fetchval("SELECT state FROM webhook_deliveries") == "delivered"


async def test_writer_forgets_and_a_restore_brings_nothing_back(
    sale: Sale, engine: Engine, pool: Pool, quick: Settings, restorer: Restorer
) -> None:
    """While the expirer is away, Redis still has what Postgres has forgotten: no difference."""
    hours_ms = KEEP_MS + 60_000
    assert sale.released.ended_at_ms
    past = replace(sale.released, ended_at_ms=sale.released.ended_at_ms - hours_ms)
    await sale.put_record(past)
    await pool.execute(
        "UPDATE bookings SET ended_at_ms = $2 WHERE booking_id = $1", past.id, past.ended_at_ms
    )
    async with running(Writer(engine, pool, quick)):
        await until(lambda: _is_gone(pool, sale.released))
    assert await sale.found() == []
    restored = await restorer.restore(GALA)
    assert restored.standing == ()
    assert sale.released.id.split(":")[1] not in (await sale.state()).bookings
    await sale.agreed()


async def test_a_young_unpaid_booking_that_postgres_lacks_is_a_difference(
    sale: Sale, pool: Pool
) -> None:
    await pool.execute("DELETE FROM bookings WHERE booking_id = $1", sale.released.id)
    ulid = sale.released.id.split(":")[1]
    assert await sale.found() == [("missing_in_postgres", ulid)]
    assert UNPAID_TTL_MS < KEEP_MS


async def _is_gone(pool: Pool, of: Booking) -> bool:
    return of.id not in await _known(pool)
