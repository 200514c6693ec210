"""After a war: wait until holds have expired and the writer has caught up, then check it.

The checks are independent of each other: the buyers' receipts, the money (the charges of the
payment provider, and the sums of the event), the parties' places in the layout, the engine's
invariants (a hold that is left over is one of them), the comparison of Redis with Postgres, the
writer's backlog, and the bounds of the scenario.
"""

from collections import Counter

from msgspec import Struct

from bench.rig.polling import until, until_written
from bench.war import money, parties, receipts
from bench.war.money import BrokenPayment
from bench.war.parties import BrokenParty
from bench.war.receipts import BrokenReceipt
from bench.war.scenarios.bounds import Checked, figures_of
from bench.war.scenarios.bounds import check as check_bounds
from bench.war.tally import Spread, Summary
from bench.war.war import War, WarResult
from engine import Engine
from engine.event_state import EventState, read_state
from engine.ids import EventId
from engine.invariants import OVERDUE_MS_MAX, Violation, check
from engine.models import Counts
from persistence.database import Pool
from persistence.journal.tables import MoneySums, Store
from persistence.reconcile.reconciler import reconcile
from persistence.reconcile.report import Difference

HOLD_TTL_MS_MAX = 30_000
"""Holds that live longer are not waited for: their customers may still come back and pay."""

DRAIN_S_MAX = 30.0
"""How long the writer may take to catch up after the war."""


class WarVerdict(Struct, frozen=True, kw_only=True):
    """A war and its verdicts.

    `users` is the most there were at once, `lag` how far the writer was behind meanwhile, and
    `figures` what the bounds are about. `statuses` counts the bookings that were held in the war,
    `places` all places of the event, `money` its payments by currency. `backlog_entries` the writer
    had not persisted when the patience was over. `single_seats` are free without a free neighbour.
    """

    scenario: str
    event_id: EventId
    users: int
    summary: Summary
    lag: Spread
    figures: dict[str, float]
    bounds: list[Checked]
    statuses: dict[str, int]
    places: Counts
    backlog_entries: int
    money: list[MoneySums]
    broken_receipts: list[BrokenReceipt]
    broken_payments: list[BrokenPayment]
    broken_parties: list[BrokenParty]
    single_seats: int
    violations: list[Violation]
    differences: list[Difference]
    clean: bool


async def settle(engine: Engine, event: EventId) -> None:
    """Wait for the last holds to expire and for the writer to have it all, within bounds."""
    hold_ttl_ms = (await engine.events.read_event(event)).hold_ttl_ms

    async def nothing_held() -> bool:
        return (await engine.events.read_event(event)).counts.held == 0

    if hold_ttl_ms <= HOLD_TTL_MS_MAX:
        await until(nothing_held, (hold_ttl_ms + OVERDUE_MS_MAX) / 1000)
    await until_written(engine, event, DRAIN_S_MAX)


async def judge(engine: Engine, pool: Pool, war: War, result: WarResult) -> WarVerdict:
    """Every verdict on the event as it is now."""
    event, summary = war.event_id, result.summary
    backlog = await engine.journal.backlog(event)
    state = await read_state(engine, event)
    report = await reconcile(engine, pool, [event])
    areas = {area_id: area.capacity for area_id, area in state.areas.items()}
    broken = receipts.check(result.receipts, state.bookings, areas)
    store = Store(pool)
    sums = await store.sum_payments(event)
    broken_payments = money.check(result.charges, await store.list_payments(event), sums)
    layout = (await engine.availability.read_layout(event)).layout
    broken_parties = parties.check(result.parties, layout)
    violations, differences = check(state), list(report.differences)
    statuses = _statuses(state, result.began_ms)
    figures = figures_of(summary, result.lag, statuses.get("expired", 0), war.scenario.users)
    bounds = check_bounds(war.scenario.bounds, figures)
    missed = not all(checked.kept for checked in bounds)
    found = (broken, broken_payments, broken_parties, violations, differences)
    against = (*found, summary.failures, backlog.entries, missed)
    return WarVerdict(
        scenario=war.scenario.name,
        event_id=event,
        users=war.scenario.users,
        summary=summary,
        lag=result.lag,
        figures=figures,
        bounds=bounds,
        statuses=statuses,
        places=state.event.counts,
        backlog_entries=backlog.entries,
        money=sums,
        broken_receipts=broken,
        broken_payments=broken_payments,
        broken_parties=broken_parties,
        single_seats=parties.count_single_seats(layout, state.map),
        violations=violations,
        differences=differences,
        clean=not any(against),
    )


def _statuses(state: EventState, began_ms: int) -> dict[str, int]:
    bookings = state.bookings.values()
    return dict(Counter(str(b.status) for b in bookings if b.held_at_ms >= began_ms))
