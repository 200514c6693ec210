"""Health, readiness, and the responses while Redis is down."""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from httpx2 import ASGITransport, AsyncClient
from redis.asyncio import Redis
from starlette.applications import Starlette

from api.app import SWITCH_INTERVAL_S, create_app
from api.http.drain_state import DRAINING
from api.stores import Stores
from cli.app import app_factory
from embedded import servers
from engine import Engine, Settings, Unavailable
from persistence.stores.stores import PostgresStores
from tests.api.client import BOOKING, EVENT, PAYMENT, SECRET, Api, bearer

ANN = bearer("ann")


async def test_readiness_names_the_parts_it_waits_for(settings: Settings, engine: Engine) -> None:
    waiting = msgspec.structs.replace(settings, ready_parts="expirer,writer")
    async with _app(waiting) as http:
        await engine.beat("expirer")
        half = await http.get("/readyz")
        await engine.beat("writer")
        whole = await http.get("/readyz")
    assert (half.status_code, half.json()["status"]) == (503, "unready")
    parts = half.json()["parts"]
    assert parts["redis"] == {"state": "up", "heartbeatAgeS": None, "why": "", "required": True}
    assert parts["expirer"]["state"] == "up"
    assert 0 <= parts["expirer"]["heartbeatAgeS"] < 5
    assert parts["writer"] == {
        "state": "down",
        "heartbeatAgeS": None,
        "why": "no heartbeat within the hour",
        "required": True,
    }
    assert (whole.status_code, whole.json()["status"]) == (200, "ready")


async def test_readiness_reports_how_long_a_part_is_silent(
    settings: Settings, engine: Engine, redis: Redis
) -> None:
    async with _app(msgspec.structs.replace(settings, ready_parts="writer")) as http:
        await engine.beat("writer")
        await redis.expire("part:writer", 3600 - 30)
        answer = await http.get("/readyz")
    found = answer.json()["parts"]["writer"]
    assert (answer.status_code, found["state"], found["why"]) == (
        503, "down", "no heartbeat for 30 s",
    )  # fmt: skip
    assert 30 <= found["heartbeatAgeS"] < 31


async def test_readiness_reports_postgres_and_does_not_wait_for_it(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    async with _app(settings, PostgresStores(database_url)) as http:
        there = await http.get("/readyz")
    nowhere = f"postgresql://nobody@/none?host={tmp_path}"
    away = msgspec.structs.replace(settings, database_url=nowhere)
    async with _app(away, PostgresStores(nowhere)) as http:
        gone = await http.get("/readyz")
    assert there.json()["parts"]["postgres"] == {
        "state": "up",
        "heartbeatAgeS": None,
        "why": "",
        "required": False,
    }
    assert (gone.status_code, gone.json()["status"]) == (200, "ready")
    assert gone.json()["parts"]["postgres"]["state"] == "down"
    assert "cannot be reached" in gone.json()["parts"]["postgres"]["why"]


async def test_readiness_ends_with_the_draining(api: Api) -> None:
    DRAINING.begin()
    try:
        answer = await api.call("GET", "/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "draining")
        assert answer.headers["connection"] == "close"
    finally:
        DRAINING.reset()


@asynccontextmanager
async def _app(settings: Settings, stores: Stores | None = None) -> AsyncIterator[AsyncClient]:
    app = create_app(settings, stores)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://api") as http,
    ):
        yield http


async def test_metrics_are_in_the_text_format_of_prometheus(api: Api) -> None:
    await api.office.open()
    await api.held("ann", "A-1-1")
    for path in ("/metrics", "/api/v1/metrics"):
        answer = await api.call("GET", path)
        assert answer.headers["content-type"].startswith("text/plain")
        for name in ("http_requests_total", "http_requests_duration_seconds", "tickets_sold_total"):
            assert f"\n# TYPE {name.removesuffix('_total')}" in answer.text
        assert 'route="hold_seats",statusCode="201"' in answer.text


async def test_metrics_of_several_processes_come_from_their_folder(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    answer = await api.call("GET", "/metrics")
    assert (answer.status_code, answer.content) == (200, b"")  # no process has written there


@pytest.fixture
async def cut_off(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    """An app whose Redis was there at its start and then went away."""
    started = servers.start(tmp_path / "redis", redis=True, postgres=False)
    async with AsyncExitStack() as stack:
        running = stack.enter_context(ExitStack())
        running.callback(started.stop)
        app = create_app(Settings(redis_url=started.redis_url, jwt_secret=SECRET))
        await stack.enter_async_context(app.router.lifespan_context(app))
        http = AsyncClient(transport=ASGITransport(app), base_url="http://api")
        await stack.enter_async_context(http)
        assert (await http.get("/readyz")).status_code == 200
        running.close()
        yield http


async def test_every_call_is_503_at_once_while_redis_is_gone(cut_off: AsyncClient) -> None:
    booking = "gala:01JDTESTTESTTESTTESTTESTTE"
    calls = [
        ("POST", BOOKING, {"seatId": "gala:A-1-1"}),
        ("GET", BOOKING, None),
        ("GET", f"{BOOKING}?eventId=gala", None),
        ("GET", f"{BOOKING}/mine", None),
        ("GET", f"{BOOKING}/mine?eventId=gala", None),
        ("GET", f"{BOOKING}/{booking}", None),
        ("DELETE", f"{BOOKING}/{booking}", None),
        ("POST", f"{PAYMENT}/{booking}/confirm", None),
        ("GET", EVENT, None),
        ("GET", f"{EVENT}/gala", None),
        ("GET", f"{EVENT}/gala/seats", None),
        ("GET", f"{EVENT}/gala/availability", None),
    ]
    for method, path, body in calls:
        began = time.monotonic()
        answer = await cut_off.request(method, path, headers=ANN, json=body)
        assert time.monotonic() - began < 1
        assert answer.status_code == 503, path
        assert answer.headers["retry-after"] in ("1", "2", "3")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] in ("unavailable", "outcome_unknown")
    unready = await cut_off.get("/readyz")
    assert (unready.status_code, unready.json()["parts"]["redis"]["state"]) == (503, "down")
    assert (await cut_off.get("/healthz")).json() == {"status": "alive", "parts": {}}


async def test_app_without_redis_does_not_start(tmp_path: Path) -> None:
    nowhere = Settings(redis_url=f"unix://{tmp_path}/none.sock", jwt_secret=SECRET)
    app = create_app(nowhere)
    with pytest.raises(Unavailable, match=r"none\.sock"):
        async with app.router.lifespan_context(app):
            pass


def test_app_factory_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    assert isinstance(app_factory(), Starlette)


async def test_started_app_gives_the_event_loop_the_gil_soon(
    settings: Settings, redis: Redis
) -> None:
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.005)
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)
    finally:
        sys.setswitchinterval(before)
