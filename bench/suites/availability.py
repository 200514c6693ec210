"""What a browser asks for: the map of 50,000 seats, whether it has changed, and the layout.

Against bare endpoints that send the very bytes the API sent, and 304. The map is of a house that
is half sold, first without other calls, then while holds arrive at a steady rate.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from bench.load import open_loop
from bench.load.closed_loop import ClosedLoop, ClosedLoopResult
from bench.load.connection import run_in_process
from bench.load.open_loop import OpenLoop, Step
from bench.report.section import BenchOptions, BenchSection, Chart, Figures, in_turns
from bench.rig.houses import hold_bodies, stadium_seats
from bench.rig.sale import Sale, conditions_of, open_sale
from bench.rig.stand import bare_endpoint
from engine.errors import Unavailable
from engine.ids import CustomerId, EventId, SeatId
from engine.models import Selection

GZIP = "Accept-Encoding: gzip"
CHANGES_PER_S = 50


class _Turn(Struct, frozen=True):
    """One GET that is fired."""

    id: str
    says: str
    url: str
    path: str
    headers: tuple[str, ...] = ()
    changing: bool = False


async def measure(options: BenchOptions) -> BenchSection:
    """In turns, at one API process."""
    figures = Figures()
    async with open_sale() as sale:
        conditions = await conditions_of(sale)
        event = await sale.open_stadium()
        await _hold_half(sale, event)
        with _turns(sale, event) as turns:
            for number in range(options.rounds):
                for turn in in_turns(turns, number):
                    await _fire(sale, figures, options, turn)
        await sale.judge(event)
        figures.wrong += sale.wrong
    return BenchSection(
        id="availability",
        title="Maps and layouts over HTTP",
        what="GET by 64 connections, 50,000 seats; bare endpoints answer the same bytes.",
        series=figures.series,
        wrong=figures.wrong,
        conditions=conditions,
        charts=[
            Chart(
                name="availability",
                title="Reads of a house of 50,000 seats",
                unit="a second",
                bars=[turn.id for turn in turns],
            )
        ],
    )


async def _hold_half(sale: Sale, event: EventId) -> None:
    hold = sale.engine.bookings.hold_seats
    seats = [f"{event}:{seat}" for seat in stadium_seats()[::2]]
    for start in range(0, len(seats), 2000):
        selections = (
            Selection(
                event_id=event,
                customer_id=CustomerId("bench"),
                seats=tuple(map(SeatId, seats[first : first + 10])),
            )
            for first in range(start, min(start + 2000, len(seats)), 10)
        )
        await asyncio.gather(*(hold(wanted) for wanted in selections))


@contextmanager
def _turns(sale: Sale, event: EventId) -> Iterator[list[_Turn]]:
    """What is fired, and the bare endpoints for it."""
    path, url = f"/api/v1/event/{event}/availability", sale.stand.url
    layout_path = f"/api/v1/event/{event}/seats"
    secret = sale.stand.settings.jwt_secret
    with TemporaryDirectory(prefix="bench-") as folder:
        files = Path(folder, "map"), Path(folder, "layout")
        etag, body = _get(url, path)
        files[0].write_bytes(body)
        files[1].write_bytes(_get(url, layout_path, {"Accept-Encoding": "gzip"})[1])
        with (
            bare_endpoint(secret, {"BARE_ANSWER": str(files[0])}) as bare_map,
            bare_endpoint(secret, {"BARE_ANSWER": str(files[1])}) as bare_layout,
        ):
            known = (f"If-None-Match: {etag}",)
            yield [
                _Turn("map/bare", "the map's bytes, bare endpoint", bare_map, "/read"),
                _Turn("map/engine", "map", url, path),
                _Turn("unchanged/bare", "304, bare endpoint", bare_map, "/unchanged", known),
                _Turn("unchanged/engine", "map, If-None-Match: 304", url, path),
                _Turn("layout/bare", "the layout's bytes, bare endpoint", bare_layout, "/read"),
                _Turn("layout/engine", "layout, gzipped", url, layout_path, (GZIP,)),
                _Turn("map/changing", "map, 50 holds a second meanwhile", url, path, (), True),
            ]


def _get(url: str, path: str, headers: dict[str, str] | None = None) -> tuple[str, bytes]:
    """The entity tag and the body."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        if response.status != 200:
            raise Unavailable(f"{path} answers {response.status}")
        return response.headers["ETag"], response.read()
    finally:
        connection.close()


async def _fire(sale: Sale, figures: Figures, options: BenchOptions, turn: _Turn) -> None:
    headers = turn.headers
    if turn.id == "unchanged/engine":  # holds of the round before have moved it
        headers = (f"If-None-Match: {_get(turn.url, turn.path)[0]}",)
    load = replace(
        sale.load(turn.url, [], options.seconds), path=turn.path, headers=headers, counted=True
    )
    result = await (_run_beside_holds(sale, load) if turn.changing else sale.run_all_good(load))
    wanted = 304 if turn.id.startswith("unchanged") else 200
    others = {status: n for status, n in result.statuses.items() if status != wanted}
    if others:
        sale.wrong.append(f"{turn.id}: answers other than {wanted}: {others}")
    figures.add(turn.id, turn.says, "/s", result.per_second)
    figures.add(f"{turn.id}/p99", f"{turn.says}, p99", "ms", result.p99_ms)


async def _run_beside_holds(sale: Sale, load: ClosedLoop) -> ClosedLoopResult:
    """Holds meanwhile change the map again and again."""
    event = EventId(load.path.split("/")[4])
    wanted = sale.next_numbers(ceil(CHANGES_PER_S * (load.seconds + 1)) + 1)
    holds = OpenLoop(
        url=load.url,
        bodies=hold_bodies(event, stadium_seats()[1::2][wanted]),
        steps=[Step(CHANGES_PER_S, load.seconds + 1)],
        token=sale.token,
    )
    holding = asyncio.create_task(run_in_process(open_loop.run, holds))
    await asyncio.sleep(0.7)  # the process has started
    result = await sale.run_all_good(load)
    statuses = (await holding).statuses
    if set(statuses) != {201}:
        sale.wrong.append(f"holds beside the reads answered {statuses}")
    return result
