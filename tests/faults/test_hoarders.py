"""S6: one account with a thousand sessions holds and drops, again and again; others want to buy."""

import asyncio

import pytest

from engine import Engine
from engine.errors import LimitReached, SeatTaken
from tests.support.crowd import Crowd, EngineDesk, seats_of, state_of
from tests.support.factories import GALA, layout, selection, terms
from tests.support.invariants import broken_promises
from tests.support.trials import Trial

CAP = 4
ROWS, ROW = 10, 20


class Hoarder:
    """One account; its sessions know nothing of each other."""

    def __init__(self, engine: Engine, trial: Trial) -> None:
        self._engine = engine
        self._random = trial.random
        self.cycles = self.refused = self.taken = 0
        self.stop = False

    async def session(self) -> None:
        """Hold a seat, keep it a moment, drop it, try the next."""
        while not self.stop:
            seat = self._random.choice(seats_of(ROWS, ROW))
            try:
                held = await self._engine.bookings.hold_seats(selection("hoarder", seat))
            except LimitReached:
                self.refused += 1
            except SeatTaken:
                self.taken += 1
            else:
                await asyncio.sleep(self._random.uniform(0.1, 0.3))
                await self._engine.bookings.release_booking(held.id, None)
                self.cycles += 1
            await asyncio.sleep(self._random.uniform(0.1, 0.5))


@pytest.mark.trial("S6")
async def test_one_account_with_a_thousand_sessions_keeps_to_its_cap(
    engine: Engine, trial: Trial
) -> None:
    sessions = trial.rounds(300, 1000)
    await engine.events.load_event(GALA, layout(ROWS, ROW), terms(customer_max=CAP))
    hoarder = Hoarder(engine, trial)
    tasks = [asyncio.create_task(hoarder.session()) for _ in range(sessions)]
    crowd = Crowd(EngineDesk(engine), seats_of(ROWS, ROW), trial.random, each=3)
    crowd.begin(8)
    held = []
    ended = asyncio.get_running_loop().time() + trial.seconds(1.0, 20.0)
    while asyncio.get_running_loop().time() < ended:
        state = await state_of(engine)
        mine = [b for b in state.bookings.values() if b.customer_id == "hoarder"]
        held.append(sum(b.place_count for b in mine if b.status == "pending"))
        await asyncio.sleep(0.02)
    hoarder.stop = True
    await asyncio.gather(*tasks)
    await crowd.end()
    state = await state_of(engine)
    assert crowd.broken(state) + await broken_promises(engine, GALA) == []
    assert max(held) == CAP
    assert hoarder.refused > 0 < hoarder.cycles
    share = max(held) / (ROWS * ROW)
    trial.tell(
        hoarder.cycles, f"hold and drop by one account in {sessions:,} sessions, cap {CAP}",
        f"never more than {max(held)} places at once in {len(held):,} looks: {share:.1%} of the "
        f"inventory denied; {hoarder.refused:,} holds over the cap refused; others bought "
        f"{state.event.counts.sold} of {ROWS * ROW} seats meanwhile",
    )  # fmt: skip
