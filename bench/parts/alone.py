"""The engine without HTTP: one process holds seats for 1, 32 and 128 callers at a time.

In a process of its own on uvloop, as an API process is; in turns with redis-benchmark of the same
script, 50 connections and 16 calls a pipeline, on the same Redis.
"""

import asyncio
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from tempfile import TemporaryDirectory

import uvloop
from msgspec import Struct

from bench.ceiling import Ceiling, Fire
from bench.conditions import read_conditions
from bench.houses import house, selection
from bench.section import Chart, Figures, Options, Section, in_turns
from engine import Engine
from engine.embedded import servers
from engine.ids import EventId
from engine.inspection import read_state
from engine.invariants import check
from engine.models import Terms
from engine.settings import Settings

CALLERS = (1, 32, 128)
CEILING_FIRE = Fire(50, 16)
HOUSE_SEATS = 200_000


class _Task(Struct, frozen=True):
    """What the other process is to do."""

    redis_url: str
    event: EventId
    first: int
    callers: int
    seconds: float


class _Done(Struct, frozen=True):
    count: int
    seconds: float


async def measure(options: Options) -> Section:
    """In turns, AOF always."""
    figures = Figures()
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        servers.start(folder, postgres=False) as running,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process,
    ):
        async with await Engine.connect(Settings(redis_url=running.redis_url)) as engine:
            conditions = await read_conditions(engine)
            ceiling = Ceiling(engine, running.redis_url, options.size(1_000_000, 100_000))
            await ceiling.open()
            for number in range(options.rounds):
                for turn in in_turns([0, *CALLERS], number):
                    if turn:
                        await _hold(engine, running.redis_url, process, (turn, options, figures))
                    else:
                        per_s = await ceiling.measure(CEILING_FIRE, options.size(30_000, 3_000))
                        says = f"redis-benchmark of the same script, {CEILING_FIRE.says}"
                        figures.add("engine/ceiling", says, "/s", per_s)
            figures.wrong += ceiling.wrong
    ids = ["engine/ceiling", *(f"engine/{callers}" for callers in CALLERS)]
    return Section(
        id="engine",
        title="The engine without HTTP",
        what="One process, one seat a hold with a request id; AOF always.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[Chart(name="engine", title="Holds without HTTP", unit="a second", bars=ids)],
    )


async def _hold(
    engine: Engine,
    redis_url: str,
    process: ProcessPoolExecutor,
    asked: tuple[int, Options, Figures],
) -> None:
    callers, options, figures = asked
    round_number = len(await engine.events.list_events())
    event = EventId(f"alone-{round_number}")
    await engine.events.load_event(event, house(HOUSE_SEATS), Terms(name="Bench"))
    task = _Task(redis_url, event, 0, callers, options.seconds)
    loop = asyncio.get_running_loop()
    done = await loop.run_in_executor(process, _hold_in_process, task)
    state = await read_state(engine, event)
    figures.wrong += [f"{event}: {found.kind} {found.subject}" for found in check(state)[:5]]
    if len(state.bookings) != done.count:
        figures.wrong.append(f"{event}: {done.count:,} holds answered, {len(state.bookings):,} are")
    says = f"engine without HTTP, callers: {callers}"
    figures.add(f"engine/{callers}", says, "/s", done.count / done.seconds)
    await engine.client.delete(*[k async for k in engine.client.scan_iter(f"{{{event}}}:*")])


def _hold_in_process(task: _Task) -> _Done:
    return uvloop.run(_hold_all(task))


async def _hold_all(task: _Task) -> _Done:
    async with await Engine.connect(Settings(redis_url=task.redis_url)) as engine:
        hold, count = engine.bookings.hold_seats, 0
        began_s = time.perf_counter()
        ends_s = began_s + task.seconds

        async def call(caller: int) -> None:
            nonlocal count
            for number in range(caller, HOUSE_SEATS, task.callers):
                if time.perf_counter() >= ends_s:
                    return
                await hold(selection(task.event, number), request_id=f"alone-{number}")
                count += 1

        await asyncio.gather(*(call(caller) for caller in range(task.callers)))
        return _Done(count, time.perf_counter() - began_s)
