"""A payment against its deadline: exactly one outcome. The control is the seed's way."""

import asyncio
from collections import Counter

from redis.asyncio import Redis

from engine.errors import RefundDue, SeatTaken
from engine.models import Booking
from tests.support.box_office import TTL_MS, BoxOffice


async def test_control_check_then_write_sells_an_expired_seat_to_both(redis: Redis) -> None:
    """Confirm reads the status, the expiry frees the seat and it is sold on, confirm writes."""
    paid: list[str] = []

    async def confirm(customer: str, reading: asyncio.Event, go: asyncio.Event) -> None:
        owner = await redis.get("seat")
        reading.set()
        await go.wait()
        if owner == customer.encode():
            await redis.set("sold", customer)
            paid.append(customer)

    await redis.set("seat", "ann")
    read, go = asyncio.Event(), asyncio.Event()
    late = asyncio.create_task(confirm("ann", read, go))
    await read.wait()
    await redis.set("seat", "bob")
    go.set()
    await asyncio.gather(late, confirm("bob", asyncio.Event(), go))
    assert sorted(paid) == ["ann", "bob"]


async def test_payment_at_the_deadline_has_exactly_one_outcome(office: BoxOffice) -> None:
    await office.open(seats=1)
    outcomes: Counter[str] = Counter()
    for round_number in range(200):
        first = await office.hold("ann", "A-1-1")
        office.now_ms += TTL_MS - 1 + round_number % 3
        paid, taken = await asyncio.gather(
            office.confirm(first), office.hold("bob", "A-1-1"), return_exceptions=True
        )
        if isinstance(paid, Booking):
            assert isinstance(taken, SeatTaken)
            outcomes["paid"] += 1
            await office.bookings.cancel_booking(first.id, None)
        else:
            assert isinstance(paid, RefundDue)
            assert isinstance(taken, Booking)
            outcomes["refund"] += 1
            await office.bookings.release_booking(taken.id, None)
        await office.state()
    assert outcomes["paid"] > 0
    assert sum(outcomes.values()) == 200


async def test_payment_after_the_new_customer_came_is_a_refund(office: BoxOffice) -> None:
    await office.open(seats=1)
    first = await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS
    answers = await asyncio.gather(
        office.hold("bob", "A-1-1"),
        *(office.confirm(first) for _ in range(20)),
        return_exceptions=True,
    )
    assert isinstance(answers[0], Booking)
    assert {type(answer) for answer in answers[1:]} == {RefundDue}
    assert (await office.kinds()).count("refund_due") == 1
