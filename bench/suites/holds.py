"""Holds over HTTP, on a stadium of free seats, against the bare endpoint.

Every run of the load has a fresh stadium of 50,000 free seats, and every request its own seat, so
no refusal counts as a hold.
"""

from bench.report.section import BenchOptions, BenchSection, Chart, Figures
from bench.rig.houses import hold_bodies, stadium_seats
from bench.rig.sale import Sale, run_in_turns

TURNS = {
    "bare": "bare endpoint",
    "always": "hold, AOF always",
    "everysec": "hold, AOF everysec",
}


async def measure(options: BenchOptions) -> BenchSection:
    """With one API process, then with two."""
    figures, conditions = await run_in_turns(options, turns_of, _run)
    ids = [
        f"hold/{turn}/{workers}" for workers in options.api_processes for turn in turns_of(workers)
    ]
    return BenchSection(
        id="holds",
        title="Holds over HTTP",
        what="64 connections that stay open, one free seat a request, 50,000 free seats a run.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[Chart(name="holds", title="Holds over HTTP", unit="a second", bars=ids)],
    )


def turns_of(workers: int) -> list[str]:
    """Two processes are measured with the default policy alone."""
    return list(TURNS)[: 3 if workers == 1 else 2]


async def _run(sale: Sale, figures: Figures, options: BenchOptions, what: tuple[str, int]) -> None:
    turn, workers = what
    if turn != "bare":
        await sale.set_policy(turn)
    event = await sale.open_stadium()
    url = sale.bare_url if turn == "bare" else sale.stand.url
    load = sale.load(url, hold_bodies(event, stadium_seats()), options.seconds)
    result = await sale.run_all_good(load)
    if turn != "bare":
        state = await sale.judge(event)
        sale.expect(event, "holds", len(state.bookings), result.answer_count)
    series, says = f"hold/{turn}/{workers}", f"{TURNS[turn]}, {_of(workers)}"
    figures.add(series, says, "/s", result.per_second)
    figures.add(f"{series}/p50", f"{says}, p50", "ms", result.p50_ms)
    figures.add(f"{series}/p99", f"{says}, p99", "ms", result.p99_ms)
    figures.add(
        f"{series}/load", f"{says}: the load's share of a core", "share",
        result.cpu_s / result.seconds,
    )  # fmt: skip


def _of(workers: int) -> str:
    return f"{workers} API process{'es' if workers > 1 else ''}"
