"""`engine status`, `verify`, `reconcile`: look inside, and say whether it is as promised."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from msgspec import Struct

from engine import ids
from engine.cli import output
from engine.cli.sources import data_option, json_option, refuse_without_database, settings_for
from engine.engine import Engine
from engine.errors import Misconfigured
from engine.ids import EventId, InvalidId
from engine.inspection import read_state
from engine.invariants import Violation, check
from engine.models import Event
from engine.settings import Settings

PARTS = ("expirer", "writer")


class EventStatus(Struct, frozen=True):
    """An event, and how far the write-behind is."""

    event: Event
    backlog_entries: int
    lag_ms: int


class Status(Struct, frozen=True):
    events: tuple[EventStatus, ...]
    parts: dict[str, bool]


class Verdict(Struct, frozen=True):
    event_id: EventId
    violations: list[Violation]


@click.command()
@click.argument("event", required=False)
@data_option
@json_option
def status(event: str | None, data: Path, as_json: bool) -> None:
    """Show EVENT, or every event: places by status, backlog, what runs.

    \b
    engine status
    engine status gala --json
    """
    found = asyncio.run(_status(settings_for(data), _chosen(event)))
    if as_json:
        output.show_json(found)
        return
    rows = [
        (
            *(item.event.id, item.event.sales, f"{item.event.capacity:,}"),
            *(f"{count:,}" for count in _counts(item.event)),
            *(f"{item.backlog_entries:,}", f"{item.lag_ms:,}"),
        )
        for item in found.events
    ]
    columns = ("event", "sales", "capacity", "available", "held", "sold", "blocked")
    output.show_table("Events", (*columns, "backlog", "lag ms"), rows)
    for part, runs in found.parts.items():
        output.say(f"{part}: {'runs' if runs else '[red]does not run[/red]'}")


@click.command()
@click.argument("event", required=False)
@data_option
@json_option
def verify(event: str | None, data: Path, as_json: bool) -> None:
    """Recompute the promises for EVENT, or every event, from Redis' raw state.

    Exit code 0 when all hold, 1 when not. Blocks Redis for some 10 ms at 50,000 seats.
    """
    verdicts = asyncio.run(_verify(settings_for(data), _chosen(event)))
    if as_json:
        output.show_json(verdicts)
    else:
        rows = [(v.event_id, x.kind, x.subject, x.detail) for v in verdicts for x in v.violations]
        if rows:
            output.show_table("Violations", ("event", "kind", "subject", "found"), rows)
        for verdict in verdicts:
            if not verdict.violations:
                output.say(f"{verdict.event_id}: [green]every promise holds[/green]")
    sys.exit(1 if any(verdict.violations for verdict in verdicts) else 0)


@click.command()
@click.argument("event", required=False)
@click.option("--repair", is_flag=True, help="Mend what is safe to mend, and say what was done.")
@click.option(
    "--lag", type=click.FloatRange(0), default=5.0, show_default=True,
    help="Seconds the writer may be behind before it counts as a difference.",
)  # fmt: skip
@data_option
@json_option
def reconcile(event: str | None, repair: bool, lag: float, data: Path, as_json: bool) -> None:
    """Compare Redis with Postgres for EVENT, or every event, and name each difference.

    Exit code 0 when they agree, 1 when not; with --repair, 0 when all was mended.
    """
    settings = settings_for(data)
    refuse_without_database(settings, data)
    sys.exit(asyncio.run(_reconcile(settings, _chosen(event), repair, lag, as_json)))


def _chosen(event: str | None) -> EventId | None:
    try:
        return None if event is None else ids.event_id(event)
    except InvalidId as error:
        raise Misconfigured(str(error)) from error


def _counts(event: Event) -> Sequence[int]:
    return event.counts.available, event.counts.held, event.counts.sold, event.counts.blocked


async def _events(engine: Engine, chosen: EventId | None) -> list[EventId]:
    return [chosen] if chosen else await engine.events.list_events()


async def _status(settings: Settings, chosen: EventId | None) -> Status:
    async with await Engine.connect(settings) as engine:
        found = []
        for event in await _events(engine, chosen):
            shown = await engine.events.read_event(event)
            backlog = await engine.journal.backlog(event)
            lag_ms = backlog.now_ms - backlog.oldest_ms if backlog.oldest_ms else 0
            found.append(EventStatus(shown, backlog.entries, lag_ms))
        return Status(tuple(found), await engine.parts_running(PARTS))


async def _verify(settings: Settings, chosen: EventId | None) -> list[Verdict]:
    async with await Engine.connect(settings) as engine:
        return [
            Verdict(event, check(await read_state(engine, event)))
            for event in await _events(engine, chosen)
        ]


async def _reconcile(
    settings: Settings, chosen: EventId | None, repair: bool, lag_s: float, as_json: bool
) -> int:
    from persistence import database
    from persistence.reconciler import reconcile as run

    async with (
        await Engine.connect(settings) as engine,
        await database.connect(settings.database_url) as pool,
    ):
        report = await run(
            engine,
            pool,
            [chosen] if chosen else None,
            repair=repair,
            lag_ms=round(lag_s * 1000),
        )
    if as_json:
        output.show_json(report)
    elif rows := [
        (item.event_id, item.kind, item.subject, item.detail, item.repaired or "")
        for item in report.differences
    ]:
        columns = ("event", "kind", "subject", "found", "mended")
        output.show_table("Differences", columns, rows)
    else:
        output.say("[green]Redis and Postgres agree[/green]")
    return 0 if report.clean else 1
