"""Differences that reconcile must not repair, bookings in flight, and no false findings.

The first test is the control: a planted double sale must be found.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import REGISTRY

from engine import Engine, Settings
from engine.errors import EventNotFound
from engine.ids import EventId
from persistence.database import Pool
from persistence.journal.writer import Writer
from persistence.reconcile.reconciler import reconcile, reconcile_each
from persistence.reconcile.report import ReconcileReport
from tests.persistence.entries import booking, entry
from tests.persistence.running import drained, running
from tests.persistence.sale import Sale, ulid
from tests.support.factories import GALA, layout, selection, terms


def _standing(report: ReconcileReport) -> set[tuple[str, str]]:
    return {(found.kind, found.subject) for found in report.differences if not found.repaired}


async def test_reconcile_double_sale_in_redis_is_found_and_not_repaired(sale: Sale) -> None:
    await sale.put_record(booking(9, "confirmed", 2))
    assert ("sold_twice", "A-1-2") in await sale.found()
    report = await sale.reconcile(repair=True)
    assert not report.clean
    assert {("sold_twice", "A-1-2"), ("owner_differs", "A-1-2")} <= _standing(report)


async def test_reconcile_double_sale_in_postgres_is_found_and_not_repaired(sale: Sale) -> None:
    second = booking(9, "confirmed", 5)
    await sale.put_row(second)
    await sale.pool.execute(
        "UPDATE bookings SET seats = $2 WHERE booking_id = $1", second.id, sale.confirmed.seats
    )
    assert ("sold_twice", "A-1-2") in await sale.found()
    report = await sale.reconcile(repair=True)
    [double] = [found for found in report.differences if found.kind == "sold_twice"]
    assert (double.subject, double.repaired) == ("A-1-2", None)
    assert ulid(second) in double.detail
    assert ulid(sale.confirmed) in double.detail


async def test_reconcile_seat_of_two_owners_names_both_and_is_not_repaired(sale: Sale) -> None:
    await sale.pool.execute(
        "UPDATE booking_seats SET booking_id = $1 WHERE active", sale.standing.id
    )
    report = await sale.reconcile(repair=True)
    [seat] = [found for found in report.differences if found.subject == "A-1-2"]
    assert (seat.kind, seat.repaired) == ("owner_differs", None)
    assert (
        seat.detail
        == f"sold to {ulid(sale.confirmed)} in Redis, to {ulid(sale.standing)} in Postgres"
    )


async def test_reconcile_lost_booking_whose_seat_is_taken_is_not_repaired(sale: Sale) -> None:
    lost = booking(9, "confirmed", 5)
    await sale.put_row(lost)
    await sale.hold("A-1-5")
    report = await sale.reconcile(repair=True)
    [found] = [found for found in report.differences if found.kind == "missing_in_redis"]
    assert (found.subject, found.repaired) == (ulid(lost), None)
    assert found.detail.endswith(
        "not repaired: Redis refused it: these seats are not available: A-1-5"
    )


async def test_reconcile_sale_without_its_record_is_found(sale: Sale) -> None:
    await sale.redis.hdel("{gala}:bookings", ulid(sale.confirmed))
    found = await sale.found()
    assert ("orphan_sale", "A-1-2") in found
    assert ("missing_in_redis", ulid(sale.confirmed)) in found


async def _amount_changed(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute(
        "UPDATE bookings SET amount_minor = 1 WHERE booking_id = $1", sale.confirmed.id
    )
    return "amount_differs", ulid(sale.confirmed)


async def _refund_changed(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute("UPDATE refund_obligations SET amount_minor = 1")
    return "amount_differs", ulid(sale.cancelled)


async def _obligation_lost(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute("DELETE FROM refund_obligations")
    # Redis has deleted the booking by now; only Postgres has it.
    await sale.redis.hdel("{gala}:bookings", ulid(sale.cancelled))
    await sale.redis.zrem("{gala}:ended", ulid(sale.cancelled))
    return "money_differs", ulid(sale.cancelled)


async def _payment_lost(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute(
        "UPDATE payments SET amount_minor = 1 WHERE booking_id = $1", sale.standing.id
    )
    return "payment_differs", ulid(sale.standing)


async def _customer_changed(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute(
        "UPDATE bookings SET customer_id = 'bob' WHERE booking_id = $1", sale.standing.id
    )
    return "owner_differs", ulid(sale.standing)


async def _cancelled_in_postgres_only(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute(
        "UPDATE bookings SET status = 'cancelled' WHERE booking_id = $1", sale.standing.id
    )
    return "status_differs", ulid(sale.standing)


async def _confirmed_in_postgres_only(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute(
        "UPDATE bookings SET status = 'confirmed' WHERE booking_id = $1", sale.released.id
    )
    return "missing_in_redis", ulid(sale.released)


async def _event_gone_from_redis(sale: Sale) -> tuple[str, str]:
    await sale.redis.flushall()
    return "event_missing_in_redis", GALA


async def _entry_set_aside(sale: Sale) -> tuple[str, str]:
    refused = entry(5, booking(9, "confirmed", 2))  # seat 2 is sold to another booking
    await sale.engine.journal.dead_letter(refused, "Postgres refused it")
    return "dead_letter", refused.entry_id


STANDING = [
    _amount_changed,
    _refund_changed,
    _obligation_lost,
    _payment_lost,
    _customer_changed,
    _cancelled_in_postgres_only,
    _confirmed_in_postgres_only,
    _event_gone_from_redis,
    _entry_set_aside,
]


@pytest.mark.parametrize("spoil", STANDING, ids=lambda spoil: spoil.__name__[1:])
async def test_reconcile_difference_is_found_and_left_to_a_person(
    sale: Sale, spoil: Callable[[Sale], Awaitable[tuple[str, str]]]
) -> None:
    planted = await spoil(sale)
    report = await sale.reconcile(repair=True)
    assert _standing(report) == {planted}
    assert not report.clean
    assert await sale.found() == [planted]


async def test_reconcile_sale_that_was_written_is_clean(sale: Sale) -> None:
    report = await sale.reconcile()
    assert list(report.differences) == []
    assert report.clean
    assert report.in_flight_count == 0
    assert [(event.event_id, event.bookings_count) for event in report.events] == [(GALA, 5)]


async def test_reconcile_change_within_the_lag_is_in_flight(sale: Sale) -> None:
    """A hold is only in the journal, so only its later states can be missing."""
    held = await sale.hold("A-2-1")
    assert await sale.found() == []
    await sale.engine.bookings.confirm_booking(held.id, None)
    report = await sale.reconcile(lag_ms=60_000)
    assert report.clean
    assert report.in_flight_count == 1
    assert [found.kind for found in (await sale.reconcile()).differences] == ["missing_in_postgres"]


async def test_reconcile_while_it_sells_finds_nothing(
    engine: Engine, pool: Pool, sale: Sale, quick: Settings
) -> None:
    selling = True

    async def sell_and_resell(seat: str) -> None:
        while selling:
            held = await engine.bookings.hold_seats(selection("bob", seat))
            sold = await engine.bookings.confirm_booking(held.id, None)
            await engine.bookings.cancel_booking(sold.id, None)

    async with running(Writer(engine, pool, quick)):
        sellers = [asyncio.create_task(sell_and_resell(f"A-2-{seat}")) for seat in range(1, 6)]
        reports = [await sale.reconcile(lag_ms=1000) for _ in range(3)]
        selling = False
        await asyncio.gather(*sellers)
        await drained(engine)
    assert [list(report.differences) for report in [*reports, await sale.reconcile()]] == [[]] * 4


async def test_reconcile_all_events_reports_them_one_by_one(
    engine: Engine, pool: Pool, sale: Sale
) -> None:
    await engine.events.load_event(EventId("later"), layout(), terms())
    each = reconcile_each(engine, pool)
    assert [report.event_id async for report in each] == [GALA, "later"]


async def test_reconcile_unknown_event_is_refused(engine: Engine, pool: Pool, sale: Sale) -> None:
    with pytest.raises(EventNotFound, match="typo"):
        await reconcile(engine, pool, [GALA, EventId("typo")])


async def test_reconcile_counts_differences_by_kind(sale: Sale) -> None:
    def counted() -> float:
        found = REGISTRY.get_sample_value(
            "reconcile_differences_found_total", {"kind": "amount_differs"}
        )
        return found or 0

    before = counted()
    await _amount_changed(sale)
    await sale.reconcile()
    assert counted() == before + 1
