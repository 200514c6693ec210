"""What others can make grow: Redis, Postgres and the API's memory, for each call that stays.

A customer holds ten seats and gives them up, an organiser blocks 500 seats and puts them back and
creates events; both by the engine, as fast as it goes, until the size of one is known. Then a
thousand strangers, each from its own address, hold, give up, send tokens of many spaces and ask for
the free seats of large events, over HTTP and with the rate limits on. What is left in an hour is
computed from the size of one and from the rate: that of the limits for one caller, the measured one
for all strangers.
"""

import asyncio
import json
import random
from collections import Counter
from urllib.parse import urlsplit

from api.http.tokens import issue_token
from bench.report.section import BenchOptions, BenchSection, Figures
from bench.rig.houses import house, selection
from bench.rig.polling import until, until_written
from bench.rig.raw_redis import raw
from bench.rig.sale import DRAIN_S_MAX, Sale, conditions_of, open_sale
from engine.ids import EventId, SeatId
from engine.models import Terms
from engine.plans.venues import make_venue
from persistence import database
from persistence.database import Pool

VARIABLES = {"RATE_LIMITS": "on", "TRUSTED_PROXIES": "127.0.0.1", "JOURNAL_KEEP_MS": "500"}
TERMS = Terms(name="Hoards", seats_max=10)
PER_HOUR = 36_000
"""Calls of one caller: LIMIT_CUSTOMER_PER_S. A hold and its release are two."""
STRANGERS, CONNECTIONS = 1000, 48
LARGE_EVENTS = 12
API_BYTES_MAX = 200 * 10**6
_SIZE = "SELECT sum(pg_total_relation_size(c)) FROM unnest($1::regclass[]) AS c"
_TABLES = ("journal", "bookings", "events", "seats")


class _Sizes:
    """What Redis and Postgres hold, without the entries that are trimmed in a moment."""

    def __init__(self, sale: Sale, pool: Pool) -> None:
        self._sale, self._pool = sale, pool

    async def look(self, event: EventId) -> tuple[int, int]:
        """Bytes in Redis and in Postgres once the writer has written and trimmed the journal."""
        engine = self._sale.engine
        await until_written(engine, event, DRAIN_S_MAX)

        async def trimmed() -> bool:
            return int(await raw(engine).xlen(f"{{{event}}}:journal")) == 0

        await until(trimmed, DRAIN_S_MAX)
        memory = await engine.client.info("memory")
        return memory["used_memory"], int(await self._pool.fetchval(_SIZE, _TABLES))


async def measure(options: BenchOptions) -> BenchSection:
    """Once a round, on one installation with one API process."""
    figures = Figures()
    async with (
        open_sale(variables=VARIABLES) as sale,
        await database.connect(sale.stand.settings.database_url) as pool,
    ):
        conditions = await conditions_of(sale)
        conditions["load"] = f"{CONNECTIONS} connections of {STRANGERS:,} strangers"
        sizes = _Sizes(sale, pool)
        for number in range(options.rounds):
            await _customer(sale, figures, sizes, number, options.size(3000, 500))
            await _organiser(sale, figures, sizes, number, options.size(400, 50))
        await _strangers(sale, figures, options)
        figures.wrong += sale.wrong
    return BenchSection(
        id="hoards",
        title="What others can make grow",
        what="Bytes that stay after each call, and in an hour at the rate limits.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
    )


async def _customer(sale: Sale, figures: Figures, sizes: _Sizes, number: int, pairs: int) -> None:
    """Hold ten seats and give them up, each with a request id as over HTTP."""
    event, engine = EventId(f"dropped-{number}"), sale.engine
    await engine.events.load_event(event, house(1000), TERMS)

    async def drop(at: int) -> None:
        wanted = selection(event, at % 100 * 10, 10)
        held = await engine.bookings.hold_seats(wanted, request_id=f"r{number}-{at}")
        await engine.bookings.release_booking(held.id, None)

    before = await sizes.look(event)
    for first in range(0, pairs, 50):
        await asyncio.gather(*map(drop, range(first, min(first + 50, pairs))))
    _grown(figures, "customer", "held and given up", before, await sizes.look(event), pairs, 2)


async def _organiser(sale: Sale, figures: Figures, sizes: _Sizes, number: int, calls: int) -> None:
    event, engine = EventId(f"blocked-{number}"), sale.engine
    await engine.events.load_event(event, house(1000), TERMS)
    seats = [SeatId(f"{seat}") for seat in selection(event, 0, 500).seats]
    before = await sizes.look(event)
    for at in range(calls):
        await engine.events.block_seats(event, seats, blocked=at % 2 == 0)
    _grown(figures, "blocks", "500 seats blocked", before, await sizes.look(event), calls, 1)
    before = await sizes.look(event)
    for at in range(calls):
        await engine.events.load_event(EventId(f"made-{number}-{at}"), house(100), TERMS)
    last = EventId(f"made-{number}-{calls - 1}")
    _grown(figures, "events", "event of 100 seats", before, await sizes.look(last), calls, 1)


