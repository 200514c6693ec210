"""Sales over HTTP: a hold and then its confirmation, each a request of its own.

With `appendfsync always` a confirmation is on the disk before it is answered (DURABILITY=fsync);
with `everysec` it is not yet (DURABILITY=async).
"""

from msgspec.structs import replace

from bench.report.section import Chart, Figures, Options, Section
from bench.rig.houses import hold_bodies, stadium_seats
from bench.rig.sale import Sale
from bench.rig.turns import fire_in_turns

TURNS = {
    "bare": ("bare endpoint, requests", ""),
    "fsync": ("hold + confirm, durability fsync, pairs", "always"),
    "async": ("hold + confirm, durability async, pairs", "everysec"),
}


async def measure(options: Options) -> Section:
    """With one API process, then with two."""
    figures, conditions = await fire_in_turns(options, turns_of, _fire)
    ids = [
        f"pair/{turn}/{workers}" for workers in options.api_processes for turn in turns_of(workers)
    ]
    return Section(
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


async def _fire(sale: Sale, figures: Figures, options: Options, what: tuple[str, int]) -> None:
    turn, workers = what
    words, policy = TURNS[turn]
    event = await sale.open_stadium()
    volley = sale.volley(hold_bodies(event, stadium_seats()), options.seconds)
    series, says = f"pair/{turn}/{workers}", f"{words}, API processes: {workers}"
    if turn == "bare":
        shots = await sale.fire_all_good(sale.bare_url, replace(volley, counted=True))
        figures.add(series, says, "/s", shots.per_second)
        return
    await sale.set_policy(policy)
    shots = await sale.fire_all_good(sale.stand.url, replace(volley, pays=True))
    confirmed = shots.statuses.get(200, 0)
    state = await sale.judge(event)
    sale.expect(event, "confirmations", state.event.counts.sold, confirmed)
    figures.add(series, says, "/s", confirmed / shots.seconds)
    figures.add(f"{series}/p99", f"{says}, p99 of a request", "ms", shots.p99_ms)
