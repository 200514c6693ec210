"""T26: Redis does nothing for some seconds; calls end by their deadline, and it goes on at once."""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from engine import Engine, Settings
from tests.support.crowd import Asked, Crowd, HttpDesk, aftermath, seats_of
from tests.support.factories import GALA, layout, terms
from tests.support.own_valkey import OwnValkey
from tests.support.serving import serving
from tests.support.trials import Trial
from tests.support.waiting import until

TIMEOUT_MS = 500
WAITING_MAX = 64
AT_ONCE = 100
SLICE_S = 0.25


def _away(crowd: Crowd) -> list[Asked]:
    """The calls that were told that Redis does nothing."""
    return [asked for asked in crowd.asked if asked.answer.outcome in ("away", "unknown")]


def _goodput(crowd: Crowd, began_s: float, ended_s: float) -> float:
    """Calls done a second."""
    done = [a for a in crowd.asked if a.answer.outcome != "away" and a.answer.outcome != "unknown"]
    return sum(began_s <= a.began_s + a.took_s < ended_s for a in done) / (ended_s - began_s)


def _recovered_s(crowd: Crowd, back_s: float, wanted: float) -> float:
    """Seconds until a quarter of a second had the goodput of before, or 0.8 of it."""
    for number in range(round((time.monotonic() - back_s) / 0.05)):
        start_s = back_s + number * 0.05
        if _goodput(crowd, start_s, start_s + SLICE_S) >= 0.8 * wanted:
            return number * 0.05 + SLICE_S
    return float("inf")


@pytest.mark.trial("T26")
async def test_redis_paused_is_503_by_the_deadline_and_no_stampede(
    own: OwnValkey, own_settings: Settings, own_engine: Engine, trial: Trial, tmp_path: Path
) -> None:
    pauses, pause_s = trial.rounds(1, 5), trial.seconds(1.0, 3.0)
    rows = trial.rounds(24, 700)
    await own_engine.events.load_event(GALA, layout(rows, 50), terms())
    over = msgspec.structs.replace(own_settings, redis_timeout_ms=TIMEOUT_MS)
    recovered, first_pause_s = [], 0.0
    async with serving(over, tmp_path, CALLS_WAITING_MAX=str(WAITING_MAX)) as port:
        desk = HttpDesk(port)
        crowd = Crowd(desk, seats_of(rows, 50), trial.random)
        crowd.pause_s = 0.1
        began_s = time.monotonic()
        crowd.begin(AT_ONCE)
        for _ in range(pauses):
            warm_s = time.monotonic()
            await asyncio.sleep(1.0)
            warmed_s = time.monotonic()
            before = _goodput(crowd, warm_s + 0.4, warmed_s)

            async def is_usual(since_s: float = warmed_s, wanted: float = before) -> bool:
                return _recovered_s(crowd, since_s, wanted) < float("inf")

            await until(is_usual)  # the control: Redis was never away
            usual_s = _recovered_s(crowd, warmed_s, before)
            paused_s = time.monotonic()
            first_pause_s = first_pause_s or paused_s
            with own.paused():
                await asyncio.sleep(pause_s)

                async def waiting_were_told(since_s: float = paused_s) -> bool:
                    told = [a for a in _away(crowd) if a.began_s + a.took_s >= since_s]
                    return sum(a.answer.code != "overloaded" for a in told) >= WAITING_MAX

                await until(waiting_were_told)  # while Redis still does nothing
            back_s = time.monotonic()

            async def is_back(since_s: float = back_s, wanted: float = before) -> bool:
                return _recovered_s(crowd, since_s, wanted) < float("inf")

            await until(is_back)
            recovered.append(_recovered_s(crowd, back_s, before) - (usual_s - SLICE_S))
        await crowd.end()
        await desk.http.aclose()
    assert await aftermath(own_engine, crowd) == []
    away = _away(crowd)
    assert {a.answer.code for a in away} <= {"unavailable", "overloaded", "outcome_unknown"}
    longest_ms = max(a.took_s for a in crowd.asked) * 1000
    slow_ms = max(a.took_s for a in crowd.asked if a.began_s + a.took_s < first_pause_s) * 1000
    assert longest_ms < 3 * TIMEOUT_MS + 500 + slow_ms, "as slow as the machine without a pause"
    assert max(recovered) <= 2.0, "longer than the machine takes without a pause"
    shed = crowd.codes["overloaded"]
    trial.tell(
        pauses, f"Redis stopped for {pause_s:g} s under {AT_ONCE} customers",
        f"{len(away):,} calls 503, {shed:,} of them shed at {WAITING_MAX} waiting; longest answer "
        f"{longest_ms:.0f} ms (REDIS_TIMEOUT_MS {TIMEOUT_MS}); goodput back at 0.8 within at most "
        f"{max(recovered):.2f} s; "
        f"{(time.monotonic() - began_s):.0f} s in all, lost 0, double 0",
    )  # fmt: skip
