"""A fight for 50 seats: 64 connections at once ask for the same fifty, again and again.

Fifty are served and all others refused: what most people at an on-sale get. Answers are counted by
status, at the bare endpoint too, so that both pay the load generator the same.
"""

from msgspec.structs import replace

from bench.report.section import BenchOptions, BenchSection, Chart, Figures
from bench.rig.houses import hold_bodies, stadium_seats
from bench.rig.sale import Sale, run_in_turns

SEATS = 50
TURNS = {"bare": "bare endpoint", "engine": "answers in a fight for 50 seats"}


async def measure(options: BenchOptions) -> BenchSection:
    """With one API process, then with two."""
    figures, conditions = await run_in_turns(options, lambda _: list(TURNS), _run)
    ids = [f"fight/{turn}/{workers}" for workers in options.api_processes for turn in TURNS]
    return BenchSection(
        id="fights",
        title="A fight for 50 seats",
        what="64 connections ask for the same 50 seats of a stadium; AOF always.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[Chart(name="fights", title="A fight for 50 seats", unit="a second", bars=ids)],
    )


async def _run(sale: Sale, figures: Figures, options: BenchOptions, what: tuple[str, int]) -> None:
    turn, workers = what
    event = await sale.open_stadium()
    bodies = hold_bodies(event, stadium_seats()[:SEATS])
    url = sale.bare_url if turn == "bare" else sale.stand.url
    load = sale.load(url, bodies, options.seconds)
    result = await sale.run(replace(load, counted=True))
    if turn == "engine":
        state = await sale.judge(event)
        if len(state.bookings) != SEATS or state.event.counts.held != SEATS:
            sale.wrong.append(f"{event}: {len(state.bookings)} bookings for {SEATS} seats")
        others = {s: n for s, n in result.statuses.items() if s not in (201, 409)}
        if others:
            sale.wrong.append(f"{event}: answers in a fight that are no yes and no no: {others}")
    series, says = f"fight/{turn}/{workers}", f"{TURNS[turn]}, API processes: {workers}"
    figures.add(series, says, "/s", result.answers_per_second)
    figures.add(f"{series}/p99", f"{says}, p99", "ms", result.p99_ms)
