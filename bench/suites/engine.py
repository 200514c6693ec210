"""The engine without HTTP: one process holds seats for 1, 32 and 128 callers at a time.

In turns with redis-benchmark of the same script, 50 connections and 16 calls a pipeline, on the
same Redis.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from tempfile import TemporaryDirectory

from bench.load.callers import Calls, holds_per_s
from bench.report.conditions import read_conditions
from bench.report.section import BenchOptions, BenchSection, Chart, Figures, in_turns
from bench.rig.ceiling import Ceiling, CeilingLoad
from embedded import servers
from engine import Engine
from engine.settings.settings import Settings

CALLERS = (1, 32, 128)
CEILING_FIRE = CeilingLoad(50, 16)


async def measure(options: BenchOptions) -> BenchSection:
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
                        calls = Calls(
                            redis_url=running.redis_url, callers=turn, seconds=options.seconds
                        )
                        per_s = await holds_per_s(engine, process, calls, figures.wrong)
                        says = f"engine without HTTP, callers: {turn}"
                        figures.add(f"engine/{turn}", says, "/s", per_s)
                    else:
                        per_s = await ceiling.measure(CEILING_FIRE, options.size(30_000, 3_000))
                        says = f"redis-benchmark of the same script, {CEILING_FIRE.says}"
                        figures.add("engine/ceiling", says, "/s", per_s)
            figures.wrong += ceiling.wrong
    ids = ["engine/ceiling", *(f"engine/{callers}" for callers in CALLERS)]
    return BenchSection(
        id="engine",
        title="The engine without HTTP",
        what="One process, one seat a hold with a request id; AOF always.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[Chart(name="engine", title="Holds without HTTP", unit="a second", bars=ids)],
    )
