"""T30, the other half: a sale that goes on without a fault needs no more memory.

Parts that are killed every few seconds cannot show a leak. Here they live as long as the trial, and
what they hold is told by the call, so that a leak of a few bytes a call is seen in minutes.
"""

import asyncio
import time
from pathlib import Path
from statistics import linear_regression

import msgspec
import pytest

from engine import Engine, Settings
from persistence.database import Pool
from tests.support.crowd import Crowd, aftermath, state_of
from tests.support.factories import terms
from tests.support.own_valkey import OwnValkey
from tests.support.parts import Parts, ongoing_sale
from tests.support.trials import Trial
from tests.support.waiting import until

TERMS = terms(hold_ttl_ms=2_000, ended_ttl_ms=2_000)
LEAK_BYTES = 20
"""A part may grow by so much a call: what settles in an allocator, not an object each."""
KEPT_BYTES = 100
"""And Redis by so much a hold: what has ended is forgotten, with its request, after ENDED_TTL."""

Look = dict[str, int]
"""What each part holds, `calls`, and `redis`, all at one moment."""


def growth_bytes(looks: list[Look]) -> dict[str, float]:
    """Bytes a call by which each grew, by regression; the first third is for settling."""
    settled = looks[len(looks) // 3 :]
    calls = [look["calls"] for look in settled]
    names = [name for name in looks[0] if name != "calls"]
    return {n: linear_regression(calls, [look[n] for look in settled]).slope for n in names}


@pytest.mark.parametrize(("leaks", "seen"), [(0, False), (100, True)])
def test_control_a_leak_of_100_bytes_a_call_is_seen(leaks: int, seen: bool) -> None:
    settling = [80_000_000, 95_000_000, 99_000_000]
    held = settling + [100_000_000 + 70_000 * (n % 3) for n in range(27)]
    looks = [{"calls": 4000 * n, "serve": h + leaks * 4000 * n} for n, h in enumerate(held)]
    assert (growth_bytes(looks)["serve"] > LEAK_BYTES) is seen


async def _look(engine: Engine, parts: Parts, crowd: Crowd) -> Look:
    memory = await engine.client.info("memory")
    return parts.resident_bytes() | {"redis": memory["used_memory"], "calls": len(crowd.asked)}


@pytest.mark.trial("T30")
async def test_a_sale_that_goes_on_needs_no_more_memory(
    own: OwnValkey, own_settings: Settings, pool: Pool, database_url: str, trial: Trial,
    tmp_path: Path,
) -> None:  # fmt: skip
    sale_s, looks = trial.seconds(4.0, 600.0), list[Look]()
    over = {"database_url": database_url, "journal_keep_ms": 5_000}
    settings = msgspec.structs.replace(own_settings, **over)
    async with ongoing_sale(own, settings, trial, tmp_path, TERMS) as (engine, parts, crowd):

        async def nothing_held() -> bool:
            return (await state_of(engine)).event.counts.held == 0

        end_s = time.monotonic() + sale_s
        while time.monotonic() < end_s:
            await asyncio.sleep(sale_s / 60)
            looks.append(await _look(engine, parts, crowd))
        await crowd.end()
        await until(nothing_held)
        await parts.stop()
        assert await aftermath(engine, crowd) == []
    holds = sum(asked.what == "hold" and asked.answer.outcome == "done" for asked in crowd.asked)
    grown = growth_bytes(looks)
    kept = grown.pop("redis") * len(crowd.asked) / holds
    if trial.long:  # in a few seconds everything is still settling
        assert {name: size for name, size in grown.items() if size > LEAK_BYTES} == {}
        assert kept < KEPT_BYTES
    held = ", ".join(
        f"{name} {looks[-1][name] / 2**20:.0f} MiB, {size:+.1f} B a call"
        for name, size in grown.items()
    )
    trial.tell(
        len(crowd.asked), f"call in {sale_s:g} s of a sale that goes on, no faults",
        f"{held}; Redis {kept:+.0f} B a hold",
    )  # fmt: skip
