"""What some of the engine's choices are worth: each taken out, and measured beside it as it is.

In turns, and as ratios of one round: the own wire to redis-py, eight calls that do not wait for the
end of their tick to one write a tick, and the allocator that the embedded Valkey is lent to the one
it came with. The documents name these figures and no others of the kind.
"""

import multiprocessing
import statistics
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from bench.load.callers import Calls, holds_per_s
from bench.report.conditions import read_conditions
from bench.report.section import BenchOptions, BenchSection, Chart, Figures, in_turns
from bench.rig.houses import house, selection
from bench.rig.raw_redis import raw
from bench.rig.server_time import per_hold_us
from embedded import servers
from embedded.valkey import Valkey
from engine import Engine, scripts
from engine.ids import EventId
from engine.models import Terms
from engine.settings.settings import Settings

CALLERS = 128
WAYS = {
    "wire": "our wire",
    "tick": "our wire, one write a tick (AT_ONCE off)",
    "pipelines": "redis-py, the calls of a tick in a pipeline",
    "pool": "redis-py's pool, a connection a call",
}
HOLDS, TURNS = 128, 15
"""Of one turn, all at once; turns of each Valkey in a round."""
ROUNDS_MAX = 20
EVENT = EventId("allocator")
TERMS = Terms(name="Allocator", hold_ttl_ms=86_400_000)


async def measure(options: BenchOptions) -> BenchSection:
    """AOF always, no HTTP."""
    figures, notes = Figures(), list[str]()
    conditions = await _measure_ways(figures, options)
    async with _valkeys() as valkeys:
        if len(valkeys) < 2:
            notes.append("No allocator is lent here: the wheel is missing, or it is not Linux.")
        for number in range(min(options.rounds, ROUNDS_MAX) if len(valkeys) > 1 else 0):
            await _time_allocators(figures, valkeys, number)
    return BenchSection(
        id="ablations",
        title="What some choices are worth",
        what=f"Each choice beside its alternative: {CALLERS} callers in one process; AOF always.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[
            Chart(
                name="ablations", title="Holds without HTTP, by the way to Redis",
                unit="a second", bars=[f"ablation/{way}" for way in WAYS],
            )
        ],
        notes=notes,
    )  # fmt: skip


async def _measure_ways(figures: Figures, options: BenchOptions) -> dict[str, str]:
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        servers.start(folder, postgres=False) as running,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process,
    ):
        async with await Engine.connect(Settings(redis_url=running.redis_url)) as engine:
            for number in range(options.rounds):
                for way in in_turns(list(WAYS), number):
                    calls = Calls(
                        redis_url=running.redis_url, callers=CALLERS,
                        seconds=options.seconds, way=way,
                    )  # fmt: skip
                    per_s = await holds_per_s(engine, process, calls, figures.wrong)
                    figures.add(f"ablation/{way}", f"holds by {WAYS[way]}", "/s", per_s)
                _add_ratio(figures, "wire", "tick", "eight calls at once, to one write a tick")
                _add_ratio(figures, "wire", "pipelines", "our wire, to pipelines of redis-py")
                _add_ratio(figures, "wire", "pool", "our wire, to redis-py's pool")
            return await read_conditions(engine)


class _AsItCame(Valkey):
    """With the allocator of its binary."""

    def environ(self) -> dict[str, str]:
        return {}


class _House(Struct):
    """One Valkey and the house in it, of which `held` seats are taken."""

    name: str
    engine: Engine
    held: int = 0


@asynccontextmanager
async def _valkeys() -> AsyncIterator[list[_House]]:
    """Both side by side, each with a house; only the one that came where none is lent."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        houses = []
        for name, kind in (("lent", Valkey), ("as_it_came", _AsItCame)):
            valkey = kind(folder / name)
            if name == "lent" and not valkey.environ():
                continue
            valkey.start()
            stack.callback(valkey.stop)
            settings = Settings(redis_url=valkey.url)
            engine = await stack.enter_async_context(await Engine.connect(settings))
            await raw(engine).script_load(scripts.load("hold_seats").text)
            await engine.events.load_event(EVENT, house(HOLDS * TURNS * ROUNDS_MAX), TERMS)
            houses.append(_House(name, engine))
        yield houses


async def _time_allocators(figures: Figures, houses: Sequence[_House], number: int) -> None:
    """Several short turns of each rather than one long: what disturbs one does not decide."""
    found: dict[str, list[float]] = {place.name: [] for place in houses}
    for turn in range(TURNS):
        for place in in_turns(houses, number * TURNS + turn):
            wanted = [selection(EVENT, place.held + n) for n in range(HOLDS)]
            place.held += HOLDS
            found[place.name].append(await per_hold_us(place.engine, wanted, figures.wrong))
    says = "Redis' time for a hold, the embedded Valkey"
    for name, words in (("lent", "with mimalloc"), ("as_it_came", "as it came")):
        figures.add(f"ablation/{name}", f"{says} {words}", "us", statistics.median(found[name]))
    _add_ratio(figures, "lent", "as_it_came", f"{says}: with mimalloc, to as it came")


def _add_ratio(figures: Figures, of: str, to: str, says: str) -> None:
    quotient = figures.rate_of(f"ablation/{of}") / figures.rate_of(f"ablation/{to}")
    figures.add(f"ablation/{of}_to_{to}", says, "ratio", quotient)
