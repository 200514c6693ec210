"""A deliverer that runs: without Postgres, beside a deletion, and to its stop."""

import asyncio
import contextlib
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from engine.ports.webhooks import DeliveryState
from persistence.database import Pool
from tests.persistence.entries import booking
from tests.persistence.telling import Telling
from tests.support.receiver import Answer, Received, Receiver, answer
from tests.support.waiting import until

SOLD = booking(1, "confirmed", 1)


async def test_run_outlives_an_absent_postgres(
    telling: Telling, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await telling.hook(receiver.url)
    await telling.happens(10, SOLD)
    deliverer, stop = telling.new_deliverer(), asyncio.Event()
    really, refused = deliverer.deliveries.claim, 0

    async def refuse(*of: Any, **more: Any) -> Any:
        nonlocal refused
        refused += 1
        if refused < 4:
            raise ConnectionRefusedError("Postgres is away")
        return await really(*of, **more)

    monkeypatch.setattr(deliverer.deliveries, "claim", refuse)
    task = asyncio.create_task(deliverer.run(stop))

    async def delivered() -> bool:
        return [d.state for d in await telling.deliveries()] == [DeliveryState.DELIVERED]

    await until(delivered)
    stop.set()
    await task
    assert refused >= 4
    assert len(receiver.received) == 1


async def test_oldest_grows_while_postgres_does_not_tell(
    telling: Telling, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it said last would say for ever that all is well."""
    monkeypatch.setattr("persistence.delivery.deliverer._MEASURE_S", 0.01)
    await telling.hook(receiver.url)
    receiver.answers(500)
    await telling.happens(telling.now_ms - 7_000, SOLD)
    assert await telling.deliver() == 1  # in vain
    deliverer, stop = telling.new_deliverer(), asyncio.Event()
    deliverer.deliveries.now_ms = telling.now_ms + 4_000
    task = asyncio.create_task(deliverer.run(stop))

    def oldest_s() -> float:
        return REGISTRY.get_sample_value("webhook_oldest_undelivered_seconds") or 0.0

    async def told() -> bool:
        return oldest_s() == 4.0

    async def grown() -> bool:
        return 4.05 < oldest_s() < 60.0

    await until(told)
    tells, beats = deliverer.deliveries.oldest_ms, list[str]()

    async def away() -> int:
        raise ConnectionRefusedError("Postgres is away")

    async def beat(part: str) -> None:
        beats.append(part)
        raise ConnectionRefusedError("and so is Redis")

    async def has_beaten() -> bool:
        return bool(beats)

    monkeypatch.setattr(deliverer.deliveries, "oldest_ms", away)
    monkeypatch.setattr(deliverer._engine, "beat", beat)
    await until(grown)
    await until(has_beaten)
    monkeypatch.setattr(deliverer.deliveries, "oldest_ms", tells)
    await until(told)
    stop.set()
    await task


async def test_run_outlives_its_connections(
    telling: Telling, receiver: Receiver, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await telling.hook(receiver.url)
    deliverer, stop = telling.new_deliverer(), asyncio.Event()
    deliverer.deliveries.now_ms = None
    task = asyncio.create_task(deliverer.run(stop))
    for n in range(10, 15):
        await telling.happens(n, booking(n, "confirmed", n))
        with contextlib.suppress(asyncpg.PostgresError):
            await pool.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        async def told(count: int = n - 9) -> bool:
            return len({received.id for received in receiver.received}) == count

        await until(told)
    stop.set()
    await task


async def test_run_stopped_lets_what_is_on_its_way_arrive(
    telling: Telling, receiver: Receiver
) -> None:
    arrived = asyncio.Event()

    async def slow(_: Received) -> Answer:
        arrived.set()
        stop.set()
        return answer(204)

    receiver.decide = slow
    await telling.hook(receiver.url)
    await telling.happens(10, SOLD)
    deliverer, stop = telling.new_deliverer(), asyncio.Event()
    task = asyncio.create_task(deliverer.run(stop))
    await arrived.wait()
    await task
    assert [d.state for d in await telling.deliveries()] == [DeliveryState.DELIVERED]


async def test_make_meets_a_webhook_that_is_being_deleted(
    telling: Telling, receiver: Receiver, pool: Pool
) -> None:
    await telling.hook(receiver.url, "leaving")
    await telling.hook(receiver.url, "staying")
    await telling.happens(10, SOLD)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("DELETE FROM webhooks WHERE webhook_id = 'leaving'")
        making = asyncio.create_task(telling.deliverer.deliveries.make(10))
        await until(lambda: pool.fetchval("SELECT 1 FROM pg_locks WHERE NOT granted"))
        await transaction.commit()
    assert await making == 0
    assert await telling.queued() == 1
    assert await telling.deliver() == 1
