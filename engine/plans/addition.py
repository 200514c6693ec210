"""What a plan adds to an event that exists, computed away from the event loop.

Decoding, extending and encoding 600,000 seats takes seconds and holds Python's GIL, so a thread
would stop every other request of the process. A large layout is extended in a process of its own
(`python -m engine.plans.addition`), which ends afterwards and gives its memory back; one at a time.
A small layout takes a few milliseconds, less than a process needs to start, and uses a thread.
"""

import asyncio
import os
import sys
from typing import TypeAlias

import msgspec
from msgspec import Struct

from engine.errors import EngineError, SeatExists
from engine.models import Layout
from engine.plans import layout as layouts
from engine.plans.event_json import add_sections
from engine.plans.problems import PlanError

ADD_SEATS_MAX = 2000
APART_BYTES = 64 * 1024
"""A layout of more gzipped bytes, about 3,000 seats, is extended in a process of its own."""
_APART_S_MAX = 60.0
_one_at_a_time = asyncio.Semaphore(1)


class Addition(Struct, frozen=True, tag=True):
    """The seats and areas that are new, and the whole layout with them, gzipped.

    `added` is a layout with only what is new, gzipped (see `layout.difference`). `map` is what the
    map grows by, its separator included; `available` and `blocked` count places.
    """

    known_version: str
    version: str
    gzipped: bytes
    added: bytes
    prices: str
    map: str
    available: int
    blocked: int
    seats: dict[str, str]
    areas: dict[str, str]


class _Refused(Struct, frozen=True, tag=True):
    """Why there is no addition: the problems of the plan, or the seats that the event has."""

    problems: tuple[str, ...] = ()
    existing: tuple[str, ...] = ()


_Result: TypeAlias = Addition | _Refused


def addition_of(layout: Layout, known: Layout) -> Addition:
    """What `layout` has and `known` lacks. Raises PlanError over ADD_SEATS_MAX seats.

    ValueError: `layout` is not `known` with more; its journal entry could not be replayed.
    """
    before, after = layouts.values_of(known), layouts.values_of(layout)
    seats = _beyond(before.seats, after.seats)
    if len(seats) > ADD_SEATS_MAX:
        raise PlanError([f"at most {ADD_SEATS_MAX} seats can be added at once"])
    added = layouts.difference(layout, known)
    if layouts.extended(known, added) != layout:
        raise ValueError(f"layout {layout.version} does not extend {known.version}")
    grown = after.map[len(before.map) :]
    blocked = grown.count("b")
    return Addition(
        known_version=known.version,
        version=layout.version,
        gzipped=layouts.encode(layout),
        added=layouts.encode(added),
        prices=layouts.prices(layout),
        map=grown,
        available=layouts.capacity(layout) - layouts.capacity(known) - blocked,
        blocked=blocked,
        seats=seats,
        areas=_beyond(before.areas, after.areas),
    )


async def read_addition(gzipped: bytes, body: bytes) -> Addition:
    """The addition that a body (a MoreSeats) makes to an encoded layout.

    Raises: PlanError; SeatExists with local ids.
    """
    if len(gzipped) > APART_BYTES:
        async with _one_at_a_time:
            return _checked(await _extend_apart(gzipped, body))
    return _checked(await asyncio.to_thread(_extend, gzipped, body))


def _extend(gzipped: bytes, body: bytes) -> _Result:
    known = layouts.decode(gzipped)
    try:
        return addition_of(add_sections(known, body), known)
    except PlanError as error:
        return _Refused(problems=error.problems)
    except SeatExists as error:
        return _Refused(existing=error.found)


def _checked(result: _Result) -> Addition:
    if isinstance(result, Addition):
        return result
    if result.existing:
        raise SeatExists(*result.existing)
    raise PlanError(result.problems)


async def _extend_apart(gzipped: bytes, body: bytes) -> _Result:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "from engine.plans.addition import main; main()"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_APART_S_MAX):
            told, _ = await process.communicate(msgspec.msgpack.encode((gzipped, body)))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise EngineError(f"the layout could not be extended: exit code {process.returncode}")
    result: _Result = msgspec.msgpack.decode(told, type=_Result)
    return result


def main() -> None:
    """Extend the layout of standard input; the result goes to standard output."""
    gzipped, body = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=tuple[bytes, bytes])
    os.nice(5)  # the sale goes first
    sys.stdout.buffer.write(msgspec.msgpack.encode(_extend(gzipped, body)))


def _beyond(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in after.items() if name not in before}
