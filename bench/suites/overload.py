"""Overload: goodput, latency and recovery of one API process that gets more than it can do.

Holds are offered at fixed rates, from half to three times what 64 connections get that wait for
their answers. Each rate has its own stadium, and connections that ignore Retry-After. Then 20,000
customers arrive within one second and retry when they are told to. The CPU cost of a hold and of a
rejection is measured separately: their ratio says how much capacity would remain at three times
the load without backpressure.
"""

from collections.abc import Sequence

from bench.load import open_loop, retry_after
from bench.load.connection import run_in_process
from bench.load.open_loop import OpenLoop, OpenLoopResult, Step
from bench.load.retry_after import RETRY_S, RetryAfter
from bench.report.section import BenchOptions, BenchSection, Chart, Figures
from bench.rig.houses import hold_bodies, stadium_seats
from bench.rig.sale import Sale, conditions_of, open_sale
from engine.ids import EventId

FACTORS = (0.5, 1, 1.5, 2, 3)
CONNECTIONS = 4000
NICENESS = 10
AFTERWARDS_S = 5.0
REFUSALS_PER_S = 10_000


async def measure(options: BenchOptions) -> BenchSection:
    """With one API process; the default durability."""
    figures = Figures()
    async with open_sale() as sale:
        conditions = await conditions_of(sale)
        conditions["load"] = (
            f"a Python process on uvloop, nice {NICENESS}, {CONNECTIONS:,} open connections"
        )
        for _ in range(options.rounds):
            capacity = await _capacity(sale, figures, options)
            for factor in FACTORS:
                await _overload(sale, figures, options, (factor, capacity))
            at = [f"overload/{factor:g}" for factor in FACTORS]
            best = max(figures.rate_of(name) for name in at)
            figures.add("overload/peak", "the best of them", "/s", best)
            await _open_doors(sale, figures, options.size(20_000, 500))
        figures.wrong += sale.wrong
    await _measure_refusals(figures, options)
    return BenchSection(
        id="overload",
        title="Overload",
        what=(
            f"Holds offered at a fixed rate, one API process. {CONNECTIONS:,} connections ignore "
            "Retry-After, so the API applies backpressure to them."
        ),
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[
            Chart(
                name="overload",
                title="Holds accepted within 5 s, against what is offered",
                unit="a second",
                xs=FACTORS,
                x_says="offered, in multiples of what 64 connections get",
                lines={
                    "accepted": [f"overload/{factor:g}" for factor in FACTORS],
                    "rejected": [f"overload/{factor:g}/refused" for factor in FACTORS],
                },
            )
        ],
    )


async def _capacity(sale: Sale, figures: Figures, options: BenchOptions) -> float:
    event = await sale.open_stadium()
    bodies = hold_bodies(event, stadium_seats())
    before_s = sale.stand.api_cpu_s()
    result = await sale.run_all_good(sale.load(sale.stand.url, bodies, options.seconds))
    cpu_us = (sale.stand.api_cpu_s() - before_s) * 1e6 / result.answer_count
    figures.add("overload/hold_cpu", "a hold, CPU of the API process", "us", cpu_us)
    says = "64 connections that wait for their answers"
    figures.add("overload/capacity", says, "/s", result.per_second)
    return result.per_second


async def _offer(sale: Sale, event: EventId, steps: Sequence[Step]) -> OpenLoopResult:
    load = OpenLoop(
        url=sale.stand.url,
        token=sale.token,
        bodies=hold_bodies(event, stadium_seats()),
        steps=steps,
        connections=CONNECTIONS,
        niceness=NICENESS,
    )
    return await run_in_process(open_loop.run, load)


