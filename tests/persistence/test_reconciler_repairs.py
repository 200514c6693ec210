"""Differences that are safe to repair: planted, found by their kind, repaired, and gone."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest
from redis.asyncio import Redis

from engine import Engine
from engine.ids import SeatId
from persistence.database import Pool
from tests.persistence.entries import booking, entry
from tests.persistence.sale import Sale, ulid
from tests.support.factories import GALA, layout, terms

_SEATS = "SELECT * FROM seats ORDER BY seat_id"


async def _entry_set_aside(sale: Sale) -> tuple[str, str]:
    """The reason of its rejection is gone."""
    kept = entry(5, sale.confirmed)
    await sale.engine.journal.dead_letter(kept, "Postgres refused it")
    return "dead_letter", kept.entry_id


async def _booking_lost(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute("DELETE FROM booking_seats WHERE booking_id = $1", sale.confirmed.id)
    await sale.pool.execute("DELETE FROM bookings WHERE booking_id = $1", sale.confirmed.id)
    return "missing_in_postgres", ulid(sale.confirmed)


async def _confirmation_lost(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute("DELETE FROM booking_seats WHERE active")
    """An obligation of a late payment: the booking had expired before."""
    await sale.pool.execute(
        "UPDATE bookings SET status = 'expired' WHERE booking_id = $1", sale.confirmed.id
    )
    return "missing_in_postgres", ulid(sale.confirmed)


async def _confirmation_never_written(sale: Sale) -> tuple[str, str]:
    held = await sale.hold("A-2-1")
    await sale.write()
    await sale.engine.bookings.confirm_booking(held.id, None)
    await sale.lose()
    return "missing_in_postgres", ulid(held)


async def _seat_row_lost(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute("DELETE FROM booking_seats WHERE active")
    return "missing_in_postgres", ulid(sale.confirmed)


async def _refund_lost(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute("DELETE FROM refund_obligations")
    return "missing_in_postgres", ulid(sale.cancelled)


async def _cancel_lost(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute(
        "UPDATE bookings SET status = 'confirmed' WHERE booking_id = $1", sale.cancelled.id
    )
    return "status_differs", ulid(sale.cancelled)


async def _release_never_written(sale: Sale) -> tuple[str, str]:
    """The control of a hold, which is only in the journal: this booking has no row at all."""
    held = await sale.hold("A-2-1")
    await sale.write()
    await sale.engine.bookings.release_booking(held.id, None)
    await sale.lose()
    return "missing_in_postgres", ulid(held)


async def _ended_booking_owns_seats(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute(
        "UPDATE booking_seats SET active = true WHERE booking_id = $1", sale.cancelled.id
    )
    return "status_differs", ulid(sale.cancelled)


async def _booking_gone_from_redis(sale: Sale) -> tuple[str, str]:
    gone = booking(7, "confirmed", 5)
    await sale.put_row(gone)
    return "missing_in_redis", ulid(gone)


async def _event_lost(sale: Sale) -> tuple[str, str]:
    await sale.pool.execute("DELETE FROM events")
    return "event_missing_in_postgres", GALA


async def _counts_wrong(sale: Sale) -> tuple[str, str]:
    await sale.redis.hincrby("{gala}:event", "available", -1)
    return "counts_differ", "available"


async def _map_wrong(sale: Sale) -> tuple[str, str]:
    await sale.redis.setrange("{gala}:map", 0, "a")
    return "map_differs", "A-1-1"


async def _area_wrong(sale: Sale) -> tuple[str, str]:
    await sale.redis.hset("{gala}:areas", "floor", "50,1,0,2")
    await sale.redis.hincrby("{gala}:event", "sold", -1)
    await sale.redis.hincrby("{gala}:event", "available", 1)
    return "area_differs", "floor"


async def _hold_of_nobody(sale: Sale) -> tuple[str, str]:
    value = (await sale.redis.hget("{gala}:seats", "A-2-1")).decode()
    held = value.replace(",a", f",h,{ulid(booking(8, 'pending'))},{2**42}")
    await sale.redis.hset("{gala}:seats", "A-2-1", held)
    await sale.redis.setrange("{gala}:map", 6, "h")
    await sale.redis.hincrby("{gala}:event", "available", -1)
    await sale.redis.hincrby("{gala}:event", "held", 1)
    return "orphan_hold", "A-2-1"


async def _deadline_lost(sale: Sale) -> tuple[str, str]:
    await sale.redis.zrem("{gala}:deadlines", ulid(sale.pending))
    return "deadline_differs", ulid(sale.pending)


async def _deadline_of_a_seat_wrong(sale: Sale) -> tuple[str, str]:
    seat = f"0,0,h,{ulid(sale.pending)},{sale.pending.expires_at_ms + 1}"
    await sale.redis.hset("{gala}:seats", "A-1-1", seat)
    return "deadline_differs", ulid(sale.pending)


async def _hold_that_never_ended(sale: Sale) -> tuple[str, str]:
    late = msgspec.structs.replace(sale.pending, expires_at_ms=sale.pending.held_at_ms - 10_000)
    await sale.put_record(late)
    await sale.redis.zadd("{gala}:deadlines", {ulid(late): late.expires_at_ms})
    seat = f"0,0,h,{ulid(late)},{late.expires_at_ms}"
    await sale.redis.hset("{gala}:seats", "A-1-1", seat)
    return "overdue_hold", ulid(late)


REPAIRABLE = [
    _entry_set_aside,
    _booking_lost,
    _confirmation_lost,
    _confirmation_never_written,
    _seat_row_lost,
    _refund_lost,
    _cancel_lost,
    _release_never_written,
    _ended_booking_owns_seats,
    _booking_gone_from_redis,
    _event_lost,
    _counts_wrong,
    _map_wrong,
    _area_wrong,
    _hold_of_nobody,
    _deadline_lost,
    _deadline_of_a_seat_wrong,
    _hold_that_never_ended,
]


@pytest.mark.parametrize("spoil", REPAIRABLE, ids=lambda spoil: spoil.__name__[1:])
async def test_reconcile_difference_is_found_and_repaired(
    sale: Sale, spoil: Callable[[Sale], Awaitable[tuple[str, str]]]
) -> None:
    planted = await spoil(sale)
    assert await sale.found() == [planted]

    repaired = await sale.reconcile(repair=True)
    assert repaired.clean
    assert [bool(difference.repaired) for difference in repaired.differences] == [True]

    await sale.write()
    assert await sale.found() == []


async def test_repair_gives_back_nothing_that_the_writer_has_yet_to_end(
    engine: Engine, pool: Pool, redis: Redis
) -> None:
    """Cancelled and forgotten in Redis before it was written: only Postgres has the sale."""
    sale = Sale(engine, pool, redis)
    await engine.events.load_event(GALA, layout(), terms(ended_ttl_ms=1000))
    sold = await engine.bookings.confirm_booking((await sale.hold("A-1-1")).id, None)
    await sale.write()
    await engine.bookings.cancel_booking(sold.id, None)
    engine.bookings.now_ms = sold.held_at_ms + 10_000
    await engine.bookings.expire_bookings(GALA, path="sweep")  # forgets it
    report = await sale.reconcile(repair=True, lag_ms=0)
    assert "wait for the writer" in next(report.differences).detail
    await sale.write()
    assert await sale.found() == []
    assert await sale.owed() == [(sold.id, 1500)]


async def test_event_written_from_redis_has_the_seats_of_redis(sale: Sale) -> None:
    """The rows of another layout go, and a seat that was blocked since the load stays blocked."""
    await sale.engine.events.block_seats(GALA, [SeatId("gala:A-2-1")], blocked=True)
    await sale.write()
    before = await sale.pool.fetch(_SEATS)
    assert {row["seat_id"] for row in before if row["blocked"]} == {"gala:A-2-1"}
    await sale.pool.execute("DELETE FROM events")
    await sale.pool.execute(
        "UPDATE seats SET price_minor = 1, blocked = false; "
        "UPDATE seats SET seat_id = 'gala:Z-9-9' WHERE seat_id = 'gala:A-2-2'"
    )
    await sale.reconcile(repair=True)
    assert await sale.pool.fetch(_SEATS) == before
