"""T22: clients go away at any ms of a call; no client gets another's answer, nothing leaks."""

import asyncio
import contextlib
import re
from pathlib import Path

import msgspec
import pytest

from engine import Engine, Settings, invariants
from tests.api.client import BOOKING, bearer
from tests.support.crowd import HttpDesk, seats_of, state_of
from tests.support.factories import GALA, layout, selection, terms
from tests.support.raw_redis import raw
from tests.support.serving import serving
from tests.support.trials import Trial
from tests.support.waiting import until

AT_ONCE = 50
GONE_MS_MAX = 15


async def _connections(engine: Engine) -> int:
    return len(await raw(engine).client_list())


@pytest.mark.trial("T22")
async def test_callers_that_are_cancelled_at_any_moment_mix_no_answers(
    engine: Engine, trial: Trial
) -> None:
    count = trial.rounds(1_000, 16_000)
    rows = count // 50
    await engine.events.load_event(GALA, layout(rows, 50), terms())
    seats = seats_of(rows, 50)
    mismatches = cancelled = 0
    await engine.ping()
    before = await _connections(engine)

    async def ask(seat: str) -> None:
        nonlocal mismatches, cancelled
        call = asyncio.create_task(engine.bookings.hold_seats(selection(f"c{seat}", seat)))
        if trial.random.random() < 0.5:
            await asyncio.sleep(trial.random.uniform(0, GONE_MS_MAX) / 1000)
            call.cancel()
        try:
            held = await call
            mismatches += held.seats != (f"gala:{seat}",) or held.customer_id != f"c{seat}"
        except asyncio.CancelledError:
            cancelled += 1

    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*(ask(seat) for seat in seats[start : start + AT_ONCE]))
    assert mismatches == 0
    assert cancelled
    assert invariants.check(await state_of(engine)) == []
    assert await _connections(engine) == before
    trial.tell(
        cancelled, "caller cancelled at a random ms of a call of the engine",
        f"{count - cancelled:,} others answered beside them: mismatches 0, connections {before} "
        "before and after",
    )  # fmt: skip


def _request(customer: str, seat: str) -> bytes:
    body = msgspec.json.encode({"seatId": f"gala:{seat}"})
    head = f"POST {BOOKING} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Authorization: {bearer(customer)['authorization']}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _hang_up(port: int, request: bytes, after_s: float) -> None:
    """Send a request, or a part of it, and go away."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await asyncio.sleep(after_s)
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@pytest.mark.trial("T22")
async def test_clients_that_hang_up_at_any_moment_leave_the_others_their_answers(
    engine: Engine, settings: Settings, trial: Trial, tmp_path: Path
) -> None:
    count = trial.rounds(200, 4_000)
    rows = count // 25
    await engine.events.load_event(GALA, layout(rows, 50), terms())
    seats = seats_of(rows, 50)
    async with serving(settings, tmp_path) as port:
        desk = HttpDesk(port)
        assert (await desk.hold("first", seats.pop())).outcome == "done"
        before = await _connections(engine)

        async def stay(seat: str) -> str:
            answer = await desk.hold(f"c{seat}", seat)
            kept = await engine.bookings.read_booking(answer.booking, None)  # type: ignore[arg-type]
            return f"{kept.customer_id} {kept.seats[0]}"

        async def leave(seat: str) -> None:
            request = _request(f"d{seat}", seat)
            part = request[: trial.random.choice((len(request), len(request), len(request) // 2))]
            await _hang_up(port, part, trial.random.uniform(0, GONE_MS_MAX) / 1000)

        for start in range(0, 2 * count - 60, 2 * AT_ONCE):
            some = seats[start : start + 2 * AT_ONCE]
            staying, leaving = some[::2], some[1::2]
            answers, _ = await asyncio.gather(
                asyncio.gather(*map(stay, staying)), asyncio.gather(*map(leave, leaving))
            )
            assert answers == [f"c{seat} gala:{seat}" for seat in staying]

        async def at_rest() -> bool:
            text = (await desk.http.get("/metrics")).text
            found = re.search(r"^http_requests_in_flight(?:{.*})? (\S+)$", text, re.MULTILINE)
            return found is not None and float(found[1]) <= 1

        await until(at_rest)
        assert await _connections(engine) == before
        await desk.http.aclose()
    assert invariants.check(await state_of(engine)) == []
    trial.tell(
        count, "client that hangs up at a random ms of a hold over HTTP, or half-way through it",
        f"{count:,} others beside them: mismatches 0, connections to Redis {before} before and "
        "after, none under way at the end",
    )  # fmt: skip
