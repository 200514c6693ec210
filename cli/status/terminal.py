"""The live screen of `engine status EVENT`: one look a second, until q or Ctrl-C.

The alternate screen, so that what was on the terminal is there again afterwards; below it stays
the last frame. rich measures the terminal at every frame, and a resize asks for one at once.
"""

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.live import Live

from cli.status.poller import StatusPoller
from cli.status.screen import Screen

LOOK_EVERY_S = 1.0


class _Wishes:
    """What the person at the terminal wants: the end, or the frame again in another size."""

    def __init__(self) -> None:
        self.ended = False
        self._woken = asyncio.Event()

    def end(self) -> None:
        self.ended = True
        self._woken.set()

    def draw(self) -> None:
        self._woken.set()

    async def come_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        came = self._woken.is_set()
        self._woken.clear()
        return came


async def show_live(lookout: StatusPoller, console: Console) -> None:
    """Show the event that `lookout` watches until q is pressed or the task is cancelled."""
    wishes = _Wishes()
    screen = Screen(await lookout.look_again())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, wishes.draw)
    try:
        with (
            _keys(wishes),
            Live(screen, console=console, screen=True, auto_refresh=False) as live,
        ):
            while True:
                live.update(screen, refresh=True)
                next_s = loop.time() + LOOK_EVERY_S
                while not wishes.ended and (left_s := next_s - loop.time()) > 0:
                    if await wishes.come_within(left_s):
                        live.refresh()
                if wishes.ended:
                    break
                screen = Screen(await lookout.look_again())
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        console.print(screen.last_frame())


@contextmanager
def _keys(wishes: _Wishes) -> Iterator[None]:
    """Take keys one by one, unseen, and end on q; Ctrl-C stays a signal."""
    if not sys.stdin.isatty():
        yield
        return
    keyboard, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(keyboard)

    def read() -> None:
        try:
            pressed = os.read(keyboard, 64)
        except OSError:  # the terminal is gone
            pressed = b""
        is_sequence = pressed.startswith(b"\x1b")  # an arrow, a paste: no letters
        if not pressed or (b"q" in pressed.lower() and not is_sequence):
            wishes.end()

    tty.setcbreak(keyboard, termios.TCSADRAIN)
    loop.add_reader(keyboard, read)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
