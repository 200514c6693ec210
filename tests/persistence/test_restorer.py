"""Redis is emptied or behind: detected, fenced, rebuilt from Postgres, reopened, compared."""

import asyncio
from typing import Any

import msgspec
import pytest

from engine import Booking, Engine, TermsChange
from engine.errors import LimitReached, RefundDue, Restoring, ScriptDefect
from engine.ids import CustomerId
from engine.models import (
    BestSelection,
    Counts,
    JournalEntry,
    LatePayment,
    Sales,
    SalesState,
    SingleSeats,
    Together,
)
from engine.plans.addition import addition_of
from engine.positions import position_of
from engine.restore.rebuild import rebuild
from engine.restore.staging import EventHead
from persistence.database import Pool
from persistence.journal.tables import Store
from persistence.restorer import Restorer
from tests.persistence.sale import Sale, ulid
from tests.support.factories import GALA, layout, selection, terms

START = Counts(available=56, held=0, sold=4, blocked=0)
"""The bookings of the restored sale: its one hold has ended."""


async def test_restore_of_an_emptied_redis_gives_back_all_that_was_sold(
    sale: Sale, restorer: Restorer
) -> None:
    await sale.redis.flushall()
    assert await restorer.find_behind() == [GALA]
    restored = await restorer.restore(GALA)
    assert (restored.standing, restored.sales, restored.epoch) == ((), "open", 2)
    assert (restored.confirmed_count, restored.sold, restored.holds_ended) == (2, 4, 1)
    state = await sale.state()
    assert state.event.counts == START
    assert state.map == "asaaa/aaaaa"
    assert set(state.bookings) == {
        *(ulid(sale.pending), ulid(sale.confirmed), ulid(sale.standing)),
        *(ulid(sale.released), ulid(sale.cancelled)),
    }
    kept = await sale.engine.bookings.confirm_booking(sale.confirmed.id, sale.confirmed.customer_id)
    assert kept == sale.confirmed
    await sale.agreed()


async def test_restore_leaves_no_key_that_ends_by_itself(sale: Sale, restorer: Restorer) -> None:
    await sale.redis.flushall()
    await restorer.restore(GALA)
    ended = {u for u, b in (await sale.state()).bookings.items() if b.ended_at_ms}
    listed = await sale.redis.zrange("{gala}:ended", 0, -1)
    assert {name.decode() for name in listed} == ended != set(), "else they never leave Redis"
    ttls = {name: await sale.redis.pttl(name) for name in await sale.redis.keys("*")}
    assert set(ttls.values()) == {-1}, ttls
    assert not [name for name in ttls if b":restoring:" in name]


async def test_restore_brings_back_terms_blocked_seats_and_sales(
    engine: Engine, sale: Sale, restorer: Restorer
) -> None:
    blocked = [sale.confirmed.seats[0].replace("A-1-2", seat) for seat in ("A-2-1", "A-2-5")]
    await engine.events.block_seats(GALA, blocked, blocked=True)  # type: ignore[arg-type]
    grown = layout(rows=3, areas={"floor": 50, "pit": 7})
    await engine.events.add_seats(GALA, addition_of(grown, layout(areas={"floor": 50})))
    change = TermsChange(
        sales=Sales.PAUSED,
        opens_at_ms=1000,
        closes_at_ms=2**42,
        starts_at_ms=2**42,
        time_zone="Europe/Berlin",
        cancel_until_ms=2**41,
        late_payment=LatePayment.REFUND,
        payment_max_ms=3_600_000,
    )
    before = await engine.events.set_terms(GALA, change)
    await sale.write()
    await sale.redis.flushall()
    await restorer.restore(GALA)
    after = (await sale.state()).event
    over = {name: getattr(after, name) for name in ("counts", "epoch", "position")}
    assert after == msgspec.structs.replace(before, **over)
    assert after.counts == Counts(available=56 + 5 + 7 - 2, held=0, sold=4, blocked=2)
    assert (await sale.state()).map == "asaaa/baaab/aaaaa"
    assert (await engine.availability.read_layout(GALA)).layout == grown
    await sale.agreed()


