"""`engine verify`: check the raw state of events against the promises."""

import asyncio
import sys
from pathlib import Path

import click
from msgspec import Struct

from cli import output
from cli.sources import data_option, event_id_of, json_option, settings_for
from engine import invariants
from engine.engine import Engine
from engine.ids import EventId
from engine.settings.settings import Settings


class VerifyReport(Struct, frozen=True):
    event_id: EventId
    violations: list[invariants.Violation]


@click.command()
@click.argument("event", required=False)
@data_option
@json_option
def verify(event: str | None, data: Path, as_json: bool) -> None:
    """Recompute the promises for EVENT, or every event, from Redis' raw state.

    Exit code 0 if all hold, otherwise 1. Blocks Redis for some 10 ms at 50,000 seats.
    """
    reports = asyncio.run(
        _verify(settings_for(data), None if event is None else event_id_of(event))
    )
    with output.report():
        _show(reports, as_json)
    sys.exit(1 if any(report.violations for report in reports) else 0)


def _show(reports: list[VerifyReport], as_json: bool) -> None:
    if as_json:
        output.show_json(reports)
    else:
        rows = [(v.event_id, x.kind, x.subject, x.detail) for v in reports for x in v.violations]
        if rows:
            output.show_table("Violations", ("event", "kind", "subject", "found"), rows)
        for report in reports:
            if not report.violations:
                output.say(f"{report.event_id}: ", ("every promise holds", "green"))


async def _events(engine: Engine, chosen: EventId | None) -> list[EventId]:
    return [chosen] if chosen else await engine.events.list_events()


async def _verify(settings: Settings, chosen: EventId | None) -> list[VerifyReport]:
    async with await Engine.connect(settings) as engine:
        return [
            VerifyReport(event, await invariants.verify(engine, event))
            for event in await _events(engine, chosen)
        ]
