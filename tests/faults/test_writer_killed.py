"""T10, T11, T12: a writer dies or sleeps between two of its lines; an entry cannot be written.

The control is a writer that acknowledges before it commits: killed between the two, it loses.
"""

import asyncio
import os
import signal
import time
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from engine import Engine, Settings
from engine.booking_json import json_of
from engine.models import Booking
from persistence.database import Pool
from persistence.journal.writer import TRIES_MAX, Writer
from persistence.reconcile.reconciler import reconcile
from tests.persistence.entries import booking
from tests.persistence.running import drained, running, sold_seats
from tests.support.crowd import seats_of
from tests.support.factories import GALA, layout, selection, terms
from tests.support.pausing import start_writer
from tests.support.trials import Trial
from tests.support.waiting import until

CLAIM_IDLE_MS = 50


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """A writer that claims what a dead one left soon, and fills its batches at once."""
    return msgspec.structs.replace(
        settings, writer_claim_idle_ms=CLAIM_IDLE_MS, writer_batch_wait_ms=1
    )


async def _sold(engine: Engine, seat: str) -> Booking:
    held = await engine.bookings.hold_seats(selection("ann", seat))
    return await engine.bookings.confirm_booking(held.id, None)


def _stands(pid: int) -> bool:
    """Whether SIGSTOP has stopped it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")


async def _written_once(engine: Engine, pool: Pool, sold: dict[str, str]) -> None:
    """Every entry one row, every sale its owner, nothing set aside."""
    assert await sold_seats(pool) == sold
    assert await pool.fetchval("SELECT count(*) FROM journal") == await engine.client.xlen(
        "{gala}:journal"
    )
    assert await engine.journal.dead_letters(GALA) == []
    assert (await reconcile(engine, pool, [GALA], lag_ms=0)).clean


@pytest.mark.trial("T10")
async def test_writer_killed_between_commit_and_acknowledgement_writes_once(
    engine: Engine, pool: Pool, quick: Settings, trial: Trial
) -> None:
    kills = trial.rounds(5, 200)
    quick = msgspec.structs.replace(quick, journal_keep_ms=3_600_000)  # all of it is compared
    await engine.events.load_event(GALA, layout(kills, 1), terms())
    await engine.journal.create_group(GALA)
    claimed_s: list[float] = []
    sold: dict[str, str] = {}
    for seat in seats_of(kills, 1):
        made = await _sold(engine, seat)
        sold[made.seats[0]] = made.id
        process = start_writer(quick, "writer:committed", signal.SIGKILL)
        await asyncio.to_thread(process.join)
        died_s = time.monotonic()
        assert process.exitcode == -signal.SIGKILL
        assert (await engine.journal.backlog(GALA)).entries > 0, "it had acknowledged nothing"
        assert await pool.fetchval("SELECT 1 FROM bookings WHERE booking_id = $1", made.id)
        async with running(Writer(engine, pool, quick)):
            await drained(engine)
        claimed_s.append(time.monotonic() - died_s)
    await _written_once(engine, pool, sold)
    late_s = sorted(claimed_s)[int(0.95 * len(claimed_s))]
    trial.tell(
        kills, "writer SIGKILLed between its commit and its acknowledgement",
        f"duplicates 0, lost 0; p95 until another has claimed, written and acknowledged "
        f"{late_s * 1000:.0f} ms (WRITER_CLAIM_IDLE_MS {CLAIM_IDLE_MS})",
    )  # fmt: skip


@pytest.mark.trial("T10")
async def test_writer_killed_with_cancellations_in_hand_lets_the_resales_wait_for_them(
    engine: Engine, pool: Pool, quick: Settings, trial: Trial
) -> None:
    kills, row = trial.rounds(2, 40), 50
    patient = msgspec.structs.replace(quick, writer_claim_idle_ms=500, journal_keep_ms=3_600_000)
    await engine.events.load_event(GALA, layout(kills, row), terms())
    sold, late_s = dict[str, str](), list[float]()
    for number in range(1, kills + 1):
        seats = [f"A-{number}-{seat}" for seat in range(1, row + 1)]
        async with running(Writer(engine, pool, patient)):
            first = [await _sold(engine, seat) for seat in seats]
            await drained(engine)
        for booking_ in first:
            await engine.bookings.cancel_booking(booking_.id, None)
        process = start_writer(patient, "writer:writing", signal.SIGKILL)
        await asyncio.to_thread(process.join)
        died_s = time.monotonic()
        sold |= {made.seats[0]: made.id for made in [await _sold(engine, seat) for seat in seats]}
        with capture_logs() as logs:
            async with running(Writer(engine, pool, patient)):
                await drained(engine)
        late_s.append(time.monotonic() - died_s)
        waited = [line["count"] for line in logs if line["event"] == "sales_out_of_order"]
        assert sum(waited) >= row, "the resales were read first"
    await _written_once(engine, pool, sold)
    trial.tell(
        kills, f"writer SIGKILLed with {row} cancellations in hand, their seats sold again",
        f"{len(sold):,} resales waited for the cancellations: set aside 0, lost 0; all written "
        f"at most {max(late_s):.1f} s after the kill "
        f"(WRITER_CLAIM_IDLE_MS {patient.writer_claim_idle_ms})",
    )  # fmt: skip


async def test_control_a_writer_that_acknowledges_first_loses_and_reconcile_says_so(
    engine: Engine, pool: Pool, quick: Settings
) -> None:
    await engine.events.load_event(GALA, layout(1, 1), terms())
    await engine.journal.create_group(GALA)
    await _sold(engine, "A-1-1")
    process = start_writer(quick, "writer:acknowledged", signal.SIGKILL, wrong=True)
    await asyncio.to_thread(process.join)
    async with running(Writer(engine, pool, quick)):
        await drained(engine)
    assert await sold_seats(pool) == {}
    assert not (await reconcile(engine, pool, [GALA], lag_ms=0)).clean


@pytest.mark.trial("T11")
@pytest.mark.parametrize("point", ["writer:read", "writer:committed"])
async def test_writer_stopped_past_its_lease_comes_too_late_and_harms_nothing(
    engine: Engine, pool: Pool, quick: Settings, trial: Trial, point: str
) -> None:
    rounds = trial.rounds(1, 25)
    await engine.events.load_event(GALA, layout(rounds, 1), terms())
    await engine.journal.create_group(GALA)
    sold: dict[str, str] = {}
    for seat in seats_of(rounds, 1):
        first = await _sold(engine, seat)
        process = start_writer(quick, point, signal.SIGSTOP)
        assert process.pid
        pid = process.pid

        async def stands(pid: int = pid) -> bool:
            return _stands(pid)

        await until(stands)
        async with running(Writer(engine, pool, quick)):
            await drained(engine)
            await engine.bookings.cancel_booking(first.id, None)
            second = await _sold(engine, seat)
            await drained(engine)
        os.kill(pid, signal.SIGCONT)
        await engine.bookings.cancel_booking(second.id, None)
        last = await _sold(engine, seat)
        await drained(engine)  # by the one that slept
        os.kill(pid, signal.SIGTERM)
        await asyncio.to_thread(process.join)
        sold[last.seats[0]] = last.id
    await _written_once(engine, pool, sold)
    trial.tell(
        rounds, f"writer stopped at {point} past its lease, its batch written by another",
        "its late commit moved nothing back: duplicates 0, each seat has its last owner",
    )  # fmt: skip


@pytest.mark.trial("T12")
async def test_entry_that_cannot_be_written_delays_the_others_little(
    engine: Engine, pool: Pool, quick: Settings, redis: Redis, trial: Trial
) -> None:
    poisons = trial.rounds(2, 40)
    await engine.events.load_event(GALA, layout(2 * poisons, 10), terms())
    sold: dict[str, str] = {}
    took_s: dict[str, float] = {}
    async with running(Writer(engine, pool, quick)):
        for kind in ("without", "with"):
            began_s = time.monotonic()
            for number in range(poisons):
                if kind == "with":
                    of = booking(number + 1, "expired", 2, customer_id="nul \0 byte")
                    fields = {"kind": "planted", "at_ms": "1", "epoch": "1"}
                    fields |= {"booking_id": of.id.split(":")[1], "booking": json_of(of)}  # type: ignore[dict-item]
                    await redis.xadd("{gala}:journal", fields)  # type: ignore[arg-type]
                row = number + 1 + poisons * (kind == "with")
                for seat in range(1, 11):
                    made = await _sold(engine, f"A-{row}-{seat}")
                    sold[made.seats[0]] = made.id

            async def all_written() -> bool:
                return await sold_seats(pool) == sold

            await until(all_written)
            took_s[kind] = time.monotonic() - began_s
        await drained(engine)
    letters = await engine.journal.dead_letters(GALA)
    assert len(letters) == poisons
    delay_ms = (took_s["with"] - took_s["without"]) * 1000 / poisons
    trial.tell(
        poisons, "an entry that Postgres refuses, among 20 that it takes",
        f"set aside after {TRIES_MAX} tries, {len(letters)} of {poisons}; all others "
        f"written, each refused entry delayed them {max(0.0, delay_ms):.0f} ms",
    )  # fmt: skip
