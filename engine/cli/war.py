"""`engine war`: a ticket war over HTTP against one event, and the verdict on it."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from engine import ids
from engine.cli import output
from engine.cli.sources import data_option, json_option, refuse_without_database, settings_for
from engine.engine import Engine
from engine.errors import Misconfigured
from engine.models import Event
from engine.settings import Settings

if TYPE_CHECKING:
    from bench.aftermath import Outcome
    from bench.war import War

SHOWN_MAX = 20
"""How many broken promises of a kind are listed; --json has them all."""


@click.command()
@click.option("--event", required=True, help="The event to fight for.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="The API.")
@click.option("--buyers", type=click.IntRange(1), default=300, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "--spawn-rate", type=click.FloatRange(0, min_open=True),
    help="Buyers that arrive each second; half of them without it.",
)  # fmt: skip
@click.option(
    "--pay-share", type=click.FloatRange(0, 1), default=0.6, show_default=True,
    help="Share of the held bookings that is paid.",
)  # fmt: skip
@click.option(
    "--release-share", type=click.FloatRange(0, 1), default=0.1, show_default=True,
    help="Share that is given back; the rest is abandoned and expires.",
)  # fmt: skip
@data_option
@json_option
def war(data: Path, as_json: bool, **asked: object) -> None:
    """Let hundreds of buyers fight for the seats of an event, and judge what came of it.

    Afterwards waits for the last holds to expire (when they live at most 30 s) and for the
    writer. Exit code 0 only if nothing was sold twice, lost or left over and no call failed.

    \b
    engine load venue:hall --event gala --hold-ttl 5
    engine war --event gala --buyers 500 --seconds 30
    """
    wanted, settings = _war(**asked), settings_for(data)  # type: ignore[arg-type]  # click's
    refuse_without_database(settings, data)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or locust would fight on alone
    outcome = asyncio.run(_fight_and_judge(wanted, settings, quiet=as_json))
    if as_json:
        output.show_json(outcome)
    else:
        output.show_table(f"The war for {wanted.event_id}", ("what", "figure"), _figures(outcome))
        _show_verdicts(outcome)
    sys.exit(0 if outcome.clean else 1)


def _war(*, event: str, url: str, pay_share: float, release_share: float, **asked: Any) -> "War":
    from bench.buyers import Habits
    from bench.war import War

    asked["spawn_rate"] = asked["spawn_rate"] or max(1.0, asked["buyers"] / 2)
    try:
        habits = Habits(pay_share=pay_share, release_share=release_share)
        return War(event_id=ids.event_id(event), url=url.rstrip("/"), habits=habits, **asked)
    except ValueError as error:
        raise Misconfigured(str(error)) from error


async def _fight_and_judge(war: "War", settings: Settings, *, quiet: bool) -> "Outcome":
    from bench.aftermath import judge, settle
    from bench.war import check_ready, fight
    from persistence import database

    check_ready(war, settings.jwt_secret)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=output.console, transient=True, disable=quiet)
    task = bar.add_task("", total=war.seconds)

    def watch(event: Event) -> None:
        counts = event.counts
        line = f"available {counts.available:,}  held {counts.held:,}  sold {counts.sold:,}"
        bar.update(task, description=line, completed=bar.tasks[task].elapsed or 0)

    async with (
        await Engine.connect(settings) as engine,
        await database.connect(settings.database_url) as pool,
    ):
        await engine.events.read_event(war.event_id)
        with bar:
            fought = await fight(engine, war, settings.jwt_secret, watch)
            bar.update(task, description="the last holds end, the writer ends", total=None)
            await settle(engine, war.event_id)
        return await judge(engine, pool, war.event_id, fought)


def _figures(outcome: "Outcome") -> Iterator[tuple[str, str]]:
    """The rows of the table."""
    summary, places = outcome.summary, outcome.places
    yield "attempts to hold", f"{summary.attempt_count:,}"
    yield "held", f"{summary.held_count:,}"
    for code, count in summary.refusals.items():
        yield f"refused: {code}", f"{count:,}"
    yield "confirmed", f"{summary.confirmed_count:,} ({summary.confirmed_places:,} places)"
    yield "released", f"{summary.released_count:,}"
    yield "abandoned by their buyers", f"{summary.abandoned_count:,}"
    yield "expired", f"{outcome.statuses.get('expired', 0):,}"
    yield "still pending", f"{outcome.statuses.get('pending', 0):,}"
    for call in ("look", "hold", "hold refused", "confirm"):
        if call in summary.latencies:
            latency = summary.latencies[call]
            yield f"{call}, p50 / p99", f"{latency.p50_ms:.1f} / {latency.p99_ms:.1f} ms"
    yield (
        "requests",
        f"{summary.request_count:,} ({summary.request_count / summary.seconds:,.0f}/s)",
    )
    yield "failures", f"{sum(summary.failures.values()):,}"
    yield "writer lag, at most", f"{outcome.lag_ms_max:,} ms"
    left = f"{places.available:,} available, {places.held:,} held, {places.sold:,} sold"
    yield "places afterwards", left


def _show_verdicts(outcome: "Outcome") -> None:
    """One line a judge, and what it found against the war."""
    paid = f"{outcome.summary.confirmed_count:,} receipts"
    for judge, found, praise in (
        ("receipts", outcome.broken_receipts, f"{paid}: nothing lost, nothing sold twice"),
        ("verify", outcome.violations, "every promise holds, nothing is left over"),
        ("reconcile", outcome.differences, "Redis and Postgres agree"),
    ):
        for item in found[:SHOWN_MAX]:
            output.console.print(f"[red]{judge}: {item.kind} {item.subject}: {item.detail}[/red]")
        if len(found) > SHOWN_MAX:
            output.console.print(f"[red]{judge}: and {len(found) - SHOWN_MAX:,} more[/red]")
        if not found:
            output.console.print(f"{judge}: [green]{praise}[/green]")
    for what, count in outcome.summary.failures.items():
        output.console.print(f"[red]failure: {what}, {count:,} times[/red]")
    if outcome.backlog_entries:
        entries = f"{outcome.backlog_entries:,} entries"
        output.console.print(f"[red]writer: {entries} are not in Postgres yet[/red]")
