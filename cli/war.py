"""`engine war`: runs a ticket war over HTTP against one event, and judges the result."""

import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli import output
from cli.sources import (
    DEFAULT_API_URL,
    api_url,
    data_option,
    event_id_of,
    json_option,
    refuse_without_database,
    refuse_wrong_url,
    settings_for,
)
from engine.engine import Engine
from engine.ids import EventId
from engine.models import Event
from engine.settings.settings import Settings

if TYPE_CHECKING:
    from bench.war.scenarios.bounds import Bound
    from bench.war.scenarios.scenario import Scenario
    from bench.war.verdict import WarVerdict

SHOWN_MAX = 20
"""How many findings of a kind are listed; --json has all of them."""


class _Command(click.Command):
    """Lists the scenarios below its help; no other command imports them."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from bench.war.scenarios import SCENARIOS

        with formatter.section("Scenarios"):
            formatter.write_dl([(name, found.says) for name, found in SCENARIOS.items()])


def _find_scenario(_: click.Context, __: click.Parameter, name: str) -> "Scenario":
    from bench.war.scenarios import find

    try:
        return find(name)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _read_bounds(_: click.Context, __: click.Parameter, texts: Sequence[str]) -> list["Bound"]:
    from bench.war.scenarios.bounds import parse

    try:
        return [parse(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(cls=_Command)
@click.option(
    "--scenario", callback=_find_scenario, default="rush", show_default=True, metavar="NAME",
    help="The buyers and their stages: see below.",
)  # fmt: skip
@click.option("--event", help="The event to fight for; by default, one is made for the scenario.")
@click.option(
    "--url",
    help=f"The API; by default, that of `engine up` in --data, or else {DEFAULT_API_URL}.",
)
@click.option(
    "--users", "--buyers", "users", type=click.IntRange(1),
    help="The most at once; by default as the scenario says.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.IntRange(1), help="How long; by default as the scenario says."
)
@click.option(
    "--require", callback=_read_bounds, multiple=True, metavar="BOUND",
    help="A further threshold: p95_ms<=200, confirmed_count>=1000; repeatable.",
)  # fmt: skip
@click.option(
    "--pay", type=click.Choice(["customers", "notices"]), default="customers", show_default=True,
    help="Who confirms a paid booking: its customer, or the signed notices of a payment provider.",
)  # fmt: skip
@click.option("--web", is_flag=True, help="Serve locust's own page during the war.")
@click.option(
    "--web-port", type=click.IntRange(1, 65535), default=8089, show_default=True,
    help="The port of that page, on 127.0.0.1.",
)  # fmt: skip
@data_option
@json_option
def war(
    scenario: "Scenario",
    event: str | None,
    url: str | None,
    users: int | None,
    seconds: int | None,
    require: list["Bound"],
    pay: str,
    web: bool,
    web_port: int,
    data: Path,
    as_json: bool,
) -> None:
    """Let hundreds of buyers compete for the seats of an event, and check the result.

    Afterwards waits for the last holds to expire (if they last at most 30 s) and for the writer.
    Exit code 0 only if nothing was sold twice, lost or left over, every payment is for sold
    places, owed or paid back, no call failed, and the thresholds of the scenario were met; for
    --event they are scaled to the places and holds of that event. The API needs RATE_LIMITS=off,
    because all buyers have one address.

    With --pay notices, the war plays the payment provider too: some of its notices are repeated,
    out of order or late, some buyers pay twice or a wrong amount. PAYMENT_WEBHOOK_SECRET must be
    set to that of the API.

    \b
    engine war --scenario spike
    engine war --scenario waves --users 50 --seconds 10 --json
    engine war --event gala --require 'hold_p95_ms<=100'
    engine war --scenario rush --pay notices
    """
    wanted = scenario.scaled(users, seconds)
    if url:
        refuse_wrong_url(url)
    settings = settings_for(data)
    refuse_without_database(settings, data)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or locust would continue alone
    given = event_id_of(event) if event else None
    target = _Target(
        (url or api_url(data)).rstrip("/"),
        given,
        web_port if web else 0,
        notices=pay == "notices",
        quiet=as_json,
    )
    outcome = asyncio.run(_fight_and_judge(wanted, require, target, settings))
    with output.report():
        if as_json:
            output.show_json(outcome)
        else:
            _show(outcome)
    sys.exit(0 if outcome.clean else 1)


class _Target(NamedTuple):
    url: str
    event_id: EventId | None
    web_port: int
    notices: bool
    quiet: bool


async def _fight_and_judge(
    scenario: "Scenario", require: Sequence["Bound"], target: _Target, settings: Settings
) -> "WarVerdict":
    from bench.war.verdict import judge, settle
    from bench.war.war import War, check_ready, fight, open_sale
    from persistence import database

    async with (
        await Engine.connect(settings) as engine,
        await database.connect(settings.database_url) as pool,
    ):
        event = target.event_id or await open_sale(engine, scenario)
        if target.event_id:
            scenario = scenario.scaled_to(await engine.events.read_event(event))
        scenario = scenario.held_to(require)
        war = War(
            scenario=scenario,
            event_id=event,
            url=target.url,
            web_port=target.web_port,
            notices=target.notices,
        )
        check_ready(war, settings)
        if target.web_port and not target.quiet:
            output.say(f"locust's page: http://127.0.0.1:{target.web_port}")
        with _Bar(scenario.seconds, quiet=target.quiet) as bar:
            fought = await fight(engine, war, settings, bar.update)
            bar.finish()
            await settle(engine, event)
        return await judge(engine, pool, war, fought)


class _Bar:
    """The progress of the war and the places of the event."""

    def __init__(self, seconds: float, *, quiet: bool) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns,
            console=output.console,
            transient=True,
            disable=quiet or not output.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=seconds)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, event: Event) -> None:
        """Show the event as it is now."""
        counts = event.counts
        line = f"available {counts.available:,}  held {counts.held:,}  sold {counts.sold:,}"
        elapsed_s = self._bar.tasks[self._task].elapsed or 0
        self._bar.update(self._task, description=line, completed=elapsed_s)

    def finish(self) -> None:
        """All buyers have stopped."""
        self._bar.update(
            self._task, description="waiting for the last holds and the writer", total=None
        )


def _show(outcome: "WarVerdict") -> None:
    title = f"Ticket war for {outcome.event_id}: {outcome.scenario}, {outcome.users:,} users"
    output.show_table(title, ("what", "figure"), _figures(outcome))
    output.console.print()
    columns = ("response times, ms", "calls", "p50", "p95", "p99", "most")
    output.show_table("", columns, _times(outcome))
    output.console.print()
    _show_verdicts(outcome)


def _figures(outcome: "WarVerdict") -> Iterator[tuple[str, str]]:
    summary, places, lag = outcome.summary, outcome.places, outcome.lag
    yield "attempts to hold", f"{summary.attempt_count:,}"
    yield "in the busiest second", f"{summary.busiest_second_count:,}"
    yield "held", f"{summary.held_count:,}"
    for code, count in summary.refusals.items():
        yield f"refused: {code}", f"{count:,}"
    yield "confirmed", f"{summary.confirmed_count:,} ({summary.confirmed_places:,} places)"
    for notice, count in summary.notices.items():
        yield f"notices: {notice}", f"{count:,}"
    for word, count in summary.parties.items():
        yield f"parties: {word}", f"{count:,}"
    yield "released", f"{summary.released_count:,}"
    yield "abandoned by the buyer", f"{summary.abandoned_count:,}"
    yield "expired", f"{outcome.statuses.get('expired', 0):,}"
    yield "still pending", f"{outcome.statuses.get('pending', 0):,}"
    requests_per_s = outcome.figures["requests_per_s"]
    yield "requests", f"{summary.request_count:,} ({requests_per_s:,.0f}/s)"
    yield "rejected by load shedding", f"{summary.rejected_count:,}"
    yield "other 5xx responses", f"{summary.server_error_count:,}"
    yield "failed connections", f"{summary.unanswered_count:,}"
    yield "failures", f"{sum(summary.failures.values()):,}"
    yield (
        "writer lag, p50 / p99 / most",
        f"{lag.p50_ms:,.0f} / {lag.p99_ms:,.0f} / {lag.max_ms:,.0f} ms",
    )
    left = f"{places.available:,} available, {places.held:,} held, {places.sold:,} sold"
    yield "places afterwards", left
    yield "free seats without a free neighbour", f"{outcome.single_seats:,}"


def _times(outcome: "WarVerdict") -> Iterator[tuple[str, ...]]:
    for call, spread in (*outcome.summary.latencies.items(), ("all", outcome.summary.overall)):
        ranks = (spread.p50_ms, spread.p95_ms, spread.p99_ms, spread.max_ms)
        yield call, f"{spread.count:,}", *(f"{ms:.1f}" for ms in ranks)


def _show_verdicts(outcome: "WarVerdict") -> None:
    """One line for each check, and its findings."""
    paid = f"{outcome.summary.confirmed_count:,} receipts"
    count = sum(outcome.summary.parties.values())
    told = f"{count:,} parties: each sits as it was told"
    for check, found, praise in (
        ("receipts", outcome.broken_receipts, f"{paid}: nothing lost, nothing sold twice"),
        ("money", outcome.broken_payments, "; ".join(map(str, outcome.money)) or "none was paid"),
        ("parties", outcome.broken_parties, told if count else "none asked for the best seats"),
        ("verify", outcome.violations, "every promise holds, nothing is left over"),
        ("reconcile", outcome.differences, "Redis and Postgres agree"),
    ):
        for item in found[:SHOWN_MAX]:
            output.say((f"{check}: {item.kind} {item.subject}: {item.detail}", "red"))
        if len(found) > SHOWN_MAX:
            output.say((f"{check}: and {len(found) - SHOWN_MAX:,} more", "red"))
        if not found:
            output.say(f"{check}: ", (praise, "green"))
    for checked in outcome.bounds:
        style, result = ("green", "met") if checked.kept else ("red", "MISSED")
        output.say(f"threshold {checked.bound}: ", (f"{result}, {checked.measured:,g}", style))
    for what, count in outcome.summary.failures.items():
        output.say((f"failure: {what}, {count:,} times", "red"))
        if "payment_by_provider" in what:
            line = "the API takes payments from its provider alone: use --pay notices"
            output.say((line, "yellow"))
    if outcome.backlog_entries:
        entries = f"{outcome.backlog_entries:,} entries"
        output.say((f"writer: {entries} are not in Postgres yet", "red"))
    if limited_count := outcome.summary.refusals.get("rate_limited", 0):
        line = f"{limited_count:,} calls were over a rate limit: the API needs RATE_LIMITS=off"
        output.say((line, "yellow"))
