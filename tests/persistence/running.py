"""Agents that run beside the test, and what to wait for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine import Engine
from engine.agent import Agent
from engine.ids import EventId
from persistence.database import Pool
from tests.support.factories import GALA
from tests.support.waiting import until


@asynccontextmanager
async def running(*agents: Agent) -> AsyncIterator[None]:
    """Run the agents until the block ends, then stop them as SIGTERM would."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(agent.run(stop)) for agent in agents]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def drained(engine: Engine, event: EventId = GALA) -> None:
    """Wait until every journal entry is acknowledged."""

    await engine.journal.create_group(event)

    async def nothing_left() -> bool:
        return (await engine.journal.backlog(event)).entries == 0

    await until(nothing_left)


async def statuses(pool: Pool) -> dict[str, str]:
    """Booking -> status in Postgres: pending ones are only in the journal, the others in a row."""
    rows = await pool.fetch(
        "SELECT booking_id, status FROM bookings "
        "UNION ALL SELECT booking_id, body ->> 'status' FROM pending_bookings"
    )
    return {row["booking_id"]: row["status"] for row in rows}


async def sold_seats(pool: Pool) -> dict[str, str]:
    """Seat -> booking that owns it, in Postgres."""
    rows = await pool.fetch("SELECT seat_id, booking_id FROM booking_seats WHERE active")
    return {row["seat_id"]: row["booking_id"] for row in rows}
