"""`engine reconcile`: compares Redis with Postgres once, or again and again as a part."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import output
from cli.durations import Seconds
from cli.metrics_port import metrics_port_option, metrics_shown
from cli.sources import data_option, event_id_of, json_option, refuse_without_database, settings_for
from cli.workers import log_as, run_part
from engine import logs
from engine.engine import Engine
from engine.errors import Misconfigured, Unavailable
from engine.ids import EventId
from engine.metrics import metrics
from engine.settings.settings import Settings

if TYPE_CHECKING:
    from persistence.reconcile.report import ReconcileReport

NICE = 10
"""Niceness of the rounds, so that a sale on the same machine comes first."""

_RETRY_S = 5.0


@click.command()
@click.argument("event", required=False)
@click.option(
    "--repair", is_flag=True, help="Repair what is safe to repair, and report what was done."
)
@click.option(
    "--lag", type=Seconds(0), default=5.0, show_default=True,
    help="Seconds the writer may be behind before it counts as a difference.",
)  # fmt: skip
@click.option(
    "--every", type=Seconds(0, min_open=True), metavar="SECONDS",
    help="Run until stopped: compare every event at this interval, set the metrics, log one line.",
)  # fmt: skip
@metrics_port_option
@data_option
@json_option
def reconcile(
    event: str | None,
    repair: bool,
    lag: float,
    every: float | None,
    metrics_port: int | None,
    data: Path,
    as_json: bool,
) -> None:
    """Compare Redis with Postgres for EVENT, or every event, and list each difference.

    Exit code 0 if they agree, otherwise 1; with --repair, 0 if everything was repaired. With
    --every it runs until SIGTERM and repairs nothing, and entries that the writer has not written
    yet are no difference.
    """
    settings = settings_for(data)
    refuse_without_database(settings, data)
    if every is None:
        chosen = None if event is None else event_id_of(event)
        sys.exit(asyncio.run(_reconcile(settings, chosen, repair, lag, as_json)))
    if event or repair or as_json:
        raise Misconfigured("--every compares every event, repairs nothing and prints nothing")
    log_as("reconciler", settings)
    os.nice(NICE)
    with metrics_shown(metrics_port):
        run_part(_Rounds(settings, every).run)


class _Rounds:
    """Runs the rounds; waits for servers that are not reachable at the start."""

    def __init__(self, settings: Settings, every_s: float) -> None:
        self._settings = settings
        self._every_s = every_s

    async def run(self, stop: asyncio.Event) -> None:
        """Reconcile until `stop` is set. Raises Misconfigured."""
        while not stop.is_set():
            try:
                await self._run_connected(stop)
            except Unavailable as error:
                metrics.reconcile_runs.labels("failed").inc()
                logs.get("reconciler").warning("not_connected", why=str(error))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), min(_RETRY_S, self._every_s))

    async def _run_connected(self, stop: asyncio.Event) -> None:
        from persistence import database
        from persistence.reconcile.rounds import Rounds

        settings = self._settings
        async with (
            await Engine.connect(settings) as engine,
            engine.log_level.followed(settings.log_level),
            await database.connect(settings.database_url) as pool,
        ):
            await Rounds(engine, pool, self._every_s).run(stop)


async def _reconcile(
    settings: Settings, chosen: EventId | None, repair: bool, lag_s: float, as_json: bool
) -> int:
    from persistence import database
    from persistence.reconcile.reconciler import reconcile as run

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
    with output.report():
        _show(report, as_json)
    return 0 if report.clean else 1


def _show(report: "ReconcileReport", as_json: bool) -> None:
    if as_json:
        output.show_json(report)
    elif rows := [
        (item.event_id, item.kind, item.subject, item.detail, item.repaired or "")
        for item in report.differences
    ]:
        columns = ("event", "kind", "subject", "found", "repaired")
        output.show_table("Differences", columns, rows)
    else:
        output.say(("Redis and Postgres agree", "green"))
