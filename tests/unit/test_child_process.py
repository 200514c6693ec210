"""Work on large layouts that must not stop the event loop."""

import asyncio
import threading

import pytest

from api import seat_picker
from engine import availability
from engine.availability import LoadedLayout
from engine.errors import EngineError
from engine.ids import EventId
from engine.models import Layout
from engine.plans import child_process
from engine.plans import layout as layouts
from tests.support.factories import layout

LARGE = layout(rows=150, seats=100)
GZIPPED = layouts.encode(LARGE)


def failing(_: bytes) -> None:
    """Work that fails."""
    raise ValueError


async def test_split_in_a_child_process_has_the_layout_in_small_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child_process, "CHILD_PROCESS_BYTES", 1000)
    calls = []
    run = child_process.run

    async def counted(*given: object) -> bytes:
        calls.append(given)
        return await run(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(child_process, "run", counted)
    parts = await child_process.split(GZIPPED)
    assert layouts.join(parts) == LARGE
    pieces = [len(piece) for section in parts.sections for piece in section.pieces]
    assert len(pieces) > 1
    assert max(pieces) < 2 * layouts.PIECE_BYTES
    assert len(calls) == 1
    monkeypatch.setattr(child_process, "CHILD_PROCESS_BYTES", len(GZIPPED))
    assert layouts.join(await child_process.split(GZIPPED)) == LARGE
    assert len(calls) == 1, "a small layout needs no process"


async def test_work_that_fails_is_an_error_of_the_engine() -> None:
    with pytest.raises(EngineError, match=r"work on a layout failed: .* exit status 1"):
        await child_process.run(failing, b"")


def _loaded(of: Layout) -> LoadedLayout:
    gzipped = layouts.encode(of)
    return availability._load(gzipped, layouts.split(gzipped))


async def test_an_evicted_layout_is_freed_in_a_thread_and_stays_whole_for_its_readers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    freed = asyncio.Event()
    loop, free, threads = asyncio.get_running_loop(), availability._free, list[int]()

    def freeing(evicted: list[LoadedLayout]) -> None:
        threads.append(threading.get_ident())
        free(evicted)
        assert evicted == []
        loop.call_soon_threadsafe(freed.set)

    monkeypatch.setattr(availability, "_free", freeing)
    cache = availability._LayoutCache(1, lambda _: 1)
    cache[EventId("a"), "1"] = read = _loaded(LARGE)
    cache[EventId("a"), "2"] = _loaded(layout())
    await freed.wait()
    assert threads != [threading.get_ident()]
    assert (len(read.rows), read.layout) == (150, LARGE)
    assert [*cache] == [(EventId("a"), "2")]


async def test_runs_of_a_large_layout_are_found_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads, find = list[int](), seat_picker._find_runs

    def finding(*given: object) -> seat_picker.Runs:
        threads.append(threading.get_ident())
        return find(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(seat_picker, "_find_runs", finding)
    grown = layout(rows=3, seats=7)
    for _ in range(2):
        assert await seat_picker.runs_of(grown, "", "") == [(0, 23)]
    assert len(threads) == 1
    assert threads != [threading.get_ident()]


def test_place_finds_each_seat_by_its_index_and_none_between_rows() -> None:
    loaded = _loaded(layout(rows=3, seats=4))
    found = [loaded.place(index) for index in range(-1, 16)]
    ids = [place.seat.id if place else None for place in found]
    rows = [[f"A-{row}-{seat}" for seat in range(1, 5)] for row in (1, 2, 3)]
    assert ids == [None, *rows[0], None, *rows[1], None, *rows[2], None, None]
    assert found[6] is not None
    assert (found[6].section_id, found[6].row_id) == ("A", "2")