async def test_restore_of_terms_that_an_older_release_let_contradict_brings_them_back(
    engine: Engine, sale: Sale, restorer: Restorer
) -> None:
    terms_then = '{"sales": "open", "opens_at_ms": "5", "closes_at_ms": "4"}'
    entry = {"kind": "sales_set", "at_ms": 1, "epoch": 1, "event": terms_then}
    await sale.redis.xadd("{gala}:journal", entry)
    await sale.write()
    await sale.redis.flushall()
    await restorer.restore(GALA)
    event = (await sale.state()).event
    assert (event.sales, event.opens_at_ms, event.closes_at_ms) == ("open", 5, 4)


async def test_restore_counts_what_was_bought_against_the_limit(
    engine: Engine, pool: Pool, redis: Any, restorer: Restorer
) -> None:
    sale = Sale(engine, pool, redis)
    await engine.events.load_event(GALA, layout(), terms(customer_max=2))
    await engine.bookings.confirm_booking((await sale.hold("A-1-1", "A-1-2")).id, None)
    await sale.write()
    await redis.flushall()
    await restorer.restore(GALA)
    with pytest.raises(LimitReached):
        await sale.hold("A-1-3")


@pytest.mark.parametrize("taken", [False, True])
async def test_a_hold_of_the_old_epoch_that_is_paid_gets_its_seats_if_free_else_one_refund(
    sale: Sale, restorer: Restorer, taken: bool
) -> None:
    await sale.redis.flushall()
    await restorer.restore(GALA)
    bookings = sale.engine.bookings
    owed = await sale.owed()
    if taken:
        other = await bookings.hold_seats(selection("bob", "A-1-1"))
        await bookings.confirm_booking(other.id, None)
        for _ in range(2):
            with pytest.raises(RefundDue):
                await bookings.confirm_booking(sale.pending.id, None)
        owed = sorted([*owed, (sale.pending.id, 1500)])
    else:
        paid = await bookings.confirm_booking(sale.pending.id, None)
        assert (paid.status, paid.late, paid.seats) == ("confirmed", True, sale.pending.seats)
    await sale.agreed()
    assert await sale.owed() == owed


async def test_while_it_is_fenced_every_call_says_so_and_changes_nothing(
    sale: Sale, restorer: Restorer, engine: Engine
) -> None:
    await sale.redis.flushall()
    await restorer.find_behind()
    assert (await engine.events.read_event(GALA)).sales == SalesState.RESTORING
    assert await engine.events.list_events() == [GALA]
    before = {key: await sale.redis.dump(key) for key in await sale.redis.keys("*")}
    bookings = engine.bookings
    for call in (
        sale.hold("A-2-2"),
        bookings.confirm_booking(sale.pending.id, None),
        bookings.extend_booking(sale.pending.id, None),
        bookings.release_booking(sale.pending.id, None),
        bookings.cancel_booking(sale.confirmed.id, None),
        bookings.reinstate_booking(sale.confirmed),
        bookings.expire_bookings(GALA, path="sweep"),
        engine.events.set_terms(GALA, TermsChange(sales=Sales.OPEN)),
        engine.events.repair_event(GALA),
        engine.events.load_event(GALA, layout(), terms(), replace=True),
    ):
        with pytest.raises(Restoring):
            await call
    assert {key: await sale.redis.dump(key) for key in await sale.redis.keys("*")} == before
    assert await sale.found() == [("event_behind", GALA)]


async def test_restore_of_one_event_lets_the_others_sell(
    sale: Sale, engine: Engine, pool: Pool
) -> None:
    await engine.events.load_event("derby", layout(), terms())  # type: ignore[arg-type]
    wanted = [f"A-2-{n}" for n in range(1, 6)]
    sold = list[asyncio.Task[Booking]]()

    def sell(*_: object) -> None:
        if wanted:
            seat = selection("bob", wanted.pop(), event="derby")
            sold.append(asyncio.create_task(engine.bookings.hold_seats(seat)))

    assert (await Restorer(engine, pool, sell).restore(GALA)).standing == ()
    assert len(await asyncio.gather(*sold)) == 5
    assert (await sale.state()).event.counts == START
    await sale.agreed()


async def test_restore_again_of_a_sound_event_changes_no_sale(
    sale: Sale, restorer: Restorer
) -> None:
    for epoch in (2, 3):
        restored = await restorer.restore(GALA)
        assert (restored.epoch, restored.standing) == (epoch, ())
        assert (await sale.state()).event.counts == START
    await sale.agreed()


