"""Holds without HTTP: one process calls the engine for so many callers at a time.

On uvloop, as an API process is, and apart from what asks for it, which would share its loop. The
calls go over the engine's own wire, or another way that could have been chosen: the same scripts
with the same arguments, so that what differs is the way alone.
"""

import asyncio
import secrets
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import uvloop
from msgspec import Struct
from msgspec.structs import replace

from bench.baselines.redis_py import REDIS_PY
from bench.rig.houses import house, selection
from bench.rig.raw_redis import raw
from engine import Engine, scripts
from engine.event_state import read_state
from engine.ids import EventId
from engine.invariants import check
from engine.models import Terms
from engine.settings.settings import Settings
from engine.transport import batcher, connection

HOUSE_SEATS = 200_000
_AT_ONCE = batcher.AT_ONCE


class Calls(Struct, frozen=True, kw_only=True):
    """What the process is to do.

    `way`: `wire`; `tick`, the same with one write a tick; `pool` or `pipelines` of redis-py.
    """

    redis_url: str
    callers: int
    seconds: float
    way: str = "wire"
    event: EventId = EventId("")


class _Done(Struct, frozen=True):
    count: int
    seconds: float


async def holds_per_s(
    engine: Engine, process: ProcessPoolExecutor, calls: Calls, wrong: list[str]
) -> float:
    """Hold in a house of its own, then judge it; what is wrong is added to `wrong`."""
    event = EventId(f"callers-{secrets.token_hex(4)}")
    await engine.events.load_event(event, house(HOUSE_SEATS), Terms(name="Bench"))
    asked = replace(calls, event=event)
    done = await asyncio.get_running_loop().run_in_executor(process, _hold_in_process, asked)
    state = await read_state(engine, event)
    wrong += [f"{event}: {found.kind} {found.subject}" for found in check(state)[:5]]
    if len(state.bookings) != done.count:
        wrong.append(f"{event}: {done.count:,} holds answered, {len(state.bookings):,} are")
    await raw(engine).delete(*[k async for k in raw(engine).scan_iter(f"{{{event}}}:*")])
    return done.count / done.seconds


def _hold_in_process(calls: Calls) -> _Done:
    return uvloop.run(_hold_all(calls))


async def _hold_all(calls: Calls) -> _Done:
    async with await _connect(calls) as engine:
        await raw(engine).script_load(scripts.load("hold_seats").text)
        hold, count = engine.bookings.hold_seats, 0
        began_s = time.perf_counter()
        ends_s = began_s + calls.seconds

        async def call(caller: int) -> None:
            nonlocal count
            for number in range(caller, HOUSE_SEATS, calls.callers):
                if time.perf_counter() >= ends_s:
                    return
                await hold(selection(calls.event, number), request_id=f"callers-{number}")
                count += 1

        await asyncio.gather(*(call(caller) for caller in range(calls.callers)))
        return _Done(count, time.perf_counter() - began_s)


async def _connect(calls: Calls) -> Engine:
    settings = Settings(redis_url=calls.redis_url)
    if calls.way in REDIS_PY:
        return Engine(connection.client_of(settings), REDIS_PY[calls.way](calls.redis_url))
    batcher.AT_ONCE = sys.maxsize if calls.way == "tick" else _AT_ONCE
    return await Engine.connect(settings)
