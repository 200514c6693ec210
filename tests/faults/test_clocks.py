"""T17: the clock of Redis jumps, by libfaketime under a real Valkey; and the API's own is wrong.

Needs Debian's `faketime`, so only `make faults` runs it: `make test` has the jumps as numbers, in
tests/faults/test_late_payments.py and wherever a script is given its `now_ms`.
"""

import asyncio
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from engine import Engine, Settings, invariants
from engine.errors import SeatTaken
from engine.expirer import Expirer
from engine.models import Booking
from tests.support.crowd import HttpDesk, state_of
from tests.support.factories import GALA, layout, selection, terms
from tests.support.own_valkey import OwnValkey
from tests.support.serving import serving
from tests.support.trials import Trial

JUMPS_S = (5, -5, 3600, -3600)
TTL_MS = 2_000
LIBRARY = "faketime/libfaketimeMT.so.1"


def find_library() -> str | None:
    """libfaketime where Debian puts it; None: not installed."""
    found = sorted(Path("/usr/lib").glob(f"*/{LIBRARY}"))
    return str(found[0]) if found else None


class Clock:
    """The clock of one Valkey."""

    def __init__(self, own: OwnValkey, folder: Path) -> None:
        self._file = folder / "clock"
        library = find_library()
        assert library, "apt-get install faketime"
        self.jump_to(0)
        own.variables = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump_to(self, offset_s: int) -> None:
        """From now on this much off."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+d}")
        new.replace(self._file)


async def _tried(engine: Engine, seat: str) -> bool:
    try:
        await engine.bookings.hold_seats(selection("bob", seat))
    except SeatTaken:
        return False
    return True


async def _ends_s(engine: Engine, held: Booking, limit_s: float) -> float | None:
    """How many real seconds until the expirer has ended it; None: not within the limit."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < limit_s:
        if (await engine.bookings.read_booking(held.id, None)).status == "expired":
            return time.monotonic() - began_s
        await asyncio.sleep(0.02)
    return None


@pytest.mark.trial("T17")
@pytest.mark.faketime
async def test_clock_of_redis_jumps_and_no_live_hold_is_resold(
    own: OwnValkey, plain: Settings, trial: Trial, tmp_path: Path
) -> None:
    clock = Clock(own, tmp_path)
    await asyncio.to_thread(own.start)
    settings = msgspec.structs.replace(plain, redis_url=own.url)
    premature: Counter[int] = Counter()
    rows, late = 0, []
    async with await Engine.connect(settings) as engine:
        await engine.events.load_event(GALA, layout(200, 1), terms(hold_ttl_ms=TTL_MS))
        stop = asyncio.Event()
        expiring = asyncio.create_task(Expirer(engine).run(stop))
        for _ in range(trial.rounds(1, 2)):
            for jump_s in JUMPS_S:
                rows += 1
                clock.jump_to(0)
                held = await engine.bookings.hold_seats(selection("ann", f"A-{rows}-1"))
                clock.jump_to(jump_s)
                taken = await _tried(engine, f"A-{rows}-1")
                premature[jump_s] += taken
                if jump_s < 0:
                    assert not taken, "a clock that goes back makes no hold older"
                    ended_s = await _ends_s(engine, held, TTL_MS / 1000 + 1)
                    assert ended_s is None or ended_s >= TTL_MS / 1000 - 0.1
                    late.append(ended_s)
                state = await state_of(engine)
                found = [v for v in invariants.check(state) if v.kind != "overdue_hold"]
                assert found == []
                clock.jump_to(0)
                if jump_s < 0:
                    assert (await _ends_s(engine, held, TTL_MS / 1000 + 2)) is not None
        stop.set()
        await expiring
    not_ended = sum(seconds is None for seconds in late)
    trial.tell(
        rows, f"jump of Redis' clock by +-5 s, +-1 h, holds of {TTL_MS / 1000:g} s",
        f"back: resold while it lives 0, ends only when the clock is there again: {not_ended} of "
        f"{len(late)} later than TTL + 1 s; ahead: {premature[5] + premature[3600]} of "
        f"{rows // 2} ended by the jump and were sold on, its owner's payment then a refund; "
        "double sales 0",
    )  # fmt: skip


@pytest.mark.trial("T17")
@pytest.mark.faketime
@pytest.mark.parametrize("skew_s", [300, -300])
async def test_clock_of_the_api_host_decides_nothing(
    engine: Engine, settings: Settings, trial: Trial, tmp_path: Path, skew_s: int
) -> None:
    await engine.events.load_event(GALA, layout(1, 40), terms(hold_ttl_ms=TTL_MS))
    over = {
        "LD_PRELOAD": find_library() or "",
        "FAKETIME": f"{skew_s:+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "JWT_LEEWAY_S": "300",
    }
    async with serving(settings, tmp_path, **over) as port:
        desk = HttpDesk(port)
        held = [await desk.hold(f"c{n}", f"A-1-{n}") for n in range(1, 21)]
        again = [await desk.hold(f"d{n}", f"A-1-{n}") for n in range(1, 21)]
        paid = [await desk.act("confirm", f"c{n}", held[n - 1].booking) for n in range(1, 21)]
        await desk.http.aclose()
    assert {answer.outcome for answer in held} == {"done"}
    assert {answer.code for answer in again} == {"seat_taken"}
    assert {answer.outcome for answer in paid} == {"done"}
    state = await state_of(engine)
    assert invariants.check(state) == []
    assert all(abs(b.held_at_ms - state.now_ms) < 60_000 for b in state.bookings.values())
    trial.tell(
        len(held), f"hold at an API whose clock is {skew_s:+d} s off",
        "premature 0, late 0: deadlines are by Redis' clock; tokens need JWT_LEEWAY_S >= the skew",
    )  # fmt: skip
