"""T27: Redis is emptied in the middle of a sale; `engine restore` brings it back from Postgres.

Everything is real: an API process, a writer, customers over HTTP that never stop asking, and
`engine restore` as a process that is killed half-way and run again.
"""

import asyncio
import os
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from httpx2 import AsyncClient
from redis.asyncio import Redis

from engine import Engine, Settings, invariants
from engine.event_state import read_state
from engine.models import SalesState
from persistence import database
from persistence.database import Pool
from persistence.journal.writer import Writer
from persistence.reconcile.reconciler import reconcile
from tests.api.client import BOOKING, PAYMENT, bearer
from tests.persistence.running import drained, running, sold_seats
from tests.support.factories import GALA, layout, terms
from tests.support.serving import serving
from tests.support.trials import Trial
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
ROWS, SEATS = 100, 200
WANTED = 300
CUSTOMERS = 16


class Sale:
    """Customers who want the same few seats, and the answers they got.

    They pause while `may_ask` is not set: Redis is emptied when Postgres has all that was answered,
    for what it has not is lost, as docs/how-to/restore-redis.md says.
    """

    def __init__(self, port: int) -> None:
        self._http = AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10)
        self._left = [f"gala:A-{1 + n // SEATS}-{1 + n % SEATS}" for n in range(WANTED)] * 2
        self.sold: dict[str, str] = {}  # booking -> seat
        self.asking = 0
        self.may_ask = asyncio.Event()
        self.may_ask.set()
        self.codes: Counter[str] = Counter()

    async def run(self) -> None:
        """All customers buy until every seat was tried twice."""
        async with self._http:
            await asyncio.gather(*(self._buy(f"c{n}") for n in range(CUSTOMERS)))

    async def _buy(self, customer: str) -> None:
        headers = bearer(customer)
        while self._left:
            seat = self._left.pop()
            status, held = await self._ask(BOOKING, headers, {"seatId": seat})
            if status != 201:
                continue
            status, paid = await self._ask(f"{PAYMENT}/{held['id']}/confirm", headers)
            if status == 200:
                assert paid["status"] == "confirmed"
                self.sold[str(held["id"])] = seat

    async def _ask(
        self, path: str, headers: dict[str, str], body: object = None
    ) -> tuple[int, dict[str, object]]:
        """The answer; while the event is closed, again and again."""
        answers: list[tuple[int, dict[str, object]]] = []

        async def answered() -> bool:
            await self.may_ask.wait()
            self.asking += 1
            answer = await self._http.post(path, headers=headers, json=body)
            self.asking -= 1
            answers[:] = [(answer.status_code, answer.json())]
            self.codes[str(answer.json().get("code", answer.status_code))] += 1
            return answer.status_code != 503 and answer.json().get("code") != "event_not_found"

        await until(answered)
        return answers[0]


async def _restore(settings: Settings, *options: str, kill_at_first_line: bool = False) -> str:
    """Run `engine restore`; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine", "restore", *options),
        cwd=ROOT,
        env={
            **os.environ,
            "REDIS_URL": settings.redis_url,
            "DATABASE_URL": settings.database_url,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    if kill_at_first_line:
        line = await process.stdout.readline()
        with suppress(ProcessLookupError):
            process.kill()
        assert await process.wait() == -9
        return line.decode()
    printed = (await process.communicate())[0].decode()
    assert process.returncode == 0, printed
    return printed


async def _emptied(sale: Sale, engine: Engine, redis: Redis) -> dict[str, str]:
    """Empty Redis in the middle of the sale; what was sold until then."""

    async def well_on_its_way() -> bool:
        return len(sale.sold) > WANTED // 4

    async def silent() -> bool:
        return sale.asking == 0

    async def closed() -> bool:
        return GALA in (await engine.restores.read_heads([GALA]))

    await until(well_on_its_way)
    sale.may_ask.clear()
    await until(silent)
    await drained(engine)
    sold = dict(sale.sold)
    await redis.flushall()
    sale.may_ask.set()
    await until(closed)
    return sold


async def _check(sale: Sale, engine: Engine, pool: Pool) -> None:
    """Every answered sale is in Redis and in Postgres, under its booking; nothing else is."""
    state = await read_state(engine, GALA)
    assert invariants.check(state) == []
    assert (await reconcile(engine, pool, [GALA], lag_ms=0)).clean
    owners = await sold_seats(pool)
    in_redis = {s: v.booking for s, v in state.seats.items() if v.letter == "s"}
    assert {f"{GALA}:{s}": f"{GALA}:{ulid}" for s, ulid in in_redis.items()} == owners
    assert {seat: booking for booking, seat in sale.sold.items()} == owners
    assert len(sale.sold) == len(owners)


@pytest.mark.trial("T27")
async def test_redis_is_emptied_while_customers_buy(
    engine: Engine, redis: Redis, settings: Settings, database_url: str, tmp_path: Path,
    trial: Trial,
) -> None:  # fmt: skip
    await engine.events.load_event(GALA, layout(rows=ROWS, seats=SEATS), terms())
    async with (
        await database.connect(database_url) as pool,
        running(Writer(engine, pool, settings)),
        serving(settings, tmp_path) as port,
    ):
        sale = Sale(port)
        selling = asyncio.create_task(sale.run())
        sold_before = await _emptied(sale, engine, redis)
        assert (await _restore(settings, kill_at_first_line=True)).startswith("gala: ")
        assert (await engine.events.read_event(GALA)).sales == SalesState.RESTORING
        (outcome,) = msgspec.json.decode(await _restore(settings, "--json"))
        await selling
        await drained(engine)
        await _check(sale, engine, pool)
    assert len(sale.sold) > len(sold_before) > WANTED // 4
    assert sale.codes["restoring"] > 0
    assert set(sale.codes) <= {
        *("201", "200", "restoring", "event_not_found", "seat_taken"),
        *("booking_not_found", "refund_due"),
    }, sale.codes
    seconds, seat_count = outcome["seconds"], ROWS * SEATS
    trial.tell(
        1, "FLUSHALL in a sale, `engine restore` killed half-way and run again",
        f"{len(sale.sold)} sold, {len(sold_before)} of them before, lost 0, double 0; "
        f"{seat_count:,} seats restored in {seconds:.2f} s, "
        f"{seconds * 100_000 / seat_count:.1f} s per 100,000",
    )  # fmt: skip
