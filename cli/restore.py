"""`engine restore`: Redis from Postgres, event by event, while the others sell."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli import output
from cli.sources import data_option, event_id_of, json_option, refuse_without_database, settings_for
from engine.engine import Engine
from engine.errors import EventNotFound, Misconfigured
from engine.ids import EventId
from engine.models import Event
from engine.settings.settings import Settings

if TYPE_CHECKING:
    from persistence.restorer import RestoreOutcome

_LINE_EVERY = 0.25


@click.command()
@click.argument("events", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every event Postgres has, sound or not.")
@click.option("--yes", is_flag=True, help="Do not ask before an event is closed that sells.")
@data_option
@json_option
def restore(events: tuple[str, ...], every: bool, yes: bool, data: Path, as_json: bool) -> None:
    """Rebuild EVENTs in Redis from Postgres; without EVENT, those that Redis lost or is behind on.

    An event is closed while it is restored, the others sell on. Its holds end; what Postgres has as
    sold stays sold. Exit code 0 when all are restored and open, 1 when not.

    \b
    engine restore                    what is closed because Redis lost some of it
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
    if as_json:
        output.show_json(outcomes)
    else:
        _tell(outcomes)
    sys.exit(1 if any(outcome.why for outcome in outcomes) else 0)


class _Asker:
    """Asks before the sale of a sound event is interrupted."""

    def __init__(self, *, yes: bool, may_ask: bool) -> None:
        self._yes = yes
        self._may_ask = may_ask

    def agrees(self, event: Event) -> bool:
        """Whether it is to be closed although nothing is wrong. Raises: Misconfigured."""
        if not (self._yes or self._may_ask):
            raise Misconfigured(f"{event.id} is not behind Postgres: to restore it, say --yes")
        counts = event.counts
        found = f"{event.sales}, {counts.held:,} held, {counts.sold:,} sold"
        question = f"{event.id} is not behind Postgres ({found}): close and restore it?"
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
        with _Shown(quiet=quiet) as shown:
            restorer = Restorer(engine, pool, shown.advance)
            behind = await restorer.find_behind()
            chosen = asked or (list(await event_record.read_newest(pool)) if every else behind)
            agreed = [
                event
                for event in chosen
                if event in behind or await _agrees(engine, event, asker, shown)
            ]
            return [await restorer.outcome(event) for event in agreed]


async def _agrees(engine: Engine, event: EventId, asker: _Asker, shown: "_Shown") -> bool:
    try:
        found = await engine.events.read_event(event)
    except EventNotFound:
        return True  # restore says that Postgres has none either
    shown.pause()
    return asker.agrees(found)


class _Shown:
    """Progress: bars on a terminal, a line each quarter elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=output.console,
            transient=True,
            disable=quiet or not output.console.is_terminal,
        )
        self._tasks: dict[EventId, TaskID] = {}
        self._said: dict[EventId, float] = {}

    def __enter__(self) -> "_Shown":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def pause(self) -> None:
        """Leave the terminal to a question."""
        self._bars.stop()

    def advance(self, event: EventId, done: int, total: int) -> None:
        """Show how far an event is."""
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


def _tell(outcomes: "list[RestoreOutcome]") -> None:
    if not outcomes:
        output.say("[green]nothing to restore: Redis has what Postgres has[/green]")
    for outcome in outcomes:
        found = outcome.restored
        if found is None or outcome.why:
            output.say(f"[bold]{outcome.event_id}[/bold]: [red]not restored[/red]: {outcome.why}")
            continue
        output.say(
            f"[bold]{found.event_id}[/bold]: restored in {outcome.seconds:.1f} s, sales "
            f"{found.sales}: {found.sold:,} places sold in {found.confirmed_count:,} bookings, "
            f"{found.holds_ended:,} holds ended, {found.late_confirmed:,} confirmed late, "
            f"{found.refunds_due:,} refunds due"
        )
