"""Redis' own time for a hold: neither Python, nor the network, nor the disk is in it.

Microseconds a call from `INFO commandstats`, around a batch of holds that go out together. CPU of
the main thread has parsing and reply in it too, and hardly depends on what else the machine does.
"""

import asyncio
from collections.abc import Awaitable, Sequence

from bench.rig.raw_redis import raw
from engine import Engine
from engine.models import Selection


async def per_hold_us(engine: Engine, wanted: Sequence[Selection], wrong: list[str]) -> float:
    """Hold all of these at once; the server's time for one. What is wrong is added to `wrong`."""
    await raw(engine).config_resetstat()
    await asyncio.gather(*map(engine.bookings.hold_seats, wanted))
    stats = (await engine.client.info("commandstats"))["cmdstat_evalsha"]
    if stats["calls"] != len(wanted):
        event = wanted[0].event_id
        wrong.append(f"{event}: {stats['calls']:,} scripts ran, not {len(wanted):,}")
    return float(stats["usec_per_call"])


async def main_thread_us(engine: Engine, calls: Awaitable[object]) -> float:
    """The CPU of the server's main thread while these calls run, that of one `INFO` included."""
    before_us = await _main_thread_us(engine)
    await calls
    return await _main_thread_us(engine) - before_us


async def _main_thread_us(engine: Engine) -> float:
    cpu = await engine.client.info("cpu")
    return 1e6 * float(cpu["used_cpu_user_main_thread"] + cpu["used_cpu_sys_main_thread"])
