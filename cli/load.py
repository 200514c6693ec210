"""`engine load`: an event from a plan, on sale at once unless told otherwise."""

import asyncio
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli import output
from cli.sources import data_option, json_option, settings_for
from engine import ids
from engine.engine import Engine
from engine.errors import Misconfigured
from engine.ids import InvalidId
from engine.models import Event, Sales, Terms
from engine.plans import Plan, PlanOptions, read_plan
from engine.plans import layout as layouts
from engine.plans.event_json import Moment, milliseconds
from engine.settings.settings import Settings
from engine.terms import problems_of


@click.command()
@click.argument("file")
@click.option("--event", required=True, help="The event's id: letters, digits, `_.-`.")
@click.option("--name", help="The event's name; the plan's own without it.")
@click.option("--currency", help="ISO 4217 code; EUR unless the plan says.")
@click.option("--prices", help="For a pretix plan: a JSON or CSV file, or `Stalls=5000,Box=9000`.")
@click.option("--hold-ttl", type=float, help="Seconds a hold lives; 900 unless the plan says.")
@click.option("--max-seats", type=int, help="Most places of one booking, 1 to 50; 10.")
@click.option("--customer-max", type=int, help="Most places of one customer; no limit.")
@click.option("--sales", type=click.Choice(["open", "paused"]), help="Open unless the plan says.")
@click.option("--starts-at", help="When the event starts, as `2030-06-01T19:30:00+02:00`.")
@click.option("--time-zone", help="Where the event is: an IANA name as `Europe/Berlin`.")
@click.option("--derive-ids", is_flag=True, help="Make seat ids from section, row and number.")
@click.option("--replace", is_flag=True, help="Load again, while nothing is held or sold.")
@click.option("--url", help="Redis to load into.")
@data_option
@json_option
def load(
    file: str,
    event: str,
    currency: str | None,
    prices: str | None,
    derive_ids: bool,
    replace: bool,
    url: str | None,
    data: Path,
    as_json: bool,
    **asked: Any,
) -> None:
    """Load an event from FILE: own JSON, a pretix seating plan or CSV.

    \b
    engine load hall.json --event gala
    engine load theatre.json --event hamlet --prices 'Stalls=5000,Circle=3000' --derive-ids
    engine load seats.csv --event derby --hold-ttl 300 --sales paused
    engine load venue:stadium --event final       50,000 seats of our own making
    """
    try:
        event_id = ids.event_id(event)
    except InvalidId as error:
        raise Misconfigured(f"--event: {error}") from error
    options = PlanOptions(
        derive_ids=derive_ids, prices=prices, currency=currency, name=asked["name"]
    )
    plan = read_plan(file, options)
    terms = _terms(event, plan, asked)
    plan = msgspec.structs.replace(plan, terms=terms)
    settings = settings_for(None if url else data, url)
    loaded = asyncio.run(_load(settings, event_id, plan, replace=replace, quiet=as_json))
    if as_json:
        output.show_json(loaded)
        return
    counts = loaded.counts
    output.say(
        f"[bold]{loaded.name}[/bold] is loaded as [bold]{loaded.id}[/bold]: "
        f"{loaded.capacity:,} places, {counts.blocked:,} blocked, sales {loaded.sales}, "
        f"holds live {loaded.hold_ttl_ms / 1000:g} s, {_limit_of(loaded)}"
    )


def _limit_of(event: Event) -> str:
    if event.customer_max:
        return f"at most {event.customer_max} places per customer"
    return "no limit per customer (--customer-max sets one)"


def _terms(event: str, plan: Plan, asked: dict[str, Any]) -> Terms:
    """The plan's terms, and over them what was asked for. Raises Misconfigured."""
    ttl = asked["hold_ttl"]
    over = {
        "name": asked["name"] or plan.terms.name or event,
        "sales": asked["sales"] and Sales(asked["sales"]),
        "hold_ttl_ms": None if ttl is None else round(ttl * 1000),
        "seats_max": asked["max_seats"],
        "customer_max": asked["customer_max"],
        "starts_at_ms": _milliseconds(asked["starts_at"]),
        "time_zone": asked["time_zone"],
    }
    given = {name: value for name, value in over.items() if value is not None}
    builtins = msgspec.to_builtins(msgspec.structs.replace(plan.terms, **given))
    try:
        terms = msgspec.convert(builtins, Terms)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"the event's terms: {error}") from error
    if problems := problems_of(terms):
        raise Misconfigured(f"the event's terms: {'; '.join(problems)}")
    return terms


def _milliseconds(starts_at: str | None) -> int | None:
    try:
        return None if starts_at is None else milliseconds(msgspec.convert(starts_at, Moment))
    except msgspec.ValidationError as error:
        raise Misconfigured(f"--starts-at: {error}") from error


async def _load(
    settings: Settings, event: ids.EventId, plan: Plan, *, replace: bool, quiet: bool
) -> Event:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=output.console,
        transient=True,
        disable=quiet,
    )
    seat_count = sum(len(row.seats) for row in layouts.rows_of(plan.layout))
    with bar:
        task = bar.add_task("staging seats", total=seat_count)
        async with await Engine.connect(settings) as engine:
            return await engine.events.load_event(
                event,
                plan.layout,
                plan.terms,
                replace=replace,
                progress=lambda count: bar.advance(task, count),
            )
