"""`engine up` ended in the middle of a sale, and its parts one after the other."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx2
import pytest

from embedded import servers
from tests.support.buying import Buyers, Deed, Fate, broken
from tests.support.running import Up, running_up
from tests.support.servers import children_of, is_running
from tests.support.trials import Trial
from tests.support.waiting import until

BUYERS = 24


async def _sale(up: Up) -> Buyers:
    """A hall on sale, and buyers that start when told to."""
    code, said = await up.engine("load", "venue:hall", "--event", "gala")
    assert code == 0, said
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{up.port}") as http:
        layout = (await http.get("/api/v1/event/gala/seats")).json()
    return Buyers(up.port, servers.jwt_secret(up.data), _seats(layout))


def _seats(
    layout: dict[str, list[dict[str, list[dict[str, list[dict[str, str]]]]]]],
) -> Iterator[str]:
    for section in layout["sections"]:
        for row in section["rows"]:
            yield from (f"gala:{seat['id']}" for seat in row["seats"])


async def _bought(buyers: Buyers, count: int) -> None:
    async def enough() -> bool:
        return sum(deed.status == 200 for deed in buyers.deeds) >= count

    await until(enough)


async def _kept(up: Up) -> dict[str, tuple[str, str]]:
    """Every booking in Postgres: its customer and its status."""
    connection = await asyncpg.connect(up.servers().database_url)
    try:
        rows = await connection.fetch(
            "SELECT booking_id, customer_id, status FROM bookings UNION ALL "
            "SELECT booking_id, body ->> 'customer_id', body ->> 'status' FROM pending_bookings"
        )
    finally:
        await connection.close()
    return {booking_id: (customer, status) for booking_id, customer, status in rows}


async def _clean(up: Up) -> None:
    for command in (["verify", "gala"], ["reconcile", "gala"]):
        code, said = await up.engine(*command)
        assert code == 0, said


async def test_sigterm_in_a_sale_cuts_nothing_that_was_accepted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running_up(data, RATE_LIMITS="off") as up:
        await up.ready()
        buyers = await _sale(up)
        processes = up.tree()
        assert len(processes) >= 7
        buyers.begin(BUYERS)
        await _bought(buyers, 100)

        said = await up.end(signal.SIGTERM)
        await buyers.end()

        assert (up.process.returncode, said) == (0, "stopping\nstopped\n")
        assert not any(is_running(pid) for pid in processes)
        assert buyers.fates()[Fate.REFUSED], "they came until the end"

    async with running_up(data, up.port) as up:
        await up.ready()
        assert broken(buyers.deeds, await _kept(up)) == []
        await _clean(up)


async def _replaced(up: Up, parts: set[int], number: signal.Signals) -> None:
    """End every one of these parts, and wait for what comes in its place."""
    count = len(up.parts())
    for pid in parts:
        os.kill(pid, number)

    async def others_run() -> bool:
        now = up.parts()
        return len(now) == count and not parts & now

    await until(others_run)


@pytest.mark.trial("T29")
async def test_parts_ended_one_after_the_other_fail_no_request(
    tmp_path: Path, trial: Trial
) -> None:
    async with running_up(tmp_path / "data", 0, "--workers", "2", RATE_LIMITS="off") as up:
        await up.ready()
        buyers = await _sale(up)
        buyers.begin(BUYERS)
        await _bought(buyers, 50)
        api = next(pid for pid in up.parts() if len(children_of(pid)) > 1)
        before = set(children_of(api))

        os.kill(api, signal.SIGHUP)

        async def others_work() -> bool:
            return len(before - set(children_of(api))) == 2

        await until(others_work)
        for number in (signal.SIGTERM, signal.SIGKILL):
            await _replaced(up, up.parts() - {api}, number)
        await _bought(buyers, 400)
        await buyers.end()
        await until(up.is_ready)

        failed = [deed for deed in buyers.deeds if deed.fate is not Fate.ANSWERED]
        assert failed == []

        async def all_written() -> bool:
            return broken(buyers.deeds, await _kept(up)) == []

        await until(all_written)
        await _clean(up)
    trial.tell(
        1, "SIGHUP of the API, SIGTERM and SIGKILL of every other part, in a sale",
        f"{len(buyers.deeds):,} requests, failed 0",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("deed", "kept"),
    [
        (Deed("hold", "ann", Fate.CUT), {}),
        (Deed("hold", "ann", Fate.ANSWERED, 201, "b"), {}),
        (Deed("hold", "ann", Fate.ANSWERED, 503), {}),
        (Deed("hold", "ann", Fate.UNANSWERED), {"b": ("ann", "pending")}),
        (Deed("confirm", "ann", Fate.ANSWERED, 200, "b"), {"b": ("ann", "pending")}),
        (Deed("confirm", "ann", Fate.UNANSWERED, 0, "b"), {"b": ("ann", "confirmed")}),
    ],
)
def test_a_broken_promise_is_found(deed: Deed, kept: dict[str, tuple[str, str]]) -> None:
    assert len(broken([deed], kept)) == 1


async def test_a_promise_that_was_kept_is_none() -> None:
    kept = {"b": ("ann", "confirmed")}
    deeds = [
        Deed("hold", "ann", Fate.ANSWERED, 201, "b"),
        Deed("confirm", "ann", Fate.ANSWERED, 200, "b"),
        Deed("hold", "bob", Fate.UNANSWERED),
        Deed("hold", "bob", Fate.REFUSED),
    ]
    assert broken(deeds, kept) == []
