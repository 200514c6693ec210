"""Postgres alone: SELECT … FOR UPDATE, then the booking, in one transaction.

Two forms of it. As applications write it: begin, select, insert, update, commit, each a round
trip. And as far as the method goes: the same statements as one PL/pgSQL function, one round trip,
which is what a project does that has measured. Both commit to the disk (synchronous_commit on).
"""

from collections.abc import Sequence
from typing import ClassVar, Self

from ulid import ULID

from bench.baselines.method import HoldRefused
from bench.baselines.tables import CONNECTIONS, EVENT, Tables
from engine.settings.settings import Settings

_SELECT = """
SELECT now() + e.hold_ttl AS expires_at, e.customer_max FROM seats s, events e
WHERE e.event = $1 AND now() >= e.opens_at AND now() < e.closes_at
    AND cardinality($2::text[]) <= e.seats_max AND s.seat = ANY($2)
    AND (s.status = 'available' OR s.status = 'held' AND s.expires_at <= now())
ORDER BY s.seat FOR UPDATE OF s
"""
_UPDATE = "UPDATE seats SET status = 'held', booking = $1, expires_at = $2 WHERE seat = ANY($3)"
_FUNCTION = """
CREATE OR REPLACE FUNCTION hold(ulid text, ev text, who text, wanted text[], req text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE free integer; ends timestamptz; most integer; has integer; made text;
BEGIN
    SELECT count(*), min(l.expires_at), min(l.customer_max) INTO free, ends, most FROM (
        SELECT now() + e.hold_ttl AS expires_at, e.customer_max FROM seats s, events e
        WHERE e.event = ev AND now() >= e.opens_at AND now() < e.closes_at
            AND cardinality(wanted) <= e.seats_max AND s.seat = ANY(wanted)
            AND (s.status = 'available' OR s.status = 'held' AND s.expires_at <= now())
        ORDER BY s.seat FOR UPDATE OF s
    ) AS l;
    IF free < cardinality(wanted) THEN
        RETURN (SELECT booking FROM bookings
            WHERE customer = who AND request = req AND seats = wanted AND expires_at > now());
    END IF;
    IF most IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(ev || ' ' || who, 0));
        SELECT coalesce(sum(cardinality(seats)), 0) INTO has FROM bookings
        WHERE event = ev AND customer = who AND expires_at > now();
        IF has + free > most THEN RETURN NULL; END IF;
    END IF;
    INSERT INTO bookings (booking, event, customer, seats, request, expires_at)
    VALUES (ulid, ev, who, wanted, req, ends)
    ON CONFLICT (customer, request) DO UPDATE SET
        booking = EXCLUDED.booking, seats = EXCLUDED.seats, expires_at = EXCLUDED.expires_at
    WHERE bookings.expires_at <= now() RETURNING booking INTO made;
    IF made IS NOT NULL THEN
        UPDATE seats SET status = 'held', booking = made, expires_at = ends
        WHERE seat = ANY(wanted);
    END IF;
    RETURN made;
END
$$;
"""


class ForUpdate(Tables):
    """The transaction as applications write it."""

    schema = "bench_for_update"
    SELECT: ClassVar[str] = _SELECT

    @classmethod
    async def connect(cls, settings: Settings, connections: int = CONNECTIONS) -> Self:
        """On the tables of its own schema."""
        return cls(pool=await cls.open_pool(settings.database_url, connections))

    async def hold(self, seats: Sequence[str], customer: str, request: str | None = None) -> str:
        """Hold all or none. Raises HoldRefused."""
        ulid = str(ULID())
        async with self.pool.acquire() as connection, connection.transaction():
            free = await connection.fetch(self.SELECT, EVENT, seats)
            if len(free) == len(seats):
                expires_at, most = free[0]
                row = (ulid, EVENT, customer, seats, request, expires_at)
                await self.insert(connection, row, most)
                await connection.execute(_UPDATE, ulid, expires_at, seats)
                return ulid
        return await self.earlier(seats, customer, request)


class ForUpdateFunction(ForUpdate):
    """The same transaction as one call."""

    schema = "bench_for_update_function"
    functions = _FUNCTION

    async def hold(self, seats: Sequence[str], customer: str, request: str | None = None) -> str:
        """Hold all or none. Raises HoldRefused."""
        arguments = (str(ULID()), EVENT, customer, seats, request)
        held: str | None = await self.pool.fetchval("SELECT hold($1, $2, $3, $4, $5)", *arguments)
        if held is None:
            raise HoldRefused
        return held
