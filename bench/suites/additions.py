"""Adding one seat to a large event: how long other customers' calls wait meanwhile.

Holds of another event leave at a steady rate, first alone, then while a seat is added and the new
layout is read, again and again. The slowest hold says what the API process was kept from; without
the additions it says what the machine does by itself.
"""

import asyncio
import json
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

from api.http.tokens import issue_token
from bench.load import open_loop
from bench.load.connection import run_in_process
from bench.load.open_loop import OpenLoop, OpenLoopResult, Step
from bench.report.section import BenchOptions, BenchSection, Figures
from bench.rig.houses import hold_bodies, house, seat_of
from bench.rig.polling import until_written
from bench.rig.raw_redis import raw
from bench.rig.sale import DRAIN_S_MAX, TERMS, Sale, conditions_of, open_sale
from engine.errors import Unavailable
from engine.ids import EventId

HOLDS_PER_S = 50
QUIET_S = 10.0
ADDITIONS = 3
"""In one round, one after the other."""
_ADDING_S_MAX = 60.0


async def measure(options: BenchOptions) -> BenchSection:
    """At one API process, whose cache has the layout before the seat is added."""
    figures, seat_count = Figures(), options.size(600_000, 60_000)
    async with open_sale() as sale:
        conditions = await conditions_of(sale)
        large, other = EventId("large"), EventId("other")
        await sale.engine.events.load_event(large, house(seat_count), TERMS)
        await sale.engine.events.load_event(other, house(100_000), TERMS)
        await until_written(sale.engine, large, DRAIN_S_MAX)
        await asyncio.to_thread(_request, sale, "GET", f"/api/v1/event/{large}/sales")
        for number in range(options.rounds):
            await _measure_round(sale, figures, (large, other), number, seat_count)
        await sale.judge(large)
        await sale.judge(other)
        figures.wrong += sale.wrong
    return BenchSection(
        id="additions",
        title="Adding a seat to a large event",
        what=f"{seat_count:,} seats; {HOLDS_PER_S} holds a second of another event meanwhile, at "
        "one API process.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
    )


async def _measure_round(
    sale: Sale, figures: Figures, events: tuple[EventId, EventId], number: int, seat_count: int
) -> None:
    large, other = events
    quiet = await _hold_for(sale, other, QUIET_S)
    figures.add("additions/quiet", "slowest hold, no seat is added", "ms", quiet.slowest_ms)
    holding = asyncio.create_task(_hold_for(sale, other, _ADDING_S_MAX / 2))
    await asyncio.sleep(1.0)  # the process has started
    for addition in range(ADDITIONS):
        began_s = time.monotonic()
        row = f"more-{number}-{addition}"
        plan = {"sections": [{"id": "A", "category": "seat", "rows": [
            {"id": row, "seats": [{"number": "1"}]}]}]}  # fmt: skip
        await asyncio.to_thread(_request, sale, "POST", f"/api/v1/event/{large}/seats", plan)
        figures.add("additions/took", "one seat added", "s", time.monotonic() - began_s)
        began_s = time.monotonic()
        for path in (f"/api/v1/booking?eventId={large}", f"/api/v1/event/{large}/sales"):
            await asyncio.to_thread(_request, sale, "GET", path)
        took_s = time.monotonic() - began_s
        figures.add(
            "additions/read", "free seats and sales of the new layout, first read", "s", took_s
        )
    adding = await holding
    figures.add("additions/adding", "slowest hold while seats are added", "ms", adding.slowest_ms)
    figures.add("additions/p99", "the same, p99", "ms", adding.p99_ms(_ADDING_S_MAX / 2))
    journal = await raw(sale.engine).xrange(f"{{{large}}}:journal")
    added = [fields for _, fields in journal if fields[b"kind"] == b"seats_added"]
    size = sum(map(len, added[-1].values())) if added else 0
    figures.add("additions/entry", "journal entry of one seat", "bytes", size)
    if not added:
        sale.wrong.append(f"{large}: no addition is in the journal")


async def _hold_for(sale: Sale, event: EventId, seconds: float) -> OpenLoopResult:
    """Hold seat after seat of the other event, each in time."""
    numbers = sale.next_numbers(int(HOLDS_PER_S * seconds) + 1)
    seats = tuple(seat_of(number) for number in range(numbers.start, numbers.stop))
    load = OpenLoop(
        url=sale.stand.url,
        token=sale.token,
        bodies=hold_bodies(event, seats),
        steps=[Step(HOLDS_PER_S, seconds)],
        connections=8,
    )
    result = await run_in_process(open_loop.run, load)
    if set(result.statuses) != {201}:
        sale.wrong.append(f"holds of {event} answered {result.statuses}")
    return result


def _request(sale: Sale, method: str, path: str, body: object = None) -> bytes:
    """One call of an admin, which must succeed."""
    connection = HTTPConnection(urlsplit(sale.stand.url).netloc, timeout=_ADDING_S_MAX)
    token = issue_token(sale.stand.settings.jwt_secret, "bench", "admin")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status >= 300:
        raise Unavailable(f"{path} answers {response.status}: {answer[:200]!r}")
    return answer
