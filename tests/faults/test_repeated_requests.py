"""T08, T09: the API dies with requests in its hands; clients repeat them, and some at once."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from bench.rig.stand import free_port
from engine import Engine, Settings
from tests.api.client import BOOKING, bearer
from tests.support.crowd import Answer, HttpDesk, seats_of, state_of
from tests.support.factories import GALA, layout, terms
from tests.support.history import read_journal
from tests.support.pausing import start_api
from tests.support.serving import launched, listens, serving
from tests.support.trials import Trial
from tests.support.waiting import until

AT_ONCE = 32


@pytest.mark.trial("T08")
async def test_api_killed_in_the_middle_of_requests_repeats_have_one_effect(
    engine: Engine, settings: Settings, trial: Trial, tmp_path: Path
) -> None:
    kills = trial.rounds(2, 16)
    await engine.events.load_event(GALA, layout(kills, AT_ONCE), terms())
    seats, port, cut = seats_of(kills, AT_ONCE), free_port(), 0
    held: dict[str, str] = {}
    for number in range(kills):
        names = {f"c{number}-{n}": seats[number * AT_ONCE + n] for n in range(AT_ONCE)}
        process = await launched(settings, tmp_path, port)
        desk = HttpDesk(port)
        await asyncio.gather(*(desk.http.get("/healthz") for _ in range(AT_ONCE)))
        if number == 0:  # the calls of one round reach a process that answers none of them
            os.kill(process.pid, signal.SIGSTOP)
        asked = [asyncio.create_task(desk.hold(who, seat)) for who, seat in names.items()]
        await asyncio.sleep(trial.random.uniform(0.001, 0.04) if number else 0.1)
        os.kill(process.pid, signal.SIGKILL)
        answers = dict(zip(names, await asyncio.gather(*asked), strict=True))
        await process.wait()
        await desk.http.aclose()
        held |= {who: a.booking for who, a in answers.items() if a.outcome == "done"}
        cut += sum(a.outcome == "unknown" for a in answers.values())
        if number == kills - 1:
            await _repeat(settings, tmp_path, seats, held)
    kinds = Counter(fields[b"kind"] for _, fields in await engine.client.xrange("{gala}:journal"))
    assert kinds[b"seats_held"] == len(seats)
    state = await state_of(engine)
    assert state.event.counts.held == len(seats)
    assert cut
    trial.tell(
        cut, f"hold cut by SIGKILL of the API ({kills} kills), repeated with its key",
        f"{len(seats)} holds asked for, {kinds[b'seats_held']} effects: duplicates 0",
    )  # fmt: skip


async def _repeat(settings: Settings, folder: Path, seats: list[str], held: dict[str, str]) -> None:
    """Every request is repeated; those that had an answer get the same one."""
    async with serving(settings, folder) as port:
        desk = HttpDesk(port)
        for number, seat in enumerate(seats):
            who = f"c{number // AT_ONCE}-{number % AT_ONCE}"
            again = await desk.hold(who, seat)
            assert again.outcome == "done"
            assert held.get(who, again.booking) == again.booking
        await desk.http.aclose()


POINTS = {
    "api:holding": "hold",
    "api:held": "hold",
    "api:confirming": "confirm",
    "api:confirmed": "confirm",
    "api:cancelling": "cancel",
    "api:cancelled": "cancel",
}
"""Where the API is killed, and what it is asked for then."""
KINDS = {"hold": "seats_held", "confirm": "booking_confirmed", "cancel": "booking_cancelled"}


@pytest.mark.trial("T08")
async def test_api_killed_right_before_or_after_its_script_repeats_have_one_effect(
    engine: Engine, settings: Settings, trial: Trial, tmp_path: Path
) -> None:
    rounds, effects = trial.rounds(1, 15), Counter[str]()
    await engine.events.load_event(GALA, layout(rounds, len(POINTS)), terms())
    seats = iter(seats_of(rounds, len(POINTS)))
    async with serving(settings, tmp_path) as port:
        well = HttpDesk(port)
        for customer, point in enumerate(list(POINTS) * rounds):
            wish = Wish(POINTS[point], f"c{customer}", next(seats))
            await wish.prepare(well)
            await _killed_at(point, settings, tmp_path, wish)
            effects[point] += await _effects(engine, wish)
            again = await wish.ask(well)
            assert again.outcome == "done", again
            assert await _effects(engine, wish) == 1
        await well.http.aclose()
    before, after = list(POINTS)[::2], list(POINTS)[1::2]
    assert [effects[point] for point in before + after] == [0, 0, 0, rounds, rounds, rounds]
    trial.tell(
        rounds * len(POINTS),
        "API killed right before or after the script of a hold, a payment, a cancellation",
        f"of those killed after it {sum(effects.values())} had taken effect unanswered, "
        "of those before it 0; the call repeated: 1 effect each",
    )  # fmt: skip


class Wish:
    """One call that a customer makes until it is answered."""

    def __init__(self, what: str, customer: str, seat: str) -> None:
        self.what, self.customer, self.seat = what, customer, seat
        self._booking = ""

    async def prepare(self, desk: HttpDesk) -> None:
        """Make what the call is about."""
        if self.what != "hold":
            self._booking = (await desk.hold(self.customer, self.seat)).booking
        if self.what == "cancel":
            await desk.act("confirm", self.customer, self._booking)

    async def ask(self, desk: HttpDesk) -> Answer:
        """Make the call, under the same key each time."""
        if self.what == "hold":
            return await desk.hold(self.customer, self.seat)
        return await desk.act(self.what, self.customer, self._booking)


async def _killed_at(point: str, settings: Settings, folder: Path, wish: Wish) -> None:
    port = free_port()
    process = start_api(settings, port, folder, point)
    await until(lambda: listens(port))
    desk = HttpDesk(port)
    assert (await wish.ask(desk)).outcome == "unknown"
    await asyncio.to_thread(process.join)
    assert process.exitcode == -signal.SIGKILL
    await desk.http.aclose()


async def _effects(engine: Engine, wish: Wish) -> int:
    """How often the journal has what was asked for."""
    entries = [e for e in await read_journal(engine, GALA) if e.kind == KINDS[wish.what]]
    return sum(1 for e in entries if e.booking and e.booking.customer_id == wish.customer)


@pytest.mark.trial("T09")
async def test_one_key_50_times_at_once_and_with_another_body(
    engine: Engine, settings: Settings, trial: Trial, tmp_path: Path
) -> None:
    rounds = trial.rounds(4, 100)
    await engine.events.load_event(GALA, layout(rounds, 2), terms())
    table: Counter[str] = Counter()
    limits = httpx2.Limits(max_connections=50)
    async with (
        serving(settings, tmp_path) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=10) as http,
    ):
        for number in range(1, rounds + 1):
            headers = {**bearer(f"c{number}"), "idempotency-key": "the-key"}
            bodies = [{"seatId": f"gala:A-{number}-{seat}"} for seat in (1, 2)]
            asked = [http.post(BOOKING, headers=headers, json=bodies[0]) for _ in range(50)]
            answers = await asyncio.gather(*asked)
            assert {a.status_code for a in answers} == {201}
            assert len({a.content for a in answers}) == 1
            table["same body: 201, the same answer"] += len(answers)
            other = await http.post(BOOKING, headers=headers, json=bodies[1])
            assert (other.status_code, other.json()["code"]) == (422, "request_reused")
            table["another body: 422 request_reused"] += 1
    state = await state_of(engine)
    assert state.event.counts.held == rounds
    trial.tell(
        rounds, "one key 50 times at once, then with another body",
        "; ".join(f"{count:,} x {what}" for what, count in table.items())
        + f"; effects a key: {state.event.counts.held / rounds:g}",
    )  # fmt: skip
