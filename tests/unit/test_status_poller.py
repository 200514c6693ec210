"""Polls that continue through an outage, and the source of the refusals."""

import asyncio
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from cli.status.poller import StatusPoller
from cli.status.refusal_counts import RefusalCounts, of_all, of_event
from cli.status.text import lines_of, status_of
from engine import Engine, Settings
from engine.errors import EventNotFound, Misconfigured, Unavailable
from engine.ids import EventId
from tests.support.factories import GALA, layout, selection, terms
from tests.support.proxy import Proxy
from tests.support.waiting import until

_ROOT = Path(__file__).parents[2]
_METRICS = """\
# HELP engine_calls_total Script calls by outcome code.
# TYPE engine_calls_total counter
engine_calls_total{code="seat_taken",script="hold_seats"} 9.0
# HELP engine_refusals_total Script calls that were refused, by event and code.
# TYPE engine_refusals_total counter
engine_refusals_total{code="seat_taken",event="gala"} 8.0
engine_refusals_total{code="booking_expired",event="gala"} 1.0
engine_refusals_total{code="seat_taken",event="derby"} 4.0
engine_refusals_total{code="event_not_found",event=""} 2.0
# HELP http_requests_total HTTP requests answered.
# TYPE http_requests_total counter
http_requests_total{method="GET"} 9.0
"""


@pytest.fixture
def api() -> Iterator[tuple[str, list[int]]]:
    """The URL of something that answers /metrics, and the statuses it is to answer with."""
    statuses = [200]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/metrics"
            self.send_response(statuses[-1])
            self.end_headers()
            self.wfile.write(_METRICS.encode())

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    yield f"http://127.0.0.1:{server.server_port}", statuses
    server.shutdown()
    server.server_close()


def _poller(engine: Engine, tmp_path: Path, event: EventId | None = GALA) -> StatusPoller:
    return StatusPoller(engine, RefusalCounts(None, tmp_path), event, with_sections=True)


async def _is_well(poller: StatusPoller) -> bool:
    return (await poller.try_poll()).trouble is None


async def test_refusals_come_from_the_metrics_of_an_api(
    api: tuple[str, list[int]], tmp_path: Path
) -> None:
    url, statuses = api
    counts = RefusalCounts(url + "/", tmp_path)
    found = await counts.read()
    assert of_event(found, "gala") == {"seat_taken": 8, "booking_expired": 1}
    assert of_event(found, "quiet") == {}
    assert of_all(found) == {"seat_taken": 12, "event_not_found": 2, "booking_expired": 1}
    statuses.append(503)
    assert await counts.read() is None


async def test_refusals_come_from_the_files_that_processes_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    count = (
        "from engine.metrics import metrics; "
        "[metrics.refusals.labels('gala', c).inc() for c in {!r}]"
    )
    for codes in (["seat_taken", "seat_taken"], ["seat_taken", "area_full"]):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", count.format(codes)),
            cwd=_ROOT,
            env={"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        )
        assert await process.wait() == 0
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
    assert await RefusalCounts(None, tmp_path).read() == {"gala": {"seat_taken": 3, "area_full": 1}}


async def test_refusals_that_are_not_counted_are_none_and_a_wrong_url_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    assert await RefusalCounts(None, tmp_path).read() is None
    (tmp_path / "metrics").mkdir()  # of an `engine up` that ended
    assert await RefusalCounts(None, tmp_path).read() is None
    assert await RefusalCounts("http://127.0.0.1:1", tmp_path).read() is None
    with pytest.raises(Misconfigured, match="--url"):
        RefusalCounts("redis://localhost", tmp_path)


async def test_polls_go_on_through_an_outage_and_lose_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    async with Proxy(settings.redis_url, tmp_path) as proxy:
        behind = msgspec.structs.replace(settings, redis_url=proxy.url)
        async with await Engine.connect(behind) as engine, await Engine.connect(settings) as other:
            await other.events.load_event(GALA, layout(), terms())
            poller = _poller(engine, tmp_path)
            before = await poller.try_poll()
            assert before.trouble is None
            await proxy.cut()
            away = [await poller.try_poll() for _ in range(2)]
            troubles = [snapshot.trouble for snapshot in away if snapshot.trouble]
            assert [trouble.kind for trouble in troubles] == ["redis_away", "redis_away"]
            assert troubles[0].since_s == troubles[1].since_s < away[0].at_s < away[1].at_s
            assert away[1].events == before.events
            [line] = lines_of(away[1])
            assert " trouble=redis_away since=" in line
            assert status_of(away[1]).trouble
            await other.bookings.hold_seats(selection("ann", "A-1-1"))
            await proxy.restore()
            await until(lambda: _is_well(poller))
            after = await poller.try_poll()
    seen = after.events[GALA]
    assert seen.pulse.totals["seats_held"] == 1
    assert any(rates.holds > 0 for rates in seen.course.history)
    assert seen.sections[0].counts.held == 1
    [line] = lines_of(after)
    assert line.split()[1:6] == ["event=gala", "sales=open", "available=9", "held=1", "sold=0"]
    assert "refusals_per_s=- " in line
    assert "trouble" not in line


async def test_a_redis_that_hangs_counts_as_away(
    engine: Engine, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.events.load_event(GALA, layout(), terms())
    poller = _poller(engine, tmp_path)
    monkeypatch.setattr("cli.status.poller.POLL_TIMEOUT_S", 0.05)
    await redis.client_pause(500, all=True)
    with pytest.raises(Unavailable, match="does not answer"):
        await poller.poll()
    assert (await poller.try_poll()).trouble
    await redis.client_unpause()
    monkeypatch.undo()
    await until(lambda: _is_well(poller))


async def test_all_events_are_polled_and_one_that_goes_is_left_out(
    engine: Engine, redis: Redis, tmp_path: Path
) -> None:
    for event in ("one", "two"):
        await engine.events.load_event(EventId(event), layout(), terms())
    poller = _poller(engine, tmp_path, None)
    assert list((await poller.poll()).events) == ["one", "two"]
    await redis.delete("{one}:event")
    snapshot = await poller.try_poll()
    assert list(snapshot.events) == ["two"]
    assert snapshot.trouble is None


async def test_a_chosen_event_that_is_deleted_is_reported_and_is_no_outage(
    engine: Engine, redis: Redis, tmp_path: Path
) -> None:
    poller = _poller(engine, tmp_path)
    with pytest.raises(EventNotFound):
        await poller.poll()
    await engine.events.load_event(GALA, layout(), terms())
    await poller.poll()
    await redis.delete("{gala}:event")
    trouble = (await poller.try_poll()).trouble
    assert trouble
    assert (trouble.kind, "no such event" in trouble.why) == ("refused", True)
