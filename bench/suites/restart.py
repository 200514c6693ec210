"""How soon a killed Valkey serves again after a long day, beside loading the same data alone.

A day of holds and releases grows the append-only file until the next rewrite is near, which is the
worst moment. Then SIGKILL, and a start that replays the file. The same data freshly rewritten, then
SIGKILL and a start again: that is the load of the data set.
"""

import asyncio
import os
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.report.conditions import read_conditions
from bench.report.section import BenchOptions, BenchSection, Figures
from bench.rig.houses import house, selection
from bench.rig.polling import is_rewritten, until_rewritten
from bench.rig.raw_redis import raw
from embedded.valkey import Valkey
from engine import Engine, keys
from engine.event_state import read_state
from engine.ids import EventId
from engine.invariants import check
from engine.models import Terms
from engine.settings.settings import Settings

EVENT = EventId("day")
TERMS = Terms(name="Day", seats_max=50, ended_ttl_ms=1000)
SOLD = (2_000, 50_000, 200_000)
FREE, SALE_SEATS, AT_ONCE = 128, 50, 32
"""Seats that the day holds and releases; seats of a sale; sales at once."""
DAY_BYTES = 100_000_000
"""What a day writes at least, so that the file was rewritten before."""
NEAR = 0.95
"""Of the size at which Valkey rewrites the file."""


async def measure(options: BenchOptions) -> BenchSection:
    """Each size on a Valkey of its own, as `engine up` starts it."""
    figures = Figures()
    for sold in SOLD[: 1 if options.quick else None]:
        with TemporaryDirectory(prefix="bench-") as folder:
            valkey = Valkey(Path(folder) / "valkey")
            valkey.start()
            try:
                async with await _connect(valkey) as engine:
                    conditions = await read_conditions(engine)
                    await _sell(engine, sold)
                for _ in range(min(options.rounds, 3)):
                    await _measure_round(figures, valkey, sold, options.size(DAY_BYTES, 1))
            finally:
                valkey.stop()
    return BenchSection(
        id="restart",
        title="Restart after a long day",
        what="SIGKILL of the embedded Valkey shortly before it would rewrite its file; AOF always.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
    )


async def _measure_round(figures: Figures, valkey: Valkey, sold: int, day_bytes: int) -> None:
    says = f"{sold:,} seats sold"
    async with await _connect(valkey) as engine:
        grown_bytes, base_bytes = await _day(engine, day_bytes)
    grown_s = _restart(valkey)
    async with await _connect(valkey) as engine:
        wrong = check(await read_state(engine, EVENT))
        figures.wrong += [f"{found.kind} {found.subject}" for found in wrong[:5]]
        await raw(engine).bgrewriteaof()
        await until_rewritten(engine)
    loaded_s = _restart(valkey)
    figures.add(f"restart/base/{sold}", f"{says}: file of the data", "bytes", base_bytes)
    figures.add(f"restart/file/{sold}", f"{says}: file when it is killed", "bytes", grown_bytes)
    figures.add(f"restart/loaded/{sold}", f"{says}: ready with the data alone", "s", loaded_s)
    figures.add(f"restart/grown/{sold}", f"{says}: ready after the day", "s", grown_s)
    beyond = f"{says}: beyond loading the data"
    figures.add(f"restart/beyond/{sold}", beyond, "s", max(grown_s - loaded_s, 0))


async def _connect(valkey: Valkey) -> Engine:
    return await Engine.connect(Settings(redis_url=valkey.url))


async def _sell(engine: Engine, sold: int) -> None:
    await engine.events.load_event(EVENT, house(FREE + sold), TERMS)
    firsts = range(FREE, FREE + sold, SALE_SEATS)
    for start in range(0, len(firsts), AT_ONCE):
        wanted = (selection(EVENT, first, SALE_SEATS) for first in firsts[start : start + AT_ONCE])
        held = await asyncio.gather(*map(engine.bookings.hold_seats, wanted))
        await asyncio.gather(*(engine.bookings.confirm_booking(b.id, None) for b in held))


async def _day(engine: Engine, least_bytes: int) -> tuple[int, int]:
    """Hold and release until so much is written and a rewrite is near.

    Returns the sizes of the file and of its base. The journal is trimmed, as the writer does.
    """
    settings = await engine.client.config_get("auto-aof-rewrite-*")
    growth = 1 + int(settings["auto-aof-rewrite-percentage"]) / 100
    least_file = int(settings["auto-aof-rewrite-min-size"])
    written = last = 0
    while True:
        wanted = (selection(EVENT, n, customer=f"customer-{n}") for n in range(FREE))
        held = await asyncio.gather(*map(engine.bookings.hold_seats, wanted))
        await asyncio.gather(*(engine.bookings.release_booking(b.id, None) for b in held))
        await raw(engine).xtrim(keys.of_event(EVENT).journal, maxlen=1000)
        info = await engine.client.info("persistence")
        file, base = info["aof_current_size"], info["aof_base_size"]
        written, last = written + max(file - last, 0), file
        near = file >= NEAR * max(least_file, base * growth)
        if written >= least_bytes and near and await is_rewritten(engine):
            return file, base


def _restart(valkey: Valkey) -> float:
    """Kill it; the seconds until it serves again."""
    os.kill(valkey.pid, signal.SIGKILL)
    while valkey.is_running():
        time.sleep(0.01)
    began_s = time.monotonic()
    valkey.start()
    return time.monotonic() - began_s
