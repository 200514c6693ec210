"""What is spoilt is found: each promise of tests/support/invariants with a planted fault."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from engine import Engine
from engine.journal import GROUP
from persistence.database import Pool, connect
from persistence.journal.tables import Store
from tests.support.box_office import BoxOffice
from tests.support.factories import GALA
from tests.support.invariants import broken_promises

Spoil = Callable[[Any, str, str], Awaitable[object]]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with await connect(database_url) as pool:
        yield pool


async def _sell(office: BoxOffice) -> tuple[str, str, str]:
    """A hold, a sale and one that was given up; their ULIDs."""
    office.bookings.now_ms = ""
    await office.open(areas={"pit": 5})
    held = await office.hold("ann", "A-1-1", pit=1, request="r1")
    sold = await office.confirm(await office.hold("bob", "A-1-2"))
    ended = await office.bookings.release_booking((await office.hold("cid", "A-1-3")).id, None)
    return held.id[5:], sold.id[5:], ended.id[5:]


async def _seat_of_another(redis: Any, held: str, sold: str) -> None:
    await redis.hset("{gala}:seats", "A-2-2", f"7,0,s,{sold},0")
    await redis.setrange("{gala}:map", 7, "s")
    await redis.hincrby("{gala}:event", "sold", 1)
    await redis.hincrby("{gala}:event", "available", -1)


async def _late_deadline(redis: Any, held: str, sold: str) -> None:
    await redis.zincrby("{gala}:deadlines", 1000, held)


async def _longer_map(redis: Any, held: str, sold: str) -> None:
    await redis.append("{gala}:map", "a")


async def _entry_gone(redis: Any, held: str, sold: str) -> None:
    entries = await redis.xrange("{gala}:journal")
    of_the_sale = [i for i, fields in entries if fields[b"kind"] == b"booking_confirmed"]
    await redis.xdel("{gala}:journal", *of_the_sale)


async def _kept_for_ever(redis: Any, held: str, sold: str) -> None:
    await redis.delete("{gala}:ended")


async def _answered_with_nothing(redis: Any, held: str, sold: str) -> None:
    (name,) = await redis.keys("{gala}:request:*")
    await redis.set(name, f"digest {'0' * 26}")


async def _payment_forgotten(redis: Any, held: str, sold: str) -> None:
    record = json.loads(await redis.hget("{gala}:bookings", sold))
    payment = {"id": "pi_1", "amount_minor": 1500, "currency": "EUR", "source": "provider"}
    record["payments"] = [payment | {"outcome": "paid_twice"}]
    await redis.hset("{gala}:bookings", sold, json.dumps(record))


FAULTS: dict[str, tuple[Spoil, str]] = {
    "orphan_sale A-2-2": (_seat_of_another, "orphan_sale"),
    "deadline_differs": (_late_deadline, "deadline_differs"),
    "money_unaccounted": (_payment_forgotten, "money_unaccounted"),
    "map_differs": (_longer_map, "map_differs"),
    "replay": (_entry_gone, "replay: bookings"),
    "ended": (_kept_for_ever, "ended "),
    "request": (_answered_with_nothing, "request "),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_planted_fault_is_found(office: BoxOffice, fault: str) -> None:
    held, sold, _ = await _sell(office)
    assert await broken_promises(office.engine, GALA) == []
    spoil, said = FAULTS[fault]
    await spoil(office.engine.client, held, sold)
    broken = await broken_promises(office.engine, GALA)
    assert any(line.startswith(said) for line in broken), broken


async def test_postgres_without_a_sale_is_found(
    office: BoxOffice, engine: Engine, pool: Pool
) -> None:
    await _sell(office)
    entries = await engine.journal.open_entries(GALA)
    await engine.journal.create_group(GALA)
    await engine.journal.read([GALA], GROUP, count=1000, block_ms=0)
    store = Store(pool)
    await store.write([entry for entry in entries if entry.kind != "booking_confirmed"])
    (broken,) = await broken_promises(engine, GALA, pool)
    assert "confirmed in Redis, and Postgres has no such booking" in broken
    await store.write(entries)
    assert await broken_promises(engine, GALA, pool) == []
