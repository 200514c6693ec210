"""G7: hold and confirm need no Postgres. The server is stopped, the API is a real process."""

import asyncio
from pathlib import Path

import msgspec
from httpx2 import AsyncClient

from embedded import servers
from engine import Engine, Settings
from persistence import database, migrations
from persistence.journal.writer import Writer
from persistence.reconcile.reconciler import reconcile
from tests.api.client import BOOKING, PAYMENT, bearer
from tests.persistence.running import drained, running
from tests.support.factories import GALA, layout, terms
from tests.support.serving import serving


async def _sell(port: int, seats: list[str]) -> list[str]:
    """Hold and confirm each seat over HTTP; the ids of the bookings."""
    async with AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=2) as http:

        async def sell(number: int, seat: str) -> str:
            who = bearer(f"c{number}")
            held = await http.post(BOOKING, headers=who, json={"seatId": seat})
            assert held.status_code == 201, held.text
            booking: str = held.json()["id"]
            paid = await http.post(f"{PAYMENT}/{booking}/confirm", headers=who)
            assert (paid.status_code, paid.json()["status"]) == (200, "confirmed")
            return booking

        return await asyncio.gather(*(sell(number, seat) for number, seat in enumerate(seats)))


async def test_hold_and_confirm_with_postgres_stopped_then_it_catches_up(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    await engine.events.load_event(GALA, layout(seats=50), terms())
    folder = tmp_path / "own"
    postgres = await asyncio.to_thread(servers.start, folder, redis=False)
    await migrations.migrate(postgres.database_url)
    found = msgspec.structs.replace(settings, database_url=postgres.database_url)
    async with serving(found, tmp_path) as port:
        await asyncio.to_thread(postgres.stop)
        sold = await _sell(port, [f"gala:A-1-{n}" for n in range(1, 51)])
    assert (await engine.events.read_event(GALA)).counts.sold == len(sold) == 50

    postgres = await asyncio.to_thread(servers.start, folder, redis=False)
    try:
        async with await database.connect(postgres.database_url) as pool:
            async with running(Writer(engine, pool, settings)):
                await drained(engine)
            assert await pool.fetchval("SELECT count(*) FROM booking_seats WHERE active") == 50
            assert (await reconcile(engine, pool, [GALA], lag_ms=0)).clean
    finally:
        await asyncio.to_thread(postgres.stop)
