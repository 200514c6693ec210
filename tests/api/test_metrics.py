"""The API's metrics of its responses, and a scrape that delays no request."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from httpx2 import ASGITransport, AsyncClient
from redis.asyncio import Redis

from api.app import create_app
from api.metrics import in_flight_measured
from api.services import Services
from api.stores import NoStores
from engine import Engine, Settings
from engine.metrics import shared_files
from tests.api.client import BOOKING, EVENT, PAYMENT, Api, bearer
from tests.support.box_office import BoxOffice
from tests.support.readings import reads, value
from tests.support.waiting import until


def _counted(route: str, status: int, *, method: str, path: str) -> tuple[float, float]:
    labels = {"method": method, "path": path, "route": route, "statusCode": f"{status}"}
    count = value("http_requests_total", **labels)
    timed = value("http_requests_duration_seconds_count", **labels)
    return count or 0, timed or 0


class Refused(NamedTuple):
    """A call that is answered with `status`, and the labels it is counted under."""

    status: int
    method: str
    path: str
    who: str | None
    body: object
    route: str
    template: str


REFUSED = (
    Refused(401, "POST", BOOKING, None, {"seatId": "gala:A-1-1"}, "hold_seats", BOOKING),
    Refused(
        *(403, "PATCH", f"{EVENT}/gala", "ann", {"sales": "open"}),
        *("set_terms", EVENT + "/{event_id}"),
    ),
    Refused(404, "GET", f"{EVENT}/opera", None, None, "read_event", EVENT + "/{event_id}"),
    Refused(404, "GET", "/no/such/path", None, None, "unmatched", "unmatched"),
    Refused(405, "PUT", BOOKING, "ann", None, "unmatched", BOOKING),
    Refused(413, "POST", BOOKING, "ann", {"seatId": "x" * 70_000}, "hold_seats", BOOKING),
    Refused(422, "POST", BOOKING, "ann", {"seatIds": []}, "hold_seats", BOOKING),
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.status} {case.route}")
async def test_refusal_is_counted_with_every_label(api: Api, case: Refused) -> None:
    def counted() -> tuple[float, float]:
        return _counted(case.route, case.status, method=case.method, path=case.template)

    await api.office.open()
    before = counted()
    caller = bearer(case.who) if case.who else {}
    answer = await api.http.request(case.method, case.path, json=case.body, headers=caller)
    assert answer.status_code == case.status, answer.text
    await asyncio.sleep(0)  # it is counted at the end of its tick
    assert counted() == (before[0] + 1, before[1] + 1)


@pytest.fixture
async def choked(settings: Settings, engine: Engine, redis: Redis) -> AsyncIterator[Api]:
    """An app that lets every customer call once."""
    limited = msgspec.structs.replace(
        settings, rate_limits="on", limit_customer_per_s=1, limit_customer_burst=1
    )
    app = create_app(limited)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        http = AsyncClient(transport=ASGITransport(app), base_url="http://api")
        await stack.enter_async_context(http)
        yield Api(http, BoxOffice(engine, redis))


async def test_too_many_calls_are_counted(choked: Api) -> None:
    await choked.office.open()
    before = _counted("hold_seats", 429, method="POST", path=BOOKING)
    statuses = [(await choked.hold("ann", f"A-1-{seat}")).status_code for seat in (1, 2)]
    assert statuses == [201, 429]
    after = _counted("hold_seats", 429, method="POST", path=BOOKING)
    assert after == (before[0] + 1, before[1] + 1)


async def test_call_that_redis_cannot_answer_is_counted(
    api: Api, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = PAYMENT + "/{booking_id}/confirm"
    before = _counted("confirm_booking", 503, method="POST", path=path)
    await api.office.open()
    held = (await api.held("ann", "A-1-1"))["id"]
    await redis.config_set("maxmemory", "1")  # every write is refused: OOM
    try:
        answer = await api.call("POST", f"{PAYMENT}/{held}/confirm", bearer("ann"))
    finally:
        await redis.config_set("maxmemory", "0")
    assert answer.status_code == 503
    after = _counted("confirm_booking", 503, method="POST", path=path)
    assert after == (before[0] + 1, before[1] + 1)


async def test_hold_is_counted_by_its_outcome_and_its_script_is_timed(api: Api) -> None:
    def counted() -> list[float]:
        codes = ("ok", "seat_taken")
        calls = [value("engine_calls_total", script="hold_seats", code=code) for code in codes]
        timed = value("engine_call_duration_seconds_count", script="hold_seats")
        return [found or 0 for found in (*calls, timed, value("engine_batch_calls_count"))]

    await api.office.open()
    before, sold = counted(), value("tickets_sold_total") or 0
    held = await api.held("ann", "A-1-1")
    await api.hold("bob", "A-1-1")
    after = counted()
    assert [now - was for now, was in zip(after[:3], before[:3], strict=True)] == [1, 1, 2]
    assert after[3] > before[3]
    await api.call("POST", f"{PAYMENT}/{held['id']}/confirm", bearer("ann"))
    assert value("tickets_sold_total") == sold + 1


async def test_scrapes_share_one_collection_and_delay_no_request(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, count = threading.Event(), 0

    def slowly() -> bytes:
        nonlocal count
        count += 1
        go_on.wait(30)
        return b"told\n"

    async def begun() -> bool:
        return count > 0

    monkeypatch.setattr(shared_files, "scrape", slowly)
    scrapes = [asyncio.create_task(api.http.get("/metrics")) for _ in range(5)]
    await until(begun)
    assert (await api.http.get("/healthz")).status_code == 200, "the loop is free meanwhile"
    assert not any(scrape.done() for scrape in scrapes)
    go_on.set()
    assert {(await scrape).text for scrape in scrapes} == {"told\n"}
    assert count == 1
    assert (await api.http.get("/metrics")).text == "told\n"
    assert count == 2, "what is over is not told again"


async def test_scrape_of_a_client_that_disconnects_is_not_lost_for_the_others(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def slowly() -> bytes:
        go_on.wait(30)
        return b"told\n"

    monkeypatch.setattr(shared_files, "scrape", slowly)
    first, second = (asyncio.create_task(api.http.get("/metrics")) for _ in range(2))
    await asyncio.wait({first}, timeout=0.05)
    first.cancel()
    go_on.set()
    assert (await second).text == "told\n"


async def test_scrape_is_made_here_when_no_process_can_be_made(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> bytes:
        return b"told\n"

    monkeypatch.setenv(shared_files.FOLDER, str(tmp_path))
    monkeypatch.setattr(shared_files, "scrape", told)
    for program in (sys.executable, "/nowhere/python"):
        monkeypatch.setattr(sys, "executable", program)
        monkeypatch.setattr(shared_files, "__file__", "/nowhere/metric_files.py")
        assert (await api.http.get("/metrics")).text == "told\n"


async def test_requests_in_flight_are_shown(settings: Settings) -> None:
    services = Services(settings, NoStores())
    services.in_flight_count = 3
    async with in_flight_measured(services):
        await reads(3, "http_requests_in_flight")
        services.in_flight_count = 1
        await reads(1, "http_requests_in_flight")
    assert value("http_requests_in_flight") == 0
