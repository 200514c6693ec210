"""Unsettled sales in a restore: old dead letters, refunds, free bookings, areas sold twice."""

import contextlib
from typing import Any

import pytest

from engine import Booking, Engine
from engine.errors import RefundDue
from engine.ids import AreaId
from engine.models import AreaQuantity
from persistence.database import Pool
from persistence.journal.writer import Writer
from persistence.restorer import Restorer
from tests.persistence.entries import booking
from tests.persistence.sale import Sale
from tests.support.factories import GALA, layout, selection, terms

SEAT = "A-2-3"
OLD_MS = 2 * 86_400_000


async def _asleep_with(sale: Sale, writer: Writer, held: Booking) -> None:
    """A writer has read the payment and is suspended; then Redis is emptied and restored."""
    with contextlib.suppress(RefundDue):
        await sale.engine.bookings.confirm_booking(held.id, None)
    writer._batches = [await sale.engine.journal.read([GALA], "asleep", count=100, block_ms=0)]
    await sale.redis.flushall()
    assert (await Restorer(sale.engine, sale.pool).restore(GALA)).standing == ()


async def _wake(sale: Sale, writer: Writer) -> None:
    """Resume the writer: it sets aside the sale that the restore did not know."""
    await writer._write(writer._batches[0])
    assert len(await sale.engine.journal.dead_letters(GALA)) == 1


async def _take_for_bob(sale: Sale) -> Booking:
    held = await sale.engine.bookings.hold_seats(selection("bob", SEAT))
    taken = await sale.engine.bookings.confirm_booking(held.id, None)
    await sale.write()
    return taken


async def _age(sale: Sale) -> None:
    """Let all ended bookings have ended longer ago than Redis keeps them."""
    await sale.pool.execute("UPDATE bookings SET ended_at_ms = ended_at_ms - $1", OLD_MS)


async def _became(sale: Sale, of: Booking) -> tuple[str, list[int]]:
    """The booking's status in Postgres, and the refunds owed for it."""
    status = await sale.pool.fetchval("SELECT status FROM bookings WHERE booking_id = $1", of.id)
    return status, [minor for id_, minor in await sale.owed() if id_ == of.id]


@pytest.fixture
async def asleep(sale: Sale, writer: Writer) -> Booking:
    """A paid hold that only a suspended writer still has, because Redis lost it."""
    held = await sale.hold(SEAT)
    await sale.write()
    await _asleep_with(sale, writer, held)
    return held


async def test_restore_does_not_sell_again_what_was_cancelled_long_ago(
    sale: Sale, asleep: Booking, writer: Writer, restorer: Restorer
) -> None:
    await _wake(sale, writer)
    await sale.engine.bookings.confirm_booking(asleep.id, None)  # the notice is repeated
    await sale.engine.bookings.cancel_booking(asleep.id, None)
    await sale.write()
    await _age(sale)
    restored = await restorer.restore(GALA)
    assert (restored.late_confirmed, restored.standing) == (0, ())
    assert await _became(sale, asleep) == ("cancelled", [1500])
    assert await sale.engine.journal.dead_letters(GALA) == []
    await sale.agreed()


async def test_restore_gives_no_seat_for_what_it_refunded_long_ago(
    sale: Sale,
    asleep: Booking,
    writer: Writer,
    restorer: Restorer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The restore that refunded it was killed before it forgot the letter."""
    other = await _take_for_bob(sale)
    await _wake(sale, writer)

    async def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(restorer, "_forget_letters", killed)
        with pytest.raises(KeyboardInterrupt):
            await restorer.restore(GALA)
    await sale.engine.bookings.cancel_booking(other.id, None)  # the seat is free again
    await sale.write()
    await _age(sale)
    assert (await restorer.restore(GALA)).late_confirmed == 0
    assert await _became(sale, asleep) == ("expired", [1500])
    await sale.agreed()


@pytest.mark.parametrize("since", ["nothing", "paid again", "free again"])
async def test_a_refund_in_hand_ends_as_one_obligation(
    sale: Sale, writer: Writer, restorer: Restorer, since: str
) -> None:
    """Paid too late, and lost by Redis: the response said that a refund is due."""
    sale.engine.bookings.now_ms = 1  # a hold of long ago
    held = await sale.hold(SEAT)
    sale.engine.bookings.now_ms = ""
    other = await _take_for_bob(sale)
    await _asleep_with(sale, writer, held)
    await _wake(sale, writer)
    if since == "free again":
        await sale.engine.bookings.cancel_booking(other.id, None)
    if since == "paid again":
        with pytest.raises(RefundDue):
            await sale.engine.bookings.confirm_booking(held.id, None)
    restored = await restorer.restore(GALA)
    assert (restored.refunds_due, restored.standing) == (int(since != "paid again"), ())
    assert await _became(sale, held) == ("expired", [1500])
    assert await sale.engine.journal.dead_letters(GALA) == []
    await sale.agreed()


@pytest.mark.parametrize("taken", [True, False])
async def test_a_free_booking_in_hand_leaves_no_letter(
    engine: Engine, pool: Pool, redis: Any, writer: Writer, restorer: Restorer, taken: bool
) -> None:
    sale = Sale(engine, pool, redis)
    await engine.events.load_event(GALA, layout(price_minor=0), terms())
    held = await sale.hold(SEAT)
    await sale.write()
    await _asleep_with(sale, writer, held)
    if taken:
        await _take_for_bob(sale)
    await _wake(sale, writer)
    assert (await restorer.restore(GALA)).standing == ()
    assert await _became(sale, held) == ("expired" if taken else "confirmed", [])
    assert await engine.journal.dead_letters(GALA) == []
    await sale.agreed()


async def test_standing_places_that_a_redis_of_before_sells_again_are_refunded(
    sale: Sale, restorer: Restorer
) -> None:
    async def stand(customer: str, *quantities: int) -> list[Booking]:
        wanted = [selection(customer, areas={"floor": quantity}) for quantity in quantities]
        held = [await sale.engine.bookings.hold_seats(one) for one in wanted]
        return [await sale.engine.bookings.confirm_booking(one.id, None) for one in held]

    copy = {key: await sale.redis.dump(key) for key in await sale.redis.keys("*")}
    await stand("bob", 10, 10, 10, 10)  # 43 of 50 are sold, in Postgres
    await sale.write()
    await sale.redis.flushall()
    for key, value in copy.items():
        await sale.redis.restore(key, 0, value)
    refunded, kept = await stand("cleo", 8, 7)  # before it is detected
    restored = await restorer.restore(GALA)
    assert (restored.standing, restored.sales, restored.refunds_due) == ((), "open", 1)
    assert await _became(sale, refunded) == ("cancelled", [refunded.amount_minor])
    assert await _became(sale, kept) == ("confirmed", [])
    await sale.agreed()


async def test_standing_places_sold_too_often_go_to_the_first_payment(
    sale: Sale, restorer: Restorer
) -> None:
    def standing(number: int, paid_ms: int) -> Booking:
        areas = (AreaQuantity(AreaId("floor"), 30),)
        return booking(number, "confirmed", areas=areas, confirmed_at_ms=paid_ms)

    for late in (later := standing(1, paid_ms=3000), first := standing(2, paid_ms=2000)):
        await sale.put_row(late)
    assert (await restorer.restore(GALA)).standing == ()
    assert await _became(sale, first) == ("confirmed", [])
    assert await _became(sale, later) == ("cancelled", [1800])
    await sale.agreed()