async def _overload(
    sale: Sale, figures: Figures, options: BenchOptions, offered: tuple[float, float]
) -> None:
    factor, capacity = offered
    event, seconds = await sale.open_stadium(), options.seconds
    steps = [Step(factor * capacity, seconds), Step(capacity / 2, AFTERWARDS_S)]
    result = await _offer(sale, event, steps)
    await _judge(sale, event, result)
    name, says = f"overload/{factor:g}", f"{factor:g} x offered"
    good = result.goodput_per_s(seconds)
    refused = result.statuses.get(503, 0) / seconds
    figures.add(name, f"{says}: accepted", "/s", good)
    figures.add(f"{name}/refused", f"{says}: rejected", "/s", refused)
    p99_ms = result.p99_ms(seconds)
    figures.add(f"{name}/p99", f"{says}: p99 of the accepted", "ms", p99_ms)
    unsent = result.unsent_count / (result.unsent_count + result.answer_count or 1)
    figures.add(f"{name}/unsent", f"{says}: no free connection", "share", unsent)
    load = result.cpu_s / max(1, result.answer_count) * (good + refused)
    figures.add(f"{name}/load", f"{says}: the load's share of a core", "share", load)
    over_ms = result.began_ms + seconds * 1000
    recovered_ms = min(result.recovered_ms(over_ms), AFTERWARDS_S * 1000)
    figures.add(f"{name}/after", f"{says}: recovered after", "ms", recovered_ms)


async def _measure_refusals(figures: Figures, options: BenchOptions) -> None:
    """At an API process with one place: it rejects nearly every request, and none waits."""
    one_place = {"REQUESTS_IN_FLIGHT_MAX": "1", "TRUSTED_PROXIES": "127.0.0.1"}
    async with open_sale(variables=one_place) as sale:
        for _ in range(options.rounds):
            event, before_s = await sale.open_stadium(), sale.stand.api_cpu_s()
            result = await _offer(sale, event, [Step(REFUSALS_PER_S, options.seconds)])
            cpu_us = (sale.stand.api_cpu_s() - before_s) * 1e6
            await _judge(sale, event, result)
            held_us = len(result.accepted) * figures.rate_of("overload/hold_cpu")
            refusal_us = (cpu_us - held_us) / max(1, result.statuses.get(503, 0))
            figures.add(
                "overload/refusal_cpu", "a rejection, CPU of the API process", "us", refusal_us
            )
            cost = refusal_us / max(1, figures.rate_of("overload/hold_cpu"))
            figures.add("overload/refusal", "a rejection, to a hold", "ratio", cost)
        figures.wrong += sale.wrong


async def _judge(sale: Sale, event: EventId, result: OpenLoopResult) -> None:
    state = await sale.judge(event)
    sale.expect(event, "holds", len(state.bookings), len(result.accepted))
    if result.unexplained_count:
        sale.wrong.append(f"{event}: {result.unexplained_count:,} 5xx without Retry-After")
    if result.failed_count:
        sale.wrong.append(f"{event}: {result.failed_count:,} connections broke")


async def _open_doors(sale: Sale, figures: Figures, customer_count: int) -> None:
    event = await sale.open_stadium()
    bodies = hold_bodies(event, stadium_seats()[:customer_count])
    load = RetryAfter(url=sale.stand.url, token=sale.token, bodies=bodies)
    result = await run_in_process(retry_after.run, load)
    state = await sale.judge(event)
    sale.expect(event, "holds", len(state.bookings), len(result.waited_s))
    if len(result.waited_s) != customer_count or result.unexplained_count:
        sale.wrong.append(
            f"{event}: {len(result.waited_s):,} of {customer_count:,} served, "
            f"{result.unexplained_count:,} unexplained 5xx"
        )
    waited_s = result.waited_s or [0.0]
    says = f"{customer_count:,} customers within 1 s"
    figures.add("opening/all", f"{says}: all served after", "s", waited_s[-1])
    figures.add("opening/half", f"{says}: half of them after", "s", waited_s[len(waited_s) // 2])
    asked = sum(result.statuses.values()) / customer_count
    figures.add("opening/asked", f"{says}: requests a customer", "count", asked)
    figures.add("opening/busiest", f"{says}: busiest second", "/s", result.busiest_per_s)
    broken = f"{says}: connections refused or broken, retried after {RETRY_S:g} s"
    figures.add("opening/broken", broken, "count", result.broken_count)
