"""A hold is only a journal entry in Postgres: what is written, what is shown, what reads it."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine import Engine
from engine.booking_json import json_of
from engine.errors import Unavailable
from engine.ids import BookingId
from engine.models import Booking, JournalEntry
from engine.payments import payments_of
from engine.ports.payments import Notice, NoticeOutcome, UnkeptReason
from persistence import event_record, migrations
from persistence.database import Pool, connect
from persistence.journal.tables import Store
from persistence.journal.writer import Writer
from persistence.restorer import Restorer
from persistence.stores.stores import PostgresStores
from tests.persistence.entries import booking, entry, event_entry, loaded
from tests.persistence.running import drained, running, sold_seats, statuses
from tests.persistence.sale import Sale, ulid
from tests.support.factories import GALA, layout

FILES = sorted(Path(migrations.__file__).with_suffix("").glob("*.sql"))
HOLDS = "0004_holds_in_the_journal.sql"


async def _remembered(pool: Pool) -> dict[str, Booking]:
    """The bookings that a restore would read."""
    found = await event_record.read_event(pool, GALA, now_ms=0)
    assert found
    return {one.id: one for one in found.bookings}


def _held(at: int, of: Booking, kind: str = "seats_held", **over: int) -> JournalEntry:
    return msgspec.structs.replace(entry(at, of, **over), kind=kind)


async def test_write_hold_puts_no_row_and_a_batch_with_a_sale_puts_one(
    pool: Pool, store: Store
) -> None:
    held = booking(1, "pending", 1)
    await store.write([entry(10, held)])
    assert await pool.fetchval("SELECT count(*) FROM bookings") == 0
    assert await statuses(pool) == {held.id: "pending"}
    sold = booking(2, "confirmed", 2)
    await store.write([entry(11, booking(2, "pending", 2)), entry(12, sold), entry(13, held)])
    rows = await pool.fetch("SELECT booking_id, entry_ms FROM bookings")
    assert [tuple(row) for row in rows] == [(sold.id, 12)]
    assert await pool.fetchval("SELECT count(*) FROM journal") == 4


async def test_put_row_of_a_pending_booking_is_refused(pool: Pool, store: Store) -> None:
    with pytest.raises(Exception, match="bookings_status_check"):
        await store.put_bookings([booking(1, "pending", 1)], 1, "1-0")


async def test_restore_reads_a_hold_as_its_newest_entry_says_it(pool: Pool, store: Store) -> None:
    held = booking(1, "pending", 1)
    longer = msgspec.structs.replace(held, expires_at_ms=held.expires_at_ms + 1000)
    await store.write([loaded(9, layout()), _held(11, longer, "booking_extended")])
    await store.write([_held(10, held)])  # by another writer, late
    assert await _remembered(pool) == {held.id: longer}


@pytest.mark.parametrize("ending", ["confirmed", "released", "expired", "cancelled"])
async def test_view_has_no_booking_of_which_it_is_decided_what_became(
    pool: Pool, store: Store, ending: str
) -> None:
    ended = booking(1, ending, 1, ended_at_ms=None if ending == "confirmed" else 1)
    await store.write([loaded(9, layout()), entry(10, booking(1, "pending", 1))])
    assert await pool.fetchval("SELECT count(*) FROM pending_bookings") == 1
    await store.write([entry(11, ended)])
    assert await pool.fetchval("SELECT count(*) FROM pending_bookings") == 0
    assert await _remembered(pool) == {ended.id: replace(ended, payments=payments_of(ended))}


async def test_view_has_no_booking_that_reconcile_wrote_without_an_entry(
    pool: Pool, store: Store
) -> None:
    await store.write([loaded(9, layout()), entry(10, booking(1, "pending", 1))])
    sold = booking(1, "confirmed", 1)
    assert await store.put_bookings([sold], 1, "10-0") == {sold.id}
    assert await pool.fetchval("SELECT count(*) FROM pending_bookings") == 0
    assert await _remembered(pool) == {sold.id: replace(sold, payments=payments_of(sold))}


async def test_view_by_event_and_by_booking_reaches_an_index(pool: Pool, store: Store) -> None:
    """Otherwise a restore, and each notice of an unknown booking, would read every hold ever."""
    async with pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        for column, index in (("event_id", "journal_pkey"), ("booking_id", "journal_of_booking")):
            lines = await connection.fetch(
                f"EXPLAIN SELECT body FROM pending_bookings WHERE {column} = 'gala'"
            )
            plan = "\n".join(line[0] for line in lines)
            assert index in plan, plan
            assert f"Index Cond: ({column} = 'gala'::text)" in plan, plan


async def _restored(store: Store) -> None:
    """As after a restore: the event is of epoch 2."""
    again = event_entry(50, {"sales": "open"})
    await store.write([loaded(9, layout()), msgspec.structs.replace(again, epoch=2)])


async def test_write_entry_of_an_outdated_epoch_is_found_out(pool: Pool, store: Store) -> None:
    """Of two in one batch the new one counts; an ending written after the restore does not."""
    await _restored(store)
    old, new = (booking(n, "expired", n, ended_at_ms=1) for n in (1, 2))
    await store.write([entry(60, old), entry(61, new, epoch=2)])
    assert await statuses(pool) == {new.id: "expired"}
    assert await pool.fetchval("SELECT count(*) FROM journal WHERE booking_id IS NOT NULL") == 2
    assert new.id in await _remembered(pool)
    assert old.id not in await _remembered(pool)


def _notice(of: str) -> Notice:
    return Notice(
        id="evt",
        kind="payment.succeeded",
        booking_id=BookingId(of),
        event_id=GALA,
        amount_minor=1500,
        currency="EUR",
        outcome=NoticeOutcome.BOOKING_NOT_FOUND,
        unkept_reason=UnkeptReason.FORGOTTEN,
    )


async def test_notice_for_a_hold_that_only_the_journal_has_is_to_come_again(
    pool: Pool, store: Store, database_url: str
) -> None:
    """The control: no restore follows a hold that was written after one, so it is recorded."""
    held = booking(1, "pending", 1, expires_at_ms=int(time.time() * 1000) - 60_000)
    await store.write([loaded(9, layout()), entry(10, held)])
    stores = PostgresStores(database_url)
    try:
        with pytest.raises(Unavailable, match="not in Redis yet"):
            await stores.payments.record_notice(_notice(held.id))
        assert await pool.fetchval("SELECT count(*) FROM payment_notices") == 0
        await _restored(store)
        await stores.payments.record_notice(_notice(held.id))
        assert await pool.fetchval("SELECT count(*) FROM payment_notices") == 1
    finally:
        await stores.close()


def _told(**over: Any) -> bytes:
    """A booking as the journal in Redis has it."""
    return json_of(booking(9, "pending", 5, **over))


@pytest.mark.parametrize(
    "body",
    [
        _told(customer_id="nul \0 byte"),
        _told(amount_minor=2**63),
        _told(amount_minor=-1),
        _told(customer_id="half").replace(b"half", b"\\ud800"),
        b'{"id": "no booking"}',
    ],
    ids=["nul", "too_large", "negative", "surrogate", "no_form"],
)
async def test_hold_that_no_script_writes_stops_neither_writer_nor_restore(
    sale: Sale, engine: Engine, pool: Pool, writer: Writer, restorer: Restorer, body: bytes
) -> None:
    fields = {"kind": "seats_held", "at_ms": "1", "epoch": "1", "booking": body}
    await sale.redis.xadd("{gala}:journal", {**fields, "booking_id": "01J"})
    kept = await sale.hold("A-2-1")
    async with running(writer):
        await drained(engine)
    assert kept.id in {row["booking_id"] for row in await pool.fetch("TABLE pending_bookings")}
    await sale.redis.flushall()
    assert (await restorer.restore(GALA)).standing == ()
    assert set((await sale.state()).bookings) == {
        ulid(one)
        for one in (sale.pending, sale.confirmed, sale.standing, sale.released, sale.cancelled)
    } | {ulid(kept)}


def _text(**over: Any) -> str:
    """A booking as the journal in Postgres has it."""
    return msgspec.json.encode(booking(9, "pending", 5, **over)).decode()


@pytest.mark.parametrize(
    "body",
    [
        _text(customer_id="nul \0 byte"),
        _text(amount_minor=2**63),
        _text(amount_minor=-1),
        _text(customer_id="half").replace("half", "\\ud800"),
        '{"id": "no booking"}',
    ],
    ids=["nul", "too_large", "negative", "surrogate", "no_form"],
)
async def test_journal_text_that_no_row_could_be_is_left_out_of_a_restore(
    pool: Pool, store: Store, body: bytes
) -> None:
    """Inserted past the writer, which rejects some of these as unreadable."""
    good = booking(1, "pending", 1)
    await store.write([loaded(9, layout()), entry(10, good)])
    await pool.execute(
        "INSERT INTO journal VALUES ('gala', 1, 11, 0, 'seats_held', 1, 'gala:odd', $1, NULL)",
        body,
    )
    assert await pool.fetchval("SELECT count(*) FROM pending_bookings") == 2
    assert await _remembered(pool) == {good.id: good}


@pytest.fixture
async def before(database_url: str) -> AsyncIterator[Pool]:
    """An empty database with the schema of the previous release."""
    async with await connect(database_url) as pool:
        await pool.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        async with pool.acquire() as connection:
            files = {path.name: path.read_text("utf-8") for path in FILES if path.name < HOLDS}
            await migrations.apply(connection, files)
        yield pool


async def _write_as_before(pool: Pool, at: int, of: Booking) -> None:
    """Write as that release did: the entry and a row, whatever the booking's status."""
    body = msgspec.json.encode(of).decode()
    kind = entry(at, of).kind
    await pool.execute(
        "INSERT INTO journal VALUES ($1, 1, $2, 0, $3, $2, $4, $5::jsonb, NULL)",
        *(GALA, at, kind, of.id, body),
    )
    await pool.execute(
        """INSERT INTO bookings VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, 'EUR', 1, 2, NULL, NULL,
            false, $8, NULL, 1, $9, 0)
        ON CONFLICT (booking_id) DO UPDATE SET status = excluded.status,
            refund_minor = excluded.refund_minor, entry_ms = excluded.entry_ms""",
        *(of.id, GALA, of.customer_id, of.status, list(of.seats), "[]"),
        *(of.amount_minor, of.refund_minor, at),
    )


