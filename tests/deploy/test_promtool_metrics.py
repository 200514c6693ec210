"""A real scrape with every metric filled, read by Prometheus' own `promtool check metrics`.

The app and all parts run in this process and a sale moves them. promtool has one complaint, the
label `statusCode`: dashboards of the field ask for it by this name, so it stays.
"""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app
from engine import Engine, Settings
from engine.errors import SeatTaken
from engine.expirer import Expirer
from engine.metrics import metrics
from persistence.database import connect
from persistence.delivery.deliverer import Deliverer
from persistence.journal.writer import Writer
from persistence.reconcile.rounds import Rounds
from persistence.stores.stores import PostgresStores
from tests.deploy.conftest import program
from tests.support.factories import GALA, layout, selection, terms
from tests.support.readings import exceeds, reads

pytestmark = pytest.mark.prometheus

COMPLAINT = re.compile(
    r"http_requests_(total|duration_seconds) label names should be written in 'snake_case'.*\n"
)


@asynccontextmanager
async def parts(engine: Engine, settings: Settings) -> AsyncIterator[AsyncClient]:
    """The app and every part, on one Redis and one Postgres; yields a client of the app."""
    stop = asyncio.Event()
    app = create_app(settings, PostgresStores(settings.database_url))
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await connect(settings.database_url))
        await stack.enter_async_context(app.router.lifespan_context(app))
        http = AsyncClient(transport=ASGITransport(app), base_url="http://api")
        await stack.enter_async_context(http)
        running: list[Any] = [Expirer(engine), Writer(engine, pool, settings)]
        running += [Deliverer(engine, pool, settings), Rounds(engine, pool, 0.2)]
        tasks = [asyncio.create_task(part.run(stop)) for part in running]
        yield http
        stop.set()
        await asyncio.gather(*tasks)


async def _sell(engine: Engine) -> None:
    """One booking for each end it can have."""
    await engine.events.load_event(GALA, layout(), terms(hold_ttl_ms=1000))
    bought = await engine.bookings.hold_seats(selection("ann", "A-1-1"))
    await engine.bookings.confirm_booking(bought.id, None)
    with pytest.raises(SeatTaken):
        await engine.bookings.hold_seats(selection("bob", "A-1-1"))
    await engine.bookings.hold_seats(selection("bob", "A-1-2"))
    await exceeds(0, "bookings_expired_total")
    await exceeds(0, "writer_entries_total")
    await exceeds(0, "reconcile_last_run_timestamp_seconds")
    for name in ("engine_redis_up", "engine_listener_up", "writer_up", "expirer_up"):
        await reads(1, name)
    await reads(0, "webhook_oldest_undelivered_seconds")
    await reads(1, "engine_seats", event="gala", status="sold")
    await reads(0, "writer_lag_seconds", event="gala")
    metrics.restore_progress.labels(GALA).set(1)  # nothing was lost here that it could restore


async def test_promtool_finds_nothing_in_a_scrape_with_every_metric(
    engine: Engine, settings: Settings, database_url: str
) -> None:
    promtool = program("promtool")
    async with parts(engine, settings) as http:
        await _sell(engine)
        await http.get("/healthz")
        scraped = (await http.get("/metrics")).text
    filled = {family.name for family in text_string_to_metric_families(scraped) if family.samples}
    made = {one._name for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)}
    assert made <= filled
    checked = await asyncio.to_thread(
        subprocess.run,
        [promtool, "check", "metrics"],
        input=scraped, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert COMPLAINT.sub("", checked.stdout) == ""


def test_promtool_refuses_what_is_wrong() -> None:
    """The control: names that break the rules are named."""
    wrong = "# TYPE lag_milliseconds gauge\nlag_milliseconds 1\n"
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=wrong, text=True, check=False, capture_output=True,
    )  # fmt: skip
    assert checked.returncode != 0
