"""A real Prometheus watches a real war: silent while all is well, firing for each planted cause.

`make watch-test` runs it. Rules are the deployed ones with windows of seconds (`watching`).
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from bench.war.prometheus_summary import FIRED, HOLDS, LAG, SOLD, line
from embedded import servers
from tests.deploy.known import ROOT, alerts, known, recordings
from tests.deploy.promql import faults
from tests.deploy.test_dashboards import TARGETS
from tests.deploy.watching import WINDOW_S, Prometheus, copied, shortened, watched
from tests.support.buying import Buyers
from tests.support.running import Up, running_up
from tests.support.servers import children_of
from tests.support.waiting import until

pytestmark = pytest.mark.prometheus

SEATS_COUNT = 6000
THRESHOLDS = {"max by (event) (writer_lag_seconds) > 30": "max by (event) (writer_lag_seconds) > 2"}

MAY_BE_EMPTY = {"Alerts firing", "Most frequent refusals", "Restore"}
"""Panels that may show nothing after a war in which all is well."""


def _plan() -> Iterator[str]:
    yield "section,row,number,category,price_minor"
    for number in range(SEATS_COUNT):
        yield f"S,{number // 50},{number % 50},seat,4900"


def _seats(event: str) -> Iterator[str]:
    """From the end, where the buyers of the war did not get to."""
    return (f"{event}:S-{n // 50}-{n % 50}" for n in reversed(range(SEATS_COUNT)))


def _part(up: Up, word: str) -> int:
    """The pid of a part by the command it was started with."""
    for pid in children_of(up.process.pid):
        if word in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
            return pid
    raise AssertionError(f"no process runs engine {word}")


def _look_anew(up: Up) -> None:
    """Let the supervisor start the reconciler again: it compares at once, and not in a minute."""
    os.kill(_part(up, "reconcile"), signal.SIGKILL)


async def test_prometheus_is_silent_in_a_war_and_fires_on_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "seats.csv").write_text("\n".join(_plan()), encoding="utf-8")
    async with running_up(tmp_path / "data", RATE_LIMITS="off") as up:
        await up.ready()
        load = ("load", str(tmp_path / "seats.csv"), "--event", "gala", "--hold-ttl", "2")
        code, said = await up.engine(*load)
        assert code == 0, said
        _look_anew(up)
        config = copied(ROOT / "deploy" / "prometheus", tmp_path, up.port, THRESHOLDS)
        async with watched(config) as prometheus:
            await _is_silent_in_a_war(up, prometheus)
            await _tells_of_a_deaf_listener(up, prometheus)
            await _tells_of_parts_that_hang(up, prometheus)
            await _tells_of_a_difference(up, prometheus)
            await up.end(signal.SIGTERM)
            await _fires(prometheus, "PartDown", part="engine")


async def _is_silent_in_a_war(up: Up, prometheus: Prometheus) -> None:
    async def is_silent() -> bool:  # before the first scrape everything is absent
        compared = await prometheus.query('reconcile_differences{event="gala"}')
        return bool(compared) and not await prometheus.firing()

    await until(is_silent)
    clock = asyncio.get_running_loop().time
    began = clock()
    url = f"http://127.0.0.1:{up.port}"
    war = ("war", "--event", "gala", "--buyers", "40", "--seconds", "4", "--url", url)
    code, said = await up.engine(*war)
    assert code == 0, said
    assert await prometheus.targets() == {"engine": "up"}
    rules = await prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}
    assert len(rules) == len(alerts()) + len(recordings())
    for rule in recordings():
        assert await prometheus.query(f"last_over_time({rule['record']}[1m])"), rule["record"]
    [sold] = await prometheus.query("max_over_time(engine:tickets_sold:increase5m[1m])")
    assert float(sold["value"][1]) > 10
    assert re.match(
        r"up to [1-9]\d* holds/s, \d+ places sold", await asyncio.to_thread(line, prometheus.url)
    )
    assert await _empty_panels(prometheus) <= MAY_BE_EMPTY
    lately = f"[{clock() - began:.0f}s]"
    fired = await prometheus.query(f'last_over_time(ALERTS{{alertstate="firing"}}{lately})')
    assert [one["metric"] for one in fired] == []


async def _empty_panels(prometheus: Prometheus) -> set[str]:
    """The panels on what is ours that show nothing; none may have a query that fails."""
    empty = set()
    for target in TARGETS:
        if target.dashboard in ("on-sale", "engine", "persistence"):
            found = await prometheus.query(target.query.replace("[1m]", f"[{WINDOW_S}s]"))
            if not found:
                empty.add(target.panel)
    return empty


async def _tells_of_a_deaf_listener(up: Up, prometheus: Prometheus) -> None:
    """The server takes the right to listen away; gives it back."""
    async with Redis.from_url(up.servers().redis_url) as client:
        await client.execute_command("ACL", "SETUSER", "default", "resetchannels")  # type: ignore[no-untyped-call]
        await _fires(prometheus, "ListenerDown")
        await client.execute_command("ACL", "SETUSER", "default", "allchannels")  # type: ignore[no-untyped-call]
    await _ends(prometheus, "ListenerDown")


async def _tells_of_parts_that_hang(up: Up, prometheus: Prometheus) -> None:
    """The table of bookings is locked in Postgres and the expirer stops, while the sale goes on."""
    buyers = Buyers(up.port, servers.jwt_secret(up.data), _seats("gala"))
    expirer = _part(up, "expire")
    locker = await asyncpg.connect(up.servers().database_url)
    try:
        async with locker.transaction():
            await locker.execute("LOCK TABLE bookings IN ACCESS EXCLUSIVE MODE")
            os.kill(expirer, signal.SIGSTOP)
            buyers.begin(1)
            await _fires(prometheus, "JournalLagging", event="gala")
            await _fires(prometheus, "PartStalled", part="writer")
            await _fires(prometheus, "PartStalled", part="expirer")
    finally:
        os.kill(expirer, signal.SIGCONT)
        await buyers.end()
        await locker.close()
    await _ends(prometheus, "JournalLagging")


async def _tells_of_a_difference(up: Up, prometheus: Prometheus) -> None:
    """A booking has another customer in Postgres; the reconciler runs every second."""
    assert await prometheus.firing("DifferencesFound") == []
    connection = await asyncpg.connect(up.servers().database_url)
    try:
        await connection.execute(
            "UPDATE bookings SET customer_id = 'mallory' WHERE booking_id = "
            "(SELECT min(booking_id) FROM bookings WHERE status = 'confirmed')"
        )
    finally:
        await connection.close()
    looking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine", "reconcile", "--every", "1", "--data", str(up.data)),
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(up.data / "metrics")},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _fires(prometheus, "DifferencesFound", event="gala", kind="owner_differs")
    finally:
        looking.terminate()
        await looking.wait()


async def _fires(prometheus: Prometheus, alert: str, **labels: str) -> None:
    async def fires() -> bool:
        found = await prometheus.firing(alert)
        return any(labels.items() <= one.items() for one in found)

    try:
        await until(fires, timeout_s=25)
    except TimeoutError as error:
        seen = await prometheus.query('{__name__=~"reconcile_.*|writer_.*|ALERTS"} != 0')
        raise AssertionError(f"{alert} {labels} did not fire: {seen}") from error


async def _ends(prometheus: Prometheus, alert: str) -> None:
    async def is_over() -> bool:
        return not await prometheus.firing(alert)

    await until(is_over, timeout_s=25)


@pytest.mark.parametrize("query", [HOLDS, SOLD, LAG, FIRED])
def test_what_the_demo_asks_exists(query: str) -> None:
    assert faults(query, known()) == []


def test_shortening_replaces_what_is_named_and_refuses_what_is_not_there() -> None:
    rules = "expr: rate(a[5m]) > 30 unless a offset 15m\n        for: 10m\n"
    wanted = "expr: rate(a[6s]) > 3 unless a offset 6s\n        for: 1s\n"
    assert shortened(rules, {"> 30": "> 3"}) == wanted
    with pytest.raises(ValueError, match="stands 0 times"):
        shortened(rules, {"> 31": "> 3"})


async def test_prometheus_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text("scrape_configs: 7", encoding="utf-8")
    with pytest.raises(AssertionError, match="cannot unmarshal"):
        async with watched(tmp_path / "prometheus.yml"):
            pass