def _grown(
    figures: Figures,
    series: str,
    says: str,
    before: tuple[int, int],
    after: tuple[int, int],
    count: int,
    calls: int,
) -> None:
    for name, was, now in zip(("Redis", "Postgres"), before, after, strict=True):
        each = (now - was) / count
        figures.add(f"hoards/{series}/{name.lower()}", f"{says}, {name}", "bytes", each)
        hourly = each * PER_HOUR / calls
        figures.add(
            f"hoards/{series}/{name.lower()}/hour", f"{says}, {name}, in an hour", "bytes", hourly
        )


async def _strangers(sale: Sale, figures: Figures, options: BenchOptions) -> None:
    """All strangers at once; samples the API's memory five times a second."""
    event = EventId("crowd")
    await sale.engine.events.load_event(event, house(100_000), TERMS)
    large = [EventId(f"large-{n}") for n in range(options.size(LARGE_EVENTS, 2))]
    for one in large:
        await sale.engine.events.load_event(one, make_venue("stadium").layout, TERMS)
    secret = sale.stand.settings.jwt_secret
    tokens = [issue_token(secret, f"stranger-{n}", "customer") for n in range(STRANGERS)]
    loop, counts = asyncio.get_running_loop(), Counter[str]()
    seconds = options.seconds * 20
    end_s, most = loop.time() + seconds, sale.stand.api_memory_bytes()
    figures.add("hoards/api/before", "API memory, before the strangers", "bytes", most)
    visits = [
        asyncio.create_task(_visit(sale, event, large, tokens, n, end_s, counts))
        for n in range(CONNECTIONS)
    ]
    while loop.time() < end_s:
        await asyncio.sleep(0.2)
        most = max(most, sale.stand.api_memory_bytes())
    await asyncio.gather(*visits)
    figures.add("hoards/api/most", "API memory, most", "bytes", most)
    at_end = sale.stand.api_memory_bytes()
    figures.add("hoards/api/after", "API memory, at the end", "bytes", at_end)
    pairs_per_s = counts["released"] / seconds
    figures.add("hoards/strangers", "held and given up by all strangers", "/s", pairs_per_s)
    answers = sum(n for name, n in counts.items() if name != "released")
    figures.add("hoards/answers", "answers to strangers", "/s", answers / seconds)
    if most > API_BYTES_MAX:
        sale.wrong.append(f"the API needs {most:,} bytes, more than {API_BYTES_MAX:,}")
    if not counts["released"] or counts["401"] == 0:
        sale.wrong.append(f"the strangers were answered {dict(counts)}")


async def _visit(
    sale: Sale, event: EventId, large: list[EventId], tokens: list[str], number: int,
    end_s: float, counts: Counter[str],
) -> None:  # fmt: skip
    """One connection, used by one stranger after another."""
    pick, loop = random.Random(number), asyncio.get_running_loop()
    parts = urlsplit(sale.stand.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)

    async def ask(method: str, path: str, headers: str, body: str = "") -> tuple[int, bytes]:
        size = len(body)
        text = f"{method} /api/v1{path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {size}\r\n"
        writer.write(f"{text}Content-Type: application/json\r\n{headers}\r\n{body}".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        status = int(head.split()[1])
        counts[str(status)] += 1
        return status, await reader.readexactly(length)

    try:
        while loop.time() < end_s:
            who = pick.randrange(STRANGERS)
            address = f"X-Forwarded-For: 10.{who % 250}.{who // 250}.{pick.randrange(250)}\r\n"
            bearer = f"{address}Authorization: Bearer {tokens[who]}\r\n"
            seats = [f"{s}" for s in selection(event, pick.randrange(10_000) * 10, 10).seats]
            key = f"{bearer}Idempotency-Key: {pick.getrandbits(64)}\r\n"
            status, answer = await ask("POST", "/booking", key, json.dumps({"seatIds": seats}))
            if status == 201:
                held = json.loads(answer)["id"]
                status, _ = await ask("DELETE", f"/booking/{held}", bearer)
                counts["released"] += status < 300
            await ask("GET", f"/booking?eventId={pick.choice(large)}&limit=5", bearer)
            spaces = " " * pick.randrange(5000)
            bad = f"{address}Authorization: Bearer{spaces}{tokens[who][:-4]}xxxx\r\n"
            await ask("POST", "/booking", bad, json.dumps({"seatIds": seats}))
            await ask("GET", f"/event/no-such-{pick.getrandbits(64)}/availability", address)
    finally:
        writer.close()
