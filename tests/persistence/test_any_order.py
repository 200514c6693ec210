"""Random sales and resales, whose entries are written in any order and in any batches.

Several writers, some of which die, write one journal in every possible order. Rejected entries are
redelivered. In the end Postgres has what the journal says, as if it had been written in order.
"""

from collections.abc import Iterator
from random import Random

import pytest

from engine.ids import SeatId
from engine.models import Booking, JournalEntry
from persistence.database import Pool
from persistence.journal.tables import Store
from tests.persistence.entries import booking, entry, seat
from tests.persistence.running import sold_seats, statuses

SEATS, STEPS = 4, 60


class Story:
    """Customers who hold, pay, pay late, let it expire and cancel, on a handful of seats."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.entries: list[JournalEntry] = []
        self.bookings: list[Booking] = []
        for _ in range(STEPS):
            self._step()

    @property
    def owners(self) -> dict[str, str]:
        """Seat -> booking that has bought it."""
        return {s: b.id for b in self.bookings if b.status == "confirmed" for s in b.seats}

    def _free(self) -> set[SeatId]:
        taken = {s for b in self.bookings if b.status in ("pending", "confirmed") for s in b.seats}
        return {seat(number) for number in range(1, SEATS + 1)} - taken

    def _step(self) -> None:
        changes = list(self._changes())
        self._random.shuffle(changes)
        number, changed = changes[0]
        self.bookings[number:] = [changed, *self.bookings[number + 1 :]]
        self.entries.append(entry(10 + len(self.entries), changed))

    def _changes(self) -> Iterator[tuple[int, Booking]]:
        """What may happen now: the booking's number, and what it is then."""
        free, new = self._free(), len(self.bookings)
        for numbers in ([1], [2], [3], [1, 2], [2, 3], [3, 4]):
            if {seat(number) for number in numbers} <= free:
                yield new, booking(new, "pending", *numbers)
        for number, one in enumerate(self.bookings):
            numbers = [int(s.rpartition("-")[2]) for s in one.seats]
            if one.status == "pending":
                yield number, booking(number, "confirmed", *numbers)
                yield number, booking(number, "expired", *numbers)
            elif one.status == "confirmed":
                yield number, booking(number, "cancelled", *numbers)
            elif one.status == "expired" and set(one.seats) <= free:
                yield number, booking(number, "confirmed", *numbers, late=True)


@pytest.mark.parametrize("seed", range(40))
async def test_write_in_any_order_and_any_batches_ends_as_the_journal_says(
    store: Store, pool: Pool, seed: int
) -> None:
    random = Random(seed)
    story = Story(random)
    queue = random.sample(story.entries, len(story.entries))
    refused_count, rounds = 0, 0
    while queue:
        size = random.randint(1, 12)
        batch, queue = queue[:size], queue[size:]
        refusals = await store.write(batch)
        assert all(refusal.error.seat_sold_twice for refusal in refusals)
        queue += [refusal.entry for refusal in refusals]
        queue += random.sample(batch, random.randint(0, 1))  # committed, and not acknowledged
        refused_count += len(refusals)
        rounds += 1
        assert rounds < 10 * STEPS, f"{refused_count} refused, and it does not end"
    assert await sold_seats(pool) == story.owners
    assert await statuses(pool) == {one.id: one.status for one in story.bookings}
    assert await pool.fetchval("SELECT count(*) FROM journal") == len(story.entries)


def test_the_stories_resell() -> None:
    stories = [Story(Random(seed)) for seed in range(40)]
    sales = [[s for e in story.entries if e.booking and e.booking.status == "confirmed"
              for s in e.booking.seats] for story in stories]  # fmt: skip
    assert all(len(sold) > 1.5 * SEATS for sold in sales)
    assert any(story.owners for story in stories)
