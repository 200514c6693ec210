"""Runs work on large layouts in a process of its own, so that it does not stop this one.

Decoding, extending or encoding 600,000 seats holds Python's GIL for up to seconds, so a thread
would stop every other request. The process ends with its work and gives its memory back. A small
layout takes a few milliseconds, less than a process needs to start: callers use a thread.
"""

import asyncio
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.errors import EngineError
from engine.plans import layout as layouts
from engine.plans.layout import SplitLayout

CHILD_PROCESS_BYTES = 64 * 1024
"""A layout of more gzipped bytes, about 3,000 seats, gets a process of its own."""
_TIMEOUT_S = 60.0


async def run(work: Callable[[Any], Any], given: object) -> bytes:
    """The msgpack of `work(given)`, for a function of a module; `given` as msgpack decodes it.

    Raises EngineError if the process fails or takes longer than a minute.
    """
    return await asyncio.to_thread(_run, work, given)


def _run(work: Callable[[Any], Any], given: object) -> bytes:
    """From a thread: the event loop would copy the page tables of a large process to start one."""
    try:
        done = subprocess.run(  # noqa: S603  # this interpreter, and names of our modules
            [
                sys.executable,
                *("-c", "from engine.plans.child_process import main; main()"),
                *(work.__module__, work.__name__),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            input=msgspec.msgpack.encode(given),
            stdout=subprocess.PIPE,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise EngineError(f"work on a layout failed: {error}") from error
    return done.stdout


def main() -> None:
    """Do the work that the arguments name; what it is given comes by standard input."""
    module, name = sys.argv[1:]
    work = getattr(__import__(module, fromlist=[name]), name)
    given = msgspec.msgpack.decode(sys.stdin.buffer.read())
    os.nice(5)  # the sale goes first
    sys.stdout.buffer.write(msgspec.msgpack.encode(work(given)))


async def split(gzipped: bytes) -> SplitLayout:
    """As `layout.split`, of a large layout in a process of its own. Raises as `run`.

    The rows come compressed: their many megabytes would stop the event loop on the way.
    """
    if len(gzipped) <= CHILD_PROCESS_BYTES:
        return await asyncio.to_thread(layouts.split, gzipped)
    packed = msgspec.msgpack.decode(await run(_split_packed, gzipped), type=SplitLayout)
    return await asyncio.to_thread(_with_pieces, packed, zlib.decompress)


def _split_packed(gzipped: bytes) -> SplitLayout:
    return _with_pieces(layouts.split(gzipped), lambda piece: zlib.compress(piece, 1))


def _with_pieces(parts: SplitLayout, change: Callable[[bytes], bytes]) -> SplitLayout:
    sections = tuple(
        replace(section, pieces=tuple([change(piece) for piece in section.pieces]))
        for section in parts.sections
    )
    return replace(parts, sections=sections)