async def test_migrate_takes_the_holds_of_a_release_that_had_rows_for_them(
    before: Pool, database_url: str
) -> None:
    ends = ["pending", "pending", "confirmed", "released", "expired", "cancelled"]
    held = [booking(n, "pending", n) for n in range(1, 7)]
    ended = [
        booking(n, end, n, refund_minor=int(end == "cancelled")) for n, end in enumerate(ends, 1)
    ]
    for n, one in enumerate(held):
        await _write_as_before(before, 10 + n, one)
    for n, one in enumerate(ended[2:]):
        await _write_as_before(before, 20 + n, one)
    was = await _rows_before(before)

    assert (await migrations.migrate(database_url))[0] == HOLDS

    async with await connect(database_url) as pool:
        assert await statuses(pool) == was == {one.id: one.status for one in ended}
        rows = await pool.fetch("SELECT booking_id, body::text FROM pending_bookings")
        read = {row["booking_id"]: msgspec.json.decode(row["body"], type=Booking) for row in rows}
        assert read == {one.id: one for one in held[:2]}
        told = await pool.fetch("SELECT message_kinds(kind, body) FROM journal ORDER BY entry_ms")
        assert [row[0] for row in told] == [
            *([[]] * 6),  # no webhook reports a hold or a release
            *(["booking.confirmed"], [], ["booking.expired"]),
            ["booking.cancelled", "refund.due"],
        ]
        await Store(pool).write([entry(30, sold := booking(1, "confirmed", 1))])
        assert await sold_seats(pool) == {sold.seats[0]: sold.id}
        assert await pool.fetchval("SELECT count(*) FROM pending_bookings") == 1


async def _rows_before(pool: Pool) -> dict[str, str]:
    """Booking -> status, in the rows that each had."""
    rows = await pool.fetch("SELECT booking_id, status FROM bookings")
    return {row["booking_id"]: row["status"] for row in rows}
