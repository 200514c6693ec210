"""`engine load`: load an event from a plan; by default it is on sale at once."""

import asyncio
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli import output
from cli.durations import Seconds
from cli.rank import rows_of, show_rows
from cli.sources import data_option, json_option, settings_for
from engine import ids
from engine.engine import Engine
from engine.errors import EventExists, EventInUse, Misconfigured
from engine.ids import InvalidId
from engine.models import Event, Sales, Terms
from engine.plans import Plan, PlanOptions, PriceUnit, read_plan
from engine.plans import layout as layouts
from engine.plans.event_json import Moment, milliseconds
from engine.plans.quality import Focus
from engine.plans.ranks import read_ranks
from engine.settings.settings import Settings
from engine.terms import problems_of

ROWS_SHOWN = 5


@click.command()
@click.argument("file")
@click.option("--event", required=True, help="The event's id: letters, digits, `_.-`.")
@click.option("--name", help="The event's name; by default, that of the plan.")
@click.option("--currency", help="ISO 4217 code; EUR unless the plan says.")
@click.option(
    "--prices",
    help="For a pretix plan: a JSON or CSV file, `Stalls=5000,Box=9000`, "
    'or JSON, `{"Stalls, left": 5000}`.',
)
@click.option(
    "--price-unit",
    type=click.Choice([unit.value for unit in PriceUnit]),
    help="Unit of the prices in a CSV and in --prices: minor (4500) or major (45.00); minor.",
)
@click.option("--delimiter", help="Of a CSV: one character, or `tab`; detected without it.")
@click.option("--encoding", help="Of a CSV, as cp1252; without it UTF-8, or UTF-16 if it is that.")
@click.option(
    "--focus", help="Where all look, as `1200,-50`: the nearer a seat is to it, the better."
)
@click.option(
    "--ranks",
    help="A CSV file `section,row,rank` or `section,row,number,rank` of all seats: 0 is the best.",
)
@click.option(
    "--hold-ttl", type=Seconds(0), help="Seconds that a hold lasts; 900 unless the plan says."
)
@click.option("--max-seats", type=int, help="Most places of one booking, 1 to 50; by default 10.")
@click.option("--customer-max", type=int, help="Most places of one customer; by default no limit.")
@click.option("--sales", type=click.Choice(["open", "paused"]), help="Open unless the plan says.")
@click.option("--starts-at", help="When the event starts, as `2030-06-01T19:30:00+02:00`.")
@click.option("--time-zone", help="Where the event is: an IANA name as `Europe/Berlin`.")
@click.option("--derive-ids", is_flag=True, help="Make seat ids from section, row and number.")
@click.option(
    "--replace", is_flag=True, help="Load again, while nothing is held or sold; the owner stays."
)
@click.option(
    "--url", help="The Redis to load into; by default REDIS_URL, or that of `engine up` in --data."
)
@data_option
@json_option
def load(
    file: str,
    event: str,
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
    engine load sitze.csv --event derby --price-unit major --encoding cp1252
    engine load theatre.json --event hamlet --prices 5000 --focus 1200,-50
    engine load seats.csv --event derby --ranks ranks.csv
    engine load venue:stadium --event final       a made-up stadium of 50,000 seats
    """
    try:
        event_id = ids.event_id(event)
    except InvalidId as error:
        raise Misconfigured(f"--event: {error}") from error
    plan = read_plan(file, _options(asked))
    terms = _terms(event, plan, asked)
    plan = msgspec.structs.replace(plan, terms=terms)
    settings = settings_for(None if url else data, url)
    loaded = asyncio.run(_load(settings, event_id, plan, replace=replace, quiet=as_json))
    with output.report():
        if as_json:
            more = {"notes": plan.notes, "best_rows": rows_of(plan.layout, ROWS_SHOWN)}
            output.show_json({**msgspec.to_builtins(loaded), **more})
        else:
            for note in plan.notes:
                output.say(f"note: {note}")
            _show(loaded)
            show_rows(plan.layout, ROWS_SHOWN)


def _show(loaded: Event) -> None:
    output.say(
        *((loaded.name, "bold"), " is loaded as ", (loaded.id, "bold")),
        f": {loaded.capacity:,} places, {loaded.counts.blocked:,} blocked, sales {loaded.sales}, "
        f"holds last {loaded.hold_ttl_ms / 1000:g} s, {_limit_of(loaded)}",
    )


def _options(asked: dict[str, Any]) -> PlanOptions:
    names = ("derive_ids", "prices", "currency", "name", "delimiter", "encoding")
    unit = asked["price_unit"]
    options = PlanOptions(
        **{name: asked[name] for name in names}, price_unit=unit and PriceUnit(unit)
    )
    return msgspec.structs.replace(
        options,
        focus=None if asked["focus"] is None else _focus(asked["focus"]),
        ranks=None if asked["ranks"] is None else read_ranks(asked["ranks"], options.dialect),
    )


def _focus(text: str) -> Focus:
    try:
        x, y = map(float, text.split(","))
    except ValueError as error:
        raise Misconfigured(f"--focus: {text[:100]!r} is not X,Y, as 1200,-50") from error
    return Focus(x, y)


def _limit_of(event: Event) -> str:
    if event.customer_max:
        return f"at most {event.customer_max} places per customer"
    return "no limit per customer (--customer-max sets one)"


def _terms(event: str, plan: Plan, asked: dict[str, Any]) -> Terms:
    """The plan's terms, replaced where an option is given. Raises Misconfigured."""
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
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=output.console,
        transient=True,
        disable=quiet or not output.console.is_terminal,
    )
    seat_count = sum(len(row.seats) for row in layouts.rows_of(plan.layout))
    with bar:
        task = bar.add_task("staging seats", total=seat_count)
        async with await Engine.connect(settings) as engine:
            try:
                return await engine.events.load_event(
                    event,
                    plan.layout,
                    plan.terms,
                    replace=replace,
                    progress=lambda count: bar.advance(task, count),
                )
            except EventExists as error:
                raise Misconfigured(
                    f"{event} is loaded already: choose another --event, or load it again with "
                    "--replace while nothing is held or sold"
                ) from error
            except EventInUse as error:
                held, sold = error.found
                raise Misconfigured(
                    f"{event} has {held} places held and {sold} sold, so it cannot be replaced: "
                    "choose another --event"
                ) from error
