"""Named points at which a trial stops or kills a writer or an API: between two lines of its code.

The process of a trial patches the method that ends at the point, so the engine itself has no hook
and pays nothing; a method that was renamed fails the trial at once. Most trials need no such point:
a signal at a random moment and a proxy that breaks tell more. But "between the commit and the
acknowledgement" is a few microseconds wide, and is never met by chance.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from cli.commands import main
from engine import Engine, Settings
from engine.bookings import Bookings
from engine.journal import Journal
from persistence import database
from persistence.journal.tables import Store
from persistence.journal.writer import Writer
from tests.support.serving import environ_of


class Point(NamedTuple):
    """The method at whose end, or beginning, the point is."""

    owner: type
    method: str
    before: bool = False
    found: bool = False
    """Not reached by a call that found nothing: it comes again."""


POINTS = {
    "writer:read": Point(Journal, "read", found=True),
    "writer:writing": Point(Store, "write", before=True),
    "writer:committed": Point(Store, "write"),
    "writer:acknowledged": Point(Journal, "acknowledge"),
    "api:holding": Point(Bookings, "hold_seats", before=True),
    "api:held": Point(Bookings, "hold_seats"),
    "api:confirming": Point(Bookings, "confirm_booking", before=True),
    "api:confirmed": Point(Bookings, "confirm_booking"),
    "api:cancelling": Point(Bookings, "cancel_booking", before=True),
    "api:cancelled": Point(Bookings, "cancel_booking"),
}

_processes = get_context("forkserver")
_processes.set_forkserver_preload(["tests.support.pausing"])


def stop_at(point: str, number: signal.Signals, passes: int = 1) -> None:
    """This process sends itself the signal when it comes to the point with something in hand."""
    owner, method, before, found = POINTS[point]
    original: Callable[..., Awaitable[Any]] = getattr(owner, method)
    left = passes

    def reach() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), number)

    async def patched(*args: Any, **named: Any) -> Any:
        if before:
            reach()
        result = await original(*args, **named)
        if not before and (result or not found):
            reach()
        return result

    setattr(owner, method, patched)


def acknowledge_first() -> None:
    """The planted fault: a writer that acknowledges what it is about to commit."""
    original = Writer._write
    acknowledge = Writer._acknowledge

    async def wrong(self: Writer, batch: Any) -> None:
        await acknowledge(self, batch)
        await original(self, batch)

    Writer._write = wrong  # type: ignore[method-assign]


def start_writer(
    settings: Settings, point: str, number: signal.Signals, *, wrong: bool = False
) -> BaseProcess:
    """A writer in a process of its own, which comes to the point once."""
    process = _processes.Process(target=_write, args=(settings, point, number, wrong))
    process.start()
    return process


def _write(settings: Settings, point: str, number: signal.Signals, wrong: bool) -> None:
    if wrong:
        acknowledge_first()
    stop_at(point, number)
    asyncio.run(_run_writer(settings))


async def _run_writer(settings: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with (
        await Engine.connect(settings) as engine,
        await database.connect(settings.database_url) as pool,
    ):
        await Writer(engine, pool, settings).run(stop)


def start_api(settings: Settings, port: int, data: Path, point: str) -> BaseProcess:
    """An API in a process of its own, which is killed when a request comes to the point."""
    process = _processes.Process(target=_serve, args=(settings, port, data, point))
    process.start()
    return process


def _serve(settings: Settings, port: int, data: Path, point: str) -> None:
    os.environ.update(environ_of(settings))
    stop_at(point, signal.SIGKILL)
    main(["serve", "--port", str(port), "--data", str(data)])
