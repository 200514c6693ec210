"""What a plan adds to an event that exists, computed away from the event loop.

A large layout is extended in a process of its own (`child_process`), one at a time; a small one
in a thread.
"""

import asyncio
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from engine.errors import SeatExists
from engine.models import Layout
from engine.plans import child_process
from engine.plans import layout as layouts
from engine.plans.child_process import CHILD_PROCESS_BYTES
from engine.plans.event_json import add_sections
from engine.plans.problems import PlanError
from engine.plans.quality import search_keys

ADD_SEATS_MAX = 2000
_one_at_a_time = asyncio.Semaphore(1)


class Addition(Struct, frozen=True, tag=True):
    """The seats and areas that are new, and the whole layout with them, gzipped.

    `added` is a layout with only what is new, gzipped (see `layout.difference`). `map` is what the
    map grows by, its separator included; `available` and `blocked` count places. `order` is that of
    the whole layout.
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
    rows: dict[str, bytes]
    order: dict[str, str]


class _Refused(Struct, frozen=True, tag=True):
    """Why there is no addition: the problems of the plan, or the seats that the event has."""

    problems: tuple[str, ...] = ()
    existing: tuple[str, ...] = ()


_Result: TypeAlias = Addition | _Refused
T = TypeVar("T")


def addition_of(layout: Layout, known: Layout) -> Addition:
    """What `layout` has and `known` lacks. Raises PlanError over ADD_SEATS_MAX seats.

    ValueError: `layout` is not `known` with more; its journal entry could not be replayed.
    """
    before, after = layouts.values_of(known), layouts.values_of(layout)
    seats = _beyond(before.seats, after.seats)
    if len(seats) > ADD_SEATS_MAX:
        raise PlanError([f"at most {ADD_SEATS_MAX} seats can be added at once"])
    added, search = layouts.difference(layout, known), search_keys(layout)
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
        rows=_beyond(search_keys(known).rows, search.rows),
        order=search.order,
    )


async def read_addition(gzipped: bytes, body: bytes) -> Addition:
    """The addition that a body (a MoreSeats) makes to an encoded layout.

    Raises: PlanError; SeatExists with local ids.
    """
    if len(gzipped) <= CHILD_PROCESS_BYTES:
        return _checked(await asyncio.to_thread(_extend, (gzipped, body)))
    async with _one_at_a_time:
        told = await child_process.run(_extend, (gzipped, body))
    result: _Result = msgspec.msgpack.decode(told, type=_Result)
    return _checked(result)


def _extend(given: tuple[bytes, bytes]) -> _Result:
    gzipped, body = given
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


def _beyond(before: dict[str, T], after: dict[str, T]) -> dict[str, T]:
    return {name: value for name, value in after.items() if name not in before}
