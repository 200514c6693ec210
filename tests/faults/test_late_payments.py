"""T18: the payment comes after the hold has ended. Its seats are free, held again, or sold."""

from collections import Counter

import pytest

from engine.errors import RefundDue
from engine.models import Booking
from tests.support.box_office import TTL_MS, BoxOffice
from tests.support.trials import Trial

STATES = ("free", "held again", "sold")


async def _paid(office: BoxOffice, late: Booking) -> str:
    """What three payments of one booking came to: all the same, or the test fails."""
    told = set()
    for _ in range(3):
        try:
            told.add((await office.confirm(late)).status.value)
        except RefundDue:
            told.add("refund_due")
    [outcome] = told
    return outcome


@pytest.mark.trial("T18")
async def test_payment_after_the_deadline_has_one_outcome_by_what_became_of_the_seats(
    office: BoxOffice, trial: Trial
) -> None:
    rounds = trial.rounds(20, 300)
    await office.open(seats=2)
    table: Counter[tuple[str, bool, str]] = Counter()
    for number in range(rounds):
        for state in STATES:
            swept = trial.random.random() < 0.5
            late = await office.hold(f"ann{number}", "A-1-1", "A-1-2")
            office.now_ms += TTL_MS + trial.random.randint(0, 5)
            if swept:
                await office.expire()
            other = None if state == "free" else await office.hold("bob", "A-1-2")
            if other and state == "sold":
                await office.confirm(other)
            before = (await office.kinds()).count("refund_due")
            outcome = await _paid(office, late)
            owed = (await office.kinds()).count("refund_due") - before
            assert (outcome, owed) == (("confirmed", 0) if state == "free" else ("refund_due", 1))
            table[state, swept, outcome] += 1
            await _cleared(office, late if state == "free" else other)
        if number % 10 == 0:
            await office.state()
    await office.state()
    by_state = [
        f"{state}: {sum(n for (s, _, _), n in table.items() if s == state):,} x "
        + "/".join(sorted({o for (s, _, o) in table if s == state}))
        for state in STATES
    ]
    assert len(table) == 6
    trial.tell(
        3 * rounds, "payment after the deadline, thrice each, swept or not",
        f"{'; '.join(by_state)}; a refund is recorded once, the new owner keeps its seat",
    )  # fmt: skip


async def _cleared(office: BoxOffice, booking: Booking | None) -> None:
    """Give the seats back for the next round."""
    assert booking
    kept = await office.kept(booking)
    if kept.status == "confirmed":
        await office.bookings.cancel_booking(kept.id, None)
    else:
        await office.bookings.release_booking(kept.id, None)
