"""T26, T28: requests over the limits are rejected at once, and change nothing."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from api.server.load_shedding import BACKOFF_S
from bench.load import open_loop, retry_after
from bench.load.connection import run_in_process
from bench.load.open_loop import OpenLoop, Step
from bench.load.retry_after import RetryAfter
from engine import Engine, Settings
from engine.ids import EventId
from tests.api.client import BOOKING, PAYMENT, WEBHOOK, bearer, token
from tests.support.callers import Caller, Callers, Told, post
from tests.support.factories import GALA, layout, selection, terms
from tests.support.own_valkey import OwnValkey
from tests.support.proxy import Proxy
from tests.support.serving import serving
from tests.support.trials import Trial
from tests.support.waiting import until

IN_FLIGHT_MAX = 20
CROWD = 100
ROW = 200
WIDE = EventId("wide")


def hold(seat: int) -> tuple[bytes, bytes]:
    """A hold of a seat of its own."""
    return post(BOOKING, json.dumps({"seatId": f"gala:A-1-{seat}"}))


def assert_rejected(told: Told) -> None:
    """The rejection that docs/http.md describes."""
    status, headers, problem = told
    assert (status, problem["code"]) == (503, "overloaded")
    assert 1 <= int(headers["retry-after"]) <= 33
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@asynccontextmanager
async def _crowded(
    own: OwnValkey, settings: Settings, folder: Path, **over: str
) -> AsyncIterator[tuple[Engine, Callers]]:
    """The API with a low in-flight limit, on a Valkey of its own."""
    over = {"REQUESTS_IN_FLIGHT_MAX": str(IN_FLIGHT_MAX), "REDIS_TIMEOUT_MS": "20000", **over}
    async with (
        await Engine.connect(settings) as engine,
        serving(settings, folder, **over) as port,
    ):
        await engine.events.load_event(GALA, layout(seats=ROW), terms(customer_max=0))
        callers = Callers(port)
        try:
            yield engine, callers
        finally:
            await callers.close()


async def test_requests_over_the_in_flight_limit_are_rejected_at_once_and_hold_nothing(
    own: OwnValkey, own_settings: Settings, tmp_path: Path
) -> None:
    async with _crowded(own, own_settings, tmp_path) as (engine, api):
        paid = await engine.bookings.hold_seats(selection("ann", "A-2-1"))
        callers = await api.many(CROWD)
        with own.paused():
            for seat, caller in enumerate(callers[:IN_FLIGHT_MAX], 1):
                await caller.send(b"".join(hold(seat)))
            await until(lambda: _is_full(api))
            began_s = time.monotonic()
            for seat, caller in enumerate(callers[IN_FLIGHT_MAX:], IN_FLIGHT_MAX + 1):
                head, body = hold(seat)
                parts = (head, body) if seat % 10 == 0 else (head + body,)
                assert_rejected(await caller.ask(*parts))
            took_s = time.monotonic() - began_s
            alive = await (await api.one()).ask(post("/healthz", method="GET")[0])
            assert alive[0] == 200
            paying = await api.one()
            await paying.send(post(f"{PAYMENT}/{paid.id}/confirm")[0])
        assert took_s < 5, "no rejection waited for Redis"
        answers = [await caller.answer() for caller in callers[:IN_FLIGHT_MAX]]
        assert {status for status, _, _ in answers} == {201}
        assert (await paying.answer())[2]["status"] == "confirmed"
        counts = (await engine.events.read_event(GALA)).counts
        assert (counts.held, counts.sold) == (IN_FLIGHT_MAX, 1)
        again = [
            await caller.ask(b"".join(hold(seat)))
            for seat, caller in enumerate(callers[IN_FLIGHT_MAX:], IN_FLIGHT_MAX + 1)
        ]
        assert {status for status, _, _ in again} == {201}, "the connections were kept"
        assert (await engine.events.read_event(GALA)).counts.held == CROWD


async def _is_full(api: Callers) -> bool:
    """Whether a request without effects is rejected."""
    return (await (await api.one()).ask(post("/api/v1/nothing", method="GET")[0]))[0] == 503


@pytest.mark.parametrize("proxies", ["", "127.0.0.1"])
async def test_early_retries_back_off_a_second_unless_from_a_proxy(
    own: OwnValkey, own_settings: Settings, tmp_path: Path, proxies: str
) -> None:
    async with _crowded(own, own_settings, tmp_path, TRUSTED_PROXIES=proxies) as (_, api):
        with own.paused():
            for seat in range(1, IN_FLIGHT_MAX + 1):
                await (await api.one()).send(b"".join(hold(seat)))
            await until(lambda: _is_full(api))
            hasty, patient = await api.many(2)
            took_s = [(await _rejected(hasty))[0] for _ in range(4)]
            for _ in range(4):
                patient_took_s, again_s = await _rejected(patient)
                assert patient_took_s < BACKOFF_S / 2
                await asyncio.sleep(again_s)
    assert max(took_s[:2]) < BACKOFF_S / 2, "the first two are rejected at once"
    if proxies:
        assert max(took_s) < BACKOFF_S / 2, "a proxy's connection carries other clients too"
    else:
        assert BACKOFF_S * 0.9 < min(took_s[2:]) <= max(took_s[2:]) < BACKOFF_S * 2


async def _rejected(caller: Caller) -> tuple[float, float]:
    """How long the rejection took, and the seconds until the retry."""
    began_s = time.monotonic()
    told = await caller.ask(b"".join(hold(IN_FLIGHT_MAX + 1)))
    assert_rejected(told)
    return time.monotonic() - began_s, int(told[2]["retryAfterMs"]) / 1000


async def test_unread_requests_do_not_count_as_in_flight(
    own: OwnValkey, own_settings: Settings, tmp_path: Path
) -> None:
    async with _crowded(own, own_settings, tmp_path) as (_, api):
        slow = await api.many(3 * IN_FLIGHT_MAX)
        for caller in slow:
            head, body = hold(1)
            await caller.send(head + body[:5])
        for seat in range(2, 10):
            assert (await (await api.one()).ask(b"".join(hold(seat))))[0] == 201
        await slow[0].send(hold(1)[1][5:])
        assert (await slow[0].answer())[0] == 201


async def test_connections_over_the_limit_are_rejected_and_closed(
    own: OwnValkey, own_settings: Settings, tmp_path: Path
) -> None:
    async with _crowded(own, own_settings, tmp_path, CONNECTIONS_MAX="10") as (_, api):
        callers = await api.many(10)
        for seat, caller in enumerate(callers, 1):
            assert (await caller.ask(b"".join(hold(seat))))[0] == 201
        late = await api.one()
        assert_rejected(await late.ask(b"".join(hold(11))))
        assert await late.reader.read() == b""
        callers[0].writer.close()

        async def is_let_in() -> bool:
            caller = await api.one()
            await caller.send(b"".join(hold(20)))
            return (await caller.answer())[0] == 201

        await until(is_let_in)


@pytest.mark.trial("T26")
async def test_redis_paused_is_503_by_the_deadline_and_then_as_before(
    own: OwnValkey, own_settings: Settings, trial: Trial, tmp_path: Path
) -> None:
    per_s, seconds = 200, max(8, trial.rounds(5, 10)) if trial.long else 5
    paused_s, timeout_s = (1.2, 0.8) if not trial.long else (3.0, 2.0)
    over = {
        "REQUESTS_IN_FLIGHT_MAX": "100",
        "REDIS_TIMEOUT_MS": f"{timeout_s * 1000:.0f}",
    }
    async with _crowded(own, own_settings, tmp_path, **over) as (engine, api):
        await engine.events.load_event(WIDE, layout(rows=20, seats=ROW), terms(customer_max=0))
        load = OpenLoop(
            url=api.url, token=token("ann", ("booking:create:own",)),
            bodies=_wide_bodies(20),
            steps=[Step(per_s, seconds)], connections=300, niceness=10,
        )  # fmt: skip
        offering = asyncio.create_task(run_in_process(open_loop.run, load))

        async def has_begun() -> bool:
            return (await engine.events.read_event(WIDE)).counts.held > per_s // 2

        await until(has_begun)
        with own.paused():
            await asyncio.sleep(paused_s)
        resumed_ms = time.time() * 1000
        came = await offering
        held = (await engine.events.read_event(WIDE)).counts.held
    assert set(came.statuses) == {201, 503}
    assert came.failed_count == came.unexplained_count == 0
    assert came.slowest_ms < (2.5 * timeout_s + 0.5) * 1000
    assert came.statuses[201] <= held <= came.statuses[201] + came.statuses[503]
    recovery_s = came.recovered_ms(resumed_ms) / 1000
    assert recovery_s < 2
    trial.tell(
        1, f"Redis paused {paused_s} s, {per_s} holds/s",
        f"statuses {came.statuses}, slowest answer {came.slowest_ms:.0f} ms, "
        f"goodput back after {recovery_s:.2f} s",
    )  # fmt: skip


@pytest.mark.trial("T28")
async def test_opening_crowd_that_follows_retry_after_is_served_once_each(
    own: OwnValkey, own_settings: Settings, trial: Trial, tmp_path: Path
) -> None:
    customer_count, rows = trial.rounds(300, 20_000), trial.rounds(3, 100)
    places = "20" if not trial.long else "250"
    async with _crowded(own, own_settings, tmp_path, REQUESTS_IN_FLIGHT_MAX=places) as (
        engine,
        api,
    ):
        wide = layout(rows=rows, seats=ROW)
        await engine.events.load_event(WIDE, wide, terms(customer_max=0))
        load = RetryAfter(
            url=api.url,
            token=token("ann", ("booking:create:own",)),
            bodies=_wide_bodies(rows)[:customer_count],
            within_s=0.1,
        )
        opened = await run_in_process(retry_after.run, load)
        counts = (await engine.events.read_event(WIDE)).counts
    assert set(opened.statuses) <= {201, 503}
    assert opened.unexplained_count == 0
    assert len(opened.waited_s) == counts.held == opened.statuses[201] == customer_count
    trial.tell(
        customer_count, f"customers at once, {places} places, one API process",
        f"all served in {opened.waited_s[-1]:.1f} s, {opened.statuses.get(503, 0):,} turned away, "
        f"busiest second {opened.busiest_per_s:,} requests, {opened.broken_count:,} broken",
    )  # fmt: skip


def _wide_bodies(rows: int) -> list[str]:
    return [
        f'{{"seatId":"wide:A-{row}-{seat}"}}'
        for row in range(1, rows + 1)
        for seat in range(1, ROW + 1)
    ]


async def test_slow_postgres_slows_no_hold_and_its_own_calls_are_bounded(
    own: OwnValkey, own_settings: Settings, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "way"
    folder.mkdir()
    host = parse_qs(urlsplit(database_url).query)["host"][0]
    async with Proxy(f"unix://{host}/.s.PGSQL.5432", folder) as proxy:
        os.symlink(urlsplit(proxy.url).path, folder / ".s.PGSQL.5432")
        through = urlsplit(database_url)._replace(query=f"host={folder}").geturl()
        settings = msgspec.structs.replace(own_settings, database_url=through)
        async with _crowded(own, settings, tmp_path, REQUESTS_IN_FLIGHT_MAX="250") as (_, api):
            ask = f"GET {WEBHOOK} HTTP/1.1\r\nHost: api\r\nAuthorization: "
            ask += bearer("orla", "organizer")["authorization"] + "\r\n\r\n"
            assert (await (await api.one()).ask(ask.encode()))[0] == 200
            proxy.stall()
            askers = await api.many(120)
            began_s = time.monotonic()
            waiting = [asyncio.create_task(asker.ask(ask.encode())) for asker in askers]
            took_s = []
            caller = await api.one()
            for seat in range(1, 51):
                hold_began_s = time.monotonic()
                assert (await caller.ask(b"".join(hold(seat))))[0] == 201
                took_s.append(time.monotonic() - hold_began_s)
            assert time.monotonic() - began_s < 3, "while they waited"
            assert sorted(took_s)[-2] < 0.5
            _, with_postgres = await asyncio.wait(waiting, timeout=3.5)
            assert len(with_postgres) <= 4, "as many as there are connections"
            answers = [task.result() for task in waiting if task not in with_postgres]
            assert {status for status, _, _ in answers} == {503}
            codes = Counter(problem["code"] for _, _, problem in answers)
            assert set(codes) == {"overloaded", "unavailable"}
            assert codes["unavailable"] <= 50
            proxy.flow()
            await asyncio.gather(*with_postgres)
