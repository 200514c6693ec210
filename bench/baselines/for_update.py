"""Postgres alone: SELECT … FOR UPDATE, then the booking, in one transaction.

Two forms of it. As applications write it: begin, select, update, insert, commit, each a round
trip. And as far as the method goes: the same statements as one PL/pgSQL function, one round trip,
which is what a project does that has measured. Both commit to the disk (synchronous_commit on).
"""

from collections.abc import Sequence
from types import TracebackType
from typing import ClassVar

from ulid import ULID

from bench.baselines.method import Method, Taken
from bench.baselines.pool import CONNECTIONS, open_pool
from engine.settings import Settings
from persistence.database import Pool

_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS bench_for_update;
CREATE TABLE IF NOT EXISTS bench_for_update.seats (
    seat text PRIMARY KEY, status text NOT NULL, booking text
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS bench_for_update.bookings (
    booking text PRIMARY KEY, customer text NOT NULL, seats text[] NOT NULL,
    held_at timestamptz NOT NULL DEFAULT now()
);
CREATE OR REPLACE FUNCTION bench_for_update.hold(ulid text, who text, wanted text[])
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE free integer;
BEGIN
    SELECT count(*) INTO free FROM (
        SELECT 1 FROM bench_for_update.seats
        WHERE seat = ANY(wanted) AND status = 'available' ORDER BY seat FOR UPDATE
    ) AS locked;
    IF free < cardinality(wanted) THEN RETURN false; END IF;
    UPDATE bench_for_update.seats SET status = 'held', booking = ulid WHERE seat = ANY(wanted);
    INSERT INTO bench_for_update.bookings (booking, customer, seats) VALUES (ulid, who, wanted);
    RETURN true;
END
$$;
"""
_FREE = """
TRUNCATE bench_for_update.seats, bench_for_update.bookings;
"""
_UPDATE = "UPDATE bench_for_update.seats SET status = 'held', booking = $1 WHERE seat = ANY($2)"
_INSERT = "INSERT INTO bench_for_update.bookings (booking, customer, seats) VALUES ($1, $2, $3)"


class ForUpdate(Method):
    """The transaction as applications write it."""

    SELECT: ClassVar[str] = (
        "SELECT seat FROM bench_for_update.seats WHERE seat = ANY($1) AND status = 'available' "
        "ORDER BY seat FOR UPDATE"
    )

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, settings: Settings, connections: int = CONNECTIONS) -> "ForUpdate":
        """On the tables of its own schema."""
        return cls(await open_pool(settings.database_url, connections))

    async def open_house(self, seats: Sequence[str]) -> None:
        """Make exactly these seats free."""
        async with self._pool.acquire() as connection:
            await connection.execute(_SCHEMA)
            await connection.execute(_FREE)
            await connection.copy_records_to_table(
                "seats",
                schema_name="bench_for_update",
                records=[(seat, "available", None) for seat in seats],
            )
            await connection.execute("VACUUM ANALYZE bench_for_update.seats")

    async def hold(self, seats: Sequence[str], customer: str) -> str:
        """Hold all or none. Raises Taken."""
        ulid = str(ULID())
        async with self._pool.acquire() as connection, connection.transaction():
            free = await connection.fetch(self.SELECT, seats)
            if len(free) < len(seats):
                raise Taken
            await connection.execute(_UPDATE, ulid, seats)
            await connection.execute(_INSERT, ulid, customer, seats)
        return ulid

    async def bookings(self) -> list[tuple[str, list[str]]]:
        """As the table has them."""
        rows = await self._pool.fetch("SELECT booking, seats FROM bench_for_update.bookings")
        return [(row["booking"], row["seats"]) for row in rows]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._pool.close()


class ForUpdateFunction(ForUpdate):
    """The same transaction as one call."""

    async def hold(self, seats: Sequence[str], customer: str) -> str:
        """Hold all or none. Raises Taken."""
        ulid = str(ULID())
        if not await self._pool.fetchval(
            "SELECT bench_for_update.hold($1, $2, $3)", ulid, customer, seats
        ):
            raise Taken
        return ulid
