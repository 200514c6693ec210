"""`engine restore`: rebuilds events in Redis from Postgres, while the others stay on sale."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli import output
from cli.sources import data_option, event_id_of, json_option, refuse_without_database, settings_for
from engine.engine import Engine
from engine.errors import EventNotFound, Malformed, Misconfigured
from engine.ids import EventId
from engine.models import Event
from engine.settings.settings import Settings

if TYPE_CHECKING:
    from persistence.restorer import RestoreOutcome

_LINE_EVERY = 0.25


@click.command()
@click.argument("events", nargs=-1)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="Restore every event that Postgres has, whatever its state.",
)
@click.option("--yes", is_flag=True, help="Do not ask before a working event is fenced.")
@data_option
@json_option
def restore(events: tuple[str, ...], every: bool, yes: bool, data: Path, as_json: bool) -> None:
    """Rebuild EVENTs in Redis from Postgres; without EVENT, those that Redis lost or is behind on.

    An event is fenced while it is restored; the others stay on sale. Its holds end; sales that
    Postgres has stay sold. Exit code 0 if all events are restored, otherwise 1.

    \b
    engine restore                    the events that Redis lost or is behind on
    engine restore gala --yes         one event, whatever its state
    engine restore --all --yes --json
    """
    settings = settings_for(data)
    refuse_without_database(settings, data)
    asked = [event_id_of(event) for event in events]
    if asked and every:
        raise Misconfigured("name events or say --all, not both")
    asker = _Asker(yes=yes, may_ask=not as_json)
    outcomes = asyncio.run(_restore(settings, asked, every, asker, as_json))
    with output.report():
        if as_json:
            output.show_json(outcomes)
        else:
            _show(outcomes)
    sys.exit(1 if any(outcome.why for outcome in outcomes) else 0)


class _Asker:
    """Asks before the sale of a working event is interrupted."""

    def __init__(self, *, yes: bool, may_ask: bool) -> None:
        self._yes = yes
        self._may_ask = may_ask

    def agrees(self, event: Event) -> bool:
        """Whether to restore an event that is not behind. Raises: Misconfigured."""
        if not (self._yes or self._may_ask):
            raise Misconfigured(
                f"{event.id} is not behind Postgres: to restore it anyway, add --yes"
            )
        counts = event.counts
        found = f"{event.sales}, {counts.held:,} held, {counts.sold:,} sold"
        question = f"{event.id} is not behind Postgres ({found}): fence and restore it?"
        return self._yes or click.confirm(question)


async def _restore(
    settings: Settings, asked: list[EventId], every: bool, asker: _Asker, quiet: bool
) -> "list[RestoreOutcome]":
    from persistence import database, event_record
    from persistence.restorer import Restorer

    async with (
        await Engine.connect(settings) as engine,
        await database.connect(settings.database_url) as pool,
    ):
        with _ProgressView(quiet=quiet) as progress:
            restorer = Restorer(engine, pool, progress.advance)
            behind = await restorer.find_behind()
            chosen = asked or (list(await event_record.read_newest(pool)) if every else behind)
            agreed = [
                event
                for event in chosen
                if event in behind or await _agrees(engine, event, asker, progress)
            ]
            return [await restorer.outcome(event) for event in agreed]


async def _agrees(engine: Engine, event: EventId, asker: _Asker, progress: "_ProgressView") -> bool:
    try:
        found = await engine.events.read_event(event)
    except (EventNotFound, Malformed):
        return True  # not on sale; restore reports it if Postgres has none either
    progress.pause()
    return asker.agrees(found)


class _ProgressView:
    """Progress: bars on a terminal, otherwise a line at each quarter."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=output.console,
            transient=True,
            disable=quiet or not output.console.is_terminal,
        )
        self._tasks: dict[EventId, TaskID] = {}
        self._said: dict[EventId, float] = {}

    def __enter__(self) -> "_ProgressView":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def pause(self) -> None:
        """Stop the bars while a question is asked."""
        self._bars.stop()

    def advance(self, event: EventId, done: int, total: int) -> None:
        """Show the progress of an event."""
        if not self._bars.disable:
            self._bars.start()
            if event not in self._tasks:
                self._tasks[event] = self._bars.add_task(event)
            self._bars.update(self._tasks[event], completed=done, total=total)
        elif not self._quiet and (
            done == total or done / total >= self._said.get(event, 0.0) + _LINE_EVERY
        ):
            self._said[event] = done / total
            output.say(f"{event}: {done / total:.0%} of {total:,}")


def _show(outcomes: "list[RestoreOutcome]") -> None:
    if not outcomes:
        output.say(("nothing to restore: Redis has what Postgres has", "green"))
    for outcome in outcomes:
        found = outcome.restored
        if found is None or outcome.why:
            failed = ("not restored", "red")
            output.say((outcome.event_id, "bold"), ": ", failed, f": {outcome.why}")
            continue
        output.say(
            (found.event_id, "bold"),
            f": restored in {outcome.seconds:.1f} s, sales {found.sales}: {found.sold:,} places "
            f"sold in {found.confirmed_count:,} bookings, "
            f"{found.holds_ended:,} holds ended, {found.late_confirmed:,} confirmed late, "
            f"{found.refunds_due:,} refunds due",
        )