async def _ahead_of_the_clock(sale: Sale, by_ms: int) -> None:
    """As if the clock of the lost Redis had been ahead of this one's."""
    journal = await sale.redis.xrange("{gala}:journal")
    newest = int(journal[-1][0].split(b"-")[0])
    settings = {"sales": "open"}
    entry = JournalEntry(
        event_id=GALA,
        entry_id=f"{newest + by_ms}-7",
        kind="terms_set",
        at_ms=newest,
        epoch=1,
        event=settings,
    )
    ahead = msgspec.structs.replace(
        entry, entry_id=f"{newest + by_ms}-8", kind="booking_confirmed", event=None
    )
    await Store(sale.pool).write([entry, msgspec.structs.replace(ahead, booking=sale.confirmed)])


async def test_restore_by_a_clock_that_is_behind_continues_above_what_postgres_has(
    sale: Sale, restorer: Restorer
) -> None:
    await _ahead_of_the_clock(sale, by_ms=86_400_000)
    newest = await sale.pool.fetchval("SELECT max(entry_ms) FROM journal")
    await sale.redis.flushall()
    assert (await restorer.restore(GALA)).standing == ()
    assert position_of((await sale.state()).event.position).ms > newest
    await sale.engine.bookings.confirm_booking((await sale.hold("A-2-2")).id, None)
    await sale.engine.bookings.cancel_booking(sale.confirmed.id, None)
    assert position_of((await sale.state()).event.position).ms > newest
    await sale.agreed()


async def test_restore_under_the_old_epoch_and_clock_would_leave_differences(
    sale: Sale, restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without a new epoch and higher ids, Postgres ignores the next entries."""

    def planted(stored: Any, unsettled: Any, **at: int) -> Any:
        return rebuild(stored, unsettled, **(at | {"epoch": 1, "first_ms": at["now_ms"]}))

    monkeypatch.setattr("persistence.restorer.rebuild", planted)
    await _ahead_of_the_clock(sale, by_ms=86_400_000)
    await sale.redis.flushall()
    await restorer.restore(GALA)
    await sale.engine.bookings.cancel_booking(sale.confirmed.id, None)
    await sale.write()
    assert ("status_differs", ulid(sale.confirmed)) in await sale.found()


async def test_heads_of_events_that_are_not_there_are_left_out(engine: Engine, sale: Sale) -> None:
    heads = await engine.restores.read_heads([GALA, "nothing"])  # type: ignore[list-item]
    position = position_of((await sale.state()).event.position)
    assert heads == {GALA: EventHead(1, position, SalesState.OPEN)}


async def test_restore_brings_back_how_a_party_sits_and_the_order_of_the_rows(
    engine: Engine, sale: Sale, restorer: Restorer
) -> None:
    wanted = BestSelection(event_id=GALA, customer_id=CustomerId("ann"), quantity=2)
    held = await engine.bookings.hold_best(wanted)
    sold = await engine.bookings.confirm_booking(held.id, held.customer_id)
    assert sold.together is Together.ROW
    await engine.events.set_terms(
        GALA, TermsChange(single_seats=SingleSeats.REFUSE, accessible_release_at_ms=1)
    )
    await sale.write()
    before = [await sale.redis.hgetall(key) for key in ("{gala}:rows", "{gala}:order")]
    await sale.redis.flushall()
    assert (await restorer.restore(GALA)).standing == ()
    assert await engine.bookings.read_booking(sold.id, None) == sold
    assert [await sale.redis.hgetall(key) for key in ("{gala}:rows", "{gala}:order")] == before
    event = await engine.events.read_event(GALA)
    assert (event.single_seats, event.accessible_release_at_ms) == (SingleSeats.REFUSE, 1)
    again = await engine.bookings.hold_best(wanted)
    assert not set(again.seats) & set(sold.seats)
    await sale.agreed()


async def test_best_seats_of_an_event_without_the_order_are_refused_until_it_is_restored(
    engine: Engine, sale: Sale, restorer: Restorer
) -> None:
    wanted = BestSelection(event_id=GALA, customer_id=CustomerId("ann"), quantity=2)
    await sale.redis.delete("{gala}:rows")
    with pytest.raises(ScriptDefect, match="restore the event"):
        await engine.bookings.hold_best(wanted)
    assert await restorer.find_behind() == [GALA]
    await restorer.restore(GALA)
    assert (await engine.bookings.hold_best(wanted)).together is Together.ROW
