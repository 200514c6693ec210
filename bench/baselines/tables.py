"""The tables of the rivals that sell in Postgres, and what a hold there has to check.

All that the engine's script checks: sales open, seats free or their deadline past, the limits, the
request id. Most of it stands in the statements that a hold needs anyway, so it costs no round trip;
the reason of a refusal is looked up afterwards, by refused calls only.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

import asyncpg

from bench.baselines.method import OPEN, HoldRefused, HouseTerms, Method
from persistence.database import Connection, Pool

EVENT = "bench"
CONNECTIONS = 16
"""More than the engine's writer has. A commit waits for the disk, and commits that wait together
share one sync, so with the writer's four every baseline is slower.
"""

_TABLES = """
CREATE TABLE IF NOT EXISTS events (
    event text PRIMARY KEY, opens_at timestamptz NOT NULL, closes_at timestamptz NOT NULL,
    seats_max integer NOT NULL, customer_max integer, hold_ttl interval NOT NULL
);
CREATE TABLE IF NOT EXISTS seats (
    seat text PRIMARY KEY, status text NOT NULL, booking text, expires_at timestamptz
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS bookings (
    booking text PRIMARY KEY, event text NOT NULL, customer text NOT NULL, seats text[] NOT NULL,
    request text, expires_at timestamptz NOT NULL, UNIQUE (customer, request)
);
TRUNCATE seats, events, bookings;
"""
"""In the order a hold takes them: one that is still under way must not wait in a circle with it."""

_EVENT = """
INSERT INTO events VALUES ($1, now() - interval '1 hour',
    now() + CASE WHEN $2 THEN interval '1 day' ELSE interval '-1 minute' END, $3, $4, $5)
"""
_INSERT = """
INSERT INTO bookings (booking, event, customer, seats, request, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (customer, request) DO UPDATE SET
    booking = EXCLUDED.booking, seats = EXCLUDED.seats, expires_at = EXCLUDED.expires_at
WHERE bookings.expires_at <= now() RETURNING booking
"""
_EARLIER = (
    "SELECT booking FROM bookings "
    "WHERE customer = $1 AND request = $2 AND seats = $3 AND expires_at > now()"
)
_LOCK_CUSTOMER = "SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))"
COUNT_HELD = (
    "SELECT coalesce(sum(cardinality(seats)), 0) FROM bookings "
    "WHERE event = $1 AND customer = $2 AND expires_at > now()"
)


class Tables(Method):
    """In a schema of its own, named by the subclass."""

    schema: ClassVar[str]
    functions: ClassVar[str] = ""
    does = "sales open, seats free, deadline, limits, request id; a booking's row, on the disk"

    @classmethod
    async def open_pool(cls, database_url: str, connections: int) -> Pool:
        """All of them open, so that none is opened while it is measured.

        A session is left as it was, so asyncpg's query that resets it, a round trip, is left out.
        """
        pool: Pool = await asyncpg.create_pool(
            database_url,
            min_size=connections,
            max_size=connections,
            reset=_leave_as_it_is,
            server_settings={"search_path": cls.schema},
        )
        await pool.execute(f"CREATE SCHEMA IF NOT EXISTS {cls.schema}")
        return pool

    @property
    def pool(self) -> Pool:
        """Its connections."""
        assert self._pool  # noqa: S101
        return self._pool

    async def open_house(self, seats: Sequence[str], terms: HouseTerms = OPEN) -> None:
        """Make exactly these seats free."""
        async with self.pool.acquire() as connection:
            await connection.execute(_TABLES + self.functions)
            ttl = timedelta(seconds=terms.hold_ttl_s)
            about = (EVENT, terms.on_sale, terms.seats_max, terms.customer_max, ttl)
            await connection.execute(_EVENT, *about)
            records = [(seat, "available", None, None) for seat in seats]
            await connection.copy_records_to_table("seats", records=records)
            await connection.execute("VACUUM ANALYZE seats")

    async def bookings(self) -> list[tuple[str, list[str]]]:
        """As the table has them; a hold past its deadline is none."""
        listed = "SELECT booking, seats FROM bookings WHERE expires_at > now()"
        return [(row["booking"], row["seats"]) for row in await self.pool.fetch(listed)]

    async def insert(self, connection: Connection, row: Sequence[Any], most: int | None) -> None:
        """Write the booking, within the customer's limit. Raises HoldRefused."""
        _, event, customer, seats, *_ = row
        has = 0 if most is None else await self.held_count(connection, event, customer)
        if most is not None and has + len(seats) > most:
            raise HoldRefused
        if await connection.fetchval(_INSERT, *row) is None:
            raise HoldRefused

    async def held_count(self, connection: Connection, event: str, customer: str) -> int:
        """Seats the customer holds. The customer's other calls count after this one commits."""
        await connection.execute(_LOCK_CUSTOMER, event, customer)
        count: int = await connection.fetchval(COUNT_HELD, event, customer)
        return count

    async def earlier(self, seats: Sequence[str], customer: str, request: str | None) -> str:
        """What this very request has held before. Raises HoldRefused."""
        booking: str | None = await self.pool.fetchval(_EARLIER, customer, request, seats)
        if booking is None:
            raise HoldRefused
        return booking


async def _leave_as_it_is(_: object) -> None:
    """Nothing of a session is changed here."""
