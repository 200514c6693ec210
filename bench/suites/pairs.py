"""Sales over HTTP: a hold and then its confirmation, each a request of its own.

With `appendfsync always` a confirmation is on the disk before it is answered (DURABILITY=fsync);
with `everysec` it is not yet (DURABILITY=async).
"""

from msgspec.structs import replace

from bench.report.section import BenchOptions, BenchSection, Chart, Figures
from bench.rig.houses import hold_bodies, stadium_seats
from bench.rig.sale import Sale, run_in_turns

TURNS = {
    "bare": ("bare endpoint, requests", ""),
    "fsync": ("hold + confirm, durability fsync, pairs", "always"),
    "async": ("hold + confirm, durability async, pairs", "everysec"),
}


async def measure(options: BenchOptions) -> BenchSection:
    """With one API process, then with two."""
    figures, conditions = await run_in_turns(options, turns_of, _run)
    ids = [
        f"pair/{turn}/{workers}" for workers in options.api_processes for turn in turns_of(workers)
    ]
    return BenchSection(
        id="pairs",
        title="Hold and confirm over HTTP",
        what="64 connections; each seat is held and then paid, by two requests.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[Chart(name="pairs", title="Hold and confirm", unit="a second", bars=ids)],
    )


def turns_of(workers: int) -> list[str]:
    """Two processes are measured with the default durability alone."""
    return list(TURNS)[: 3 if workers == 1 else 2]


async def _run(sale: Sale, figures: Figures, options: BenchOptions, what: tuple[str, int]) -> None:
    turn, workers = what
    words, policy = TURNS[turn]
    event = await sale.open_stadium()
    url = sale.bare_url if turn == "bare" else sale.stand.url
    load = sale.load(url, hold_bodies(event, stadium_seats()), options.seconds)
    series, says = f"pair/{turn}/{workers}", f"{words}, API processes: {workers}"
    if turn == "bare":
        result = await sale.run_all_good(replace(load, counted=True))
        figures.add(series, says, "/s", result.per_second)
        return
    await sale.set_policy(policy)
    result = await sale.run_all_good(replace(load, pays=True))
    confirmed = result.statuses.get(200, 0)
    state = await sale.judge(event)
    sale.expect(event, "confirmations", state.event.counts.sold, confirmed)
    figures.add(series, says, "/s", confirmed / result.seconds)
    figures.add(f"{series}/p99", f"{says}, p99 of a request", "ms", result.p99_ms)
