"""T20: a payment against its deadline, exactly one outcome. The control is the seed's way."""

import asyncio
from collections import Counter

import pytest
from redis.asyncio import Redis

from engine.errors import RefundDue, SeatTaken
from engine.models import Booking
from tests.support.box_office import TTL_MS, BoxOffice
from tests.support.trials import Trial


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


async def _both(office: BoxOffice, first: Booking, *, payment_first: bool) -> tuple[object, object]:
    """Pay for the hold, and hold its seat for somebody else, in one write; the answers."""
    calls = [office.confirm(first), office.hold("bob", "A-1-1")]
    if payment_first:
        paid, taken = await asyncio.gather(*calls, return_exceptions=True)
    else:
        taken, paid = await asyncio.gather(*reversed(calls), return_exceptions=True)
    return paid, taken


@pytest.mark.trial("T20")
async def test_payment_at_the_deadline_has_exactly_one_outcome(
    office: BoxOffice, trial: Trial
) -> None:
    rounds = trial.rounds(200, 10_000)
    await office.open(seats=1)
    outcomes: Counter[str] = Counter()
    for round_number in range(rounds):
        first = await office.hold("ann", "A-1-1")
        office.now_ms += TTL_MS - 5 + round_number % 11
        paid, taken = await _both(office, first, payment_first=trial.random.random() < 0.5)
        if isinstance(paid, Booking):
            assert isinstance(taken, SeatTaken)
            outcomes["paid"] += 1
            await office.bookings.cancel_booking(first.id, None)
        else:
            assert isinstance(paid, RefundDue)
            assert isinstance(taken, Booking)
            outcomes["refund"] += 1
            await office.bookings.release_booking(taken.id, None)
        if round_number % 20 == 0 or not trial.long:
            await office.state()
    await office.state()
    assert outcomes["paid"] > 0 < outcomes["refund"]
    assert sum(outcomes.values()) == rounds
    trial.tell(
        rounds, "payment at +-5 ms of the deadline, another customer at the same moment",
        f"paid {outcomes['paid']:,}, refund {outcomes['refund']:,}: both 0, neither 0",
    )  # fmt: skip


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
