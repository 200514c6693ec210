"""T23: the way to Redis is late, torn, half-open or reset; every call ends by its deadline."""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from engine import Engine, Settings
from tests.support.crowd import Crowd, EngineDesk, aftermath, seats_of
from tests.support.factories import GALA, layout, terms
from tests.support.proxy import Proxy
from tests.support.trials import Trial

TIMEOUT_MS = 500
DEADLINE_MS = TIMEOUT_MS * 2.25 + 250
"""A call may wait for a connection and then for its answer, a quarter late; and for the machine."""


async def _reset(proxy: Proxy, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        proxy.reset_connections()
        await asyncio.sleep(proxy.random.uniform(0.01, 0.1))


@pytest.mark.trial("T23")
@pytest.mark.parametrize("fault", ["5-200 ms late", "torn into bytes", "half-open", "reset"])
async def test_calls_over_a_bad_network_end_by_their_deadline(
    engine: Engine, settings: Settings, redis_url: str, trial: Trial, fault: str, tmp_path: Path
) -> None:
    seconds = trial.seconds(0.8, 10.0)
    rows = trial.rounds(100, 600)
    await engine.events.load_event(GALA, layout(rows, 50), terms())
    async with Proxy(redis_url, tmp_path) as proxy:
        proxy.random = trial.random
        over = msgspec.structs.replace(settings, redis_url=proxy.url, redis_timeout_ms=TIMEOUT_MS)
        async with await Engine.connect(over) as far:
            await far.ping()
            crowd = Crowd(EngineDesk(far), seats_of(rows, 50), trial.random)
            began_s = time.monotonic()
            crowd.begin(8)
            proxy.delay_s = (0.005, 0.2) if "late" in fault else (0, 0)
            proxy.split = "torn" in fault
            if fault == "half-open":
                proxy.stall()
            if fault == "reset":
                await _reset(proxy, seconds)
            else:
                await asyncio.sleep(seconds)
            back_s = time.monotonic()
            proxy.delay_s, proxy.split = (0, 0), False
            proxy.flow()
            during_ms = sorted(a.took_s * 1000 for a in crowd.asked if a.began_s < back_s)
            await asyncio.sleep(0.2)
            await crowd.end()
    assert await aftermath(engine, crowd) == []
    worst_ms = crowd.took_ms(1.0, began_s)
    assert worst_ms <= DEADLINE_MS
    recovery_s = crowd.first_done_after(back_s)
    assert recovery_s < 1.0
    outcomes = {o: sum(a.answer.outcome == o for a in crowd.asked) for o in ("unknown", "away")}
    p99_ms = during_ms[int(0.99 * len(during_ms))] if during_ms else 0
    trial.tell(
        len(crowd.asked), f"call while the way to Redis is {fault} ({seconds:g} s)",
        f"p99 {p99_ms:.0f} ms, longest {worst_ms:.0f} ms (REDIS_TIMEOUT_MS {TIMEOUT_MS}); unknown "
        f"{outcomes['unknown']}, not tried {outcomes['away']}; first call done "
        f"{recovery_s * 1000:.0f} ms after it was well",
    )  # fmt: skip
