"""The services of docker-compose.yml as processes: the whole flow under the restricted users.

Valkey runs on deploy/redis/valkey.conf with the users deploy/secrets.sh made; every part has the
command line, the environment and the files of secrets that compose would give it.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis as sync_redis
from httpx2 import AsyncClient
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from api.http.permissions import Role
from api.http.tokens import issue_token
from tests.api.client import signature
from tests.support.containers import Containers
from tests.support.receiver import Receiver
from tests.support.servers import SessionServers
from tests.support.waiting import until

SEATS = "section,row,number,category,price_minor\nStalls,1,1,A,5000\nStalls,1,2,A,5000\n"
_REFUSED = (AuthenticationError, ResponseError)
PARTS = ("app", "expirer", "writer", "deliverer", "reconciler")


@pytest.fixture
async def containers(session_servers: SessionServers) -> AsyncIterator[Containers]:
    """Redis runs, and nothing else yet."""
    folder = Path(tempfile.mkdtemp(prefix="containers-"))
    found = Containers(folder, session_servers.postgres_url)
    try:
        await found.start_redis()
        health = found.client("health")
        await until(lambda: _answers(health))
        yield found
    finally:
        await found.end()
        shutil.rmtree(folder)


async def _answers(client: sync_redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except sync_redis.ConnectionError:
        return False


async def _finished(process: asyncio.subprocess.Process) -> str:
    said, wrong = await process.communicate()
    assert process.returncode == 0, wrong.decode()
    return said.decode()


async def _hold(api: AsyncClient, seat: str) -> str:
    answer = await api.post("/api/v1/booking", json={"seatId": f"gala:{seat}"})
    assert answer.status_code == 201, answer.text
    booking_id: str = answer.json()["id"]
    return booking_id


def _as(settings_secret: str, subject: str, role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(settings_secret, subject, role)}"}


async def test_whole_flow_runs_as_compose_starts_it(containers: Containers) -> None:
    await containers.make_database()
    assert "applied" in await _finished(await containers.start("migrate"))
    over = {"WEBHOOK_ALLOW_INSECURE": "true", "LOG_LEVEL": "warning"}
    started = [await containers.start(service, **over) for service in PARTS]
    plan = containers.folder / "seats.csv"
    plan.write_text(SEATS)
    await containers.run("writer", "load", str(plan), "--event", "gala", "--hold-ttl", "2")
    await asyncio.gather(*(until(partial(containers.is_healthy, name), 40) for name in PARTS))
    secret = containers.secret("jwt_secret")
    url = f"http://127.0.0.1:{containers.ports['app']}"
    async with Receiver() as receiver, AsyncClient(base_url=url) as api:
        kinds = ["booking.confirmed", "booking.expired"]
        webhook = {"url": receiver.url, "kinds": kinds, "eventId": "gala"}
        headers = _as(secret, "organizer", "admin")
        made = await api.post("/api/v1/webhook", json=webhook, headers=headers)
        assert made.status_code == 201, made.text
        api.headers.update(_as(secret, "ann", "customer"))
        bought = await _hold(api, "Stalls-1-1")
        refused = await api.post(f"/api/v1/payment/{bought}/confirm")
        assert refused.json()["code"] == "payment_by_provider"
        body = msgspec.json.encode(
            {"id": "evt_1", "type": "payment.succeeded", "data": {"bookingId": bought}}
        )
        signed = signature(body, secret=containers.secret("payment_webhook_secret"))
        headers = {"content-type": "application/json", "payment-signature": signed}
        paid = await api.post("/api/v1/payment/webhook", content=body, headers=headers)
        assert paid.json() == {"outcome": "confirmed"}, paid.text
        left = await _hold(api, "Stalls-1-2")
        wanted = {(bought, "confirmed"), (left, "expired")}

        async def told() -> bool:
            bookings = [message.json["data"] for message in receiver.received]
            return {(booking["id"], booking["status"]) for booking in bookings} == wanted

        await until(told)
    agreed = containers.run("reconciler", "reconcile", "--lag", "0")
    await asyncio.gather(agreed, containers.run("expirer", "verify"))
    _nothing_was_refused(containers.client("admin"))
    for process in started:
        process.terminate()
    assert [await process.wait() for process in started] == [0] * len(started)


def _nothing_was_refused(admin: Any) -> None:
    assert [entry for entry in admin.acl_log() if entry["username"] != "health"] == []


async def test_users_of_redis_may_do_no_more_than_they_must(containers: Containers) -> None:
    refused = {
        "engine": [
            *(
                "CONFIG SET maxmemory 1",
                "FLUSHALL",
                "FLUSHDB",
                "KEYS *",
                "SHUTDOWN",
                "ROLE",
            ),
            *("ACL WHOAMI", "CLIENT LIST", "MONITOR", "SAVE", "BGREWRITEAOF", "SWAPDB 0 1"),
            *("SCRIPT FLUSH", "REPLICAOF NO ONE", "MODULE LIST", "SORT events", "CLIENT KILL x"),
            *("SUBSCRIBE anything", "PSUBSCRIBE *", "PUBLISH x y", "SLOWLOG GET", "RANDOMKEY"),
        ],
        "exporter": ["GET x", "SET x y", "SCAN 0", "KEYS *", "CONFIG GET maxmemory", "FLUSHALL"],
        "insight": [
            *("SET x y", "DEL x", "EVAL return(1) 0", "KEYS *", "CONFIG GET maxmemory", "MONITOR"),
            *("XADD s * a b", "FLUSHALL", "CLIENT KILL x", "SUBSCRIBE x", "EXPIRE x 1"),
        ],
        "health": ["GET x", "INFO", "SCAN 0", "CONFIG GET maxmemory"],
    }
    for user, commands in refused.items():
        with containers.client(user) as client:
            for command in commands:
                with pytest.raises(NoPermissionError):
                    client.execute_command(*command.split())
    with pytest.raises(AssertionError):
        _nothing_was_refused(containers.client("admin"))
    with containers.client("engine") as engine:
        engine.set("seat", "held")
        assert engine.config_get("appendfsync") == {"appendfsync": "always"}
    with containers.client("insight") as insight:
        assert insight.get("seat") == b"held"
        assert insight.scan()[1] == [b"seat"]
    with containers.client("exporter") as exporter:
        assert "aof_last_write_status" in exporter.info("persistence")
        assert "maxmemory" in exporter.info("memory")


async def test_redis_refuses_a_login_without_a_password(containers: Containers) -> None:
    refused = ((None, None), (None, "x"), ("default", ""), ("engine", "x"), ("admin", "x"))
    for user, password in refused:
        with containers.stranger(user, password) as client, pytest.raises(_REFUSED):
            client.get("x")
    with containers.client("health") as health:
        assert health.ping()
