"""The live screen of `engine status EVENT`: one poll per second, until q or Ctrl-C.

It uses the alternate screen, so the terminal's earlier content is restored at the end, followed by
the last frame. rich measures the terminal at every frame, and a resize redraws at once.
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

POLL_EVERY_S = 1.0


class _Input:
    """Input from the terminal: quit, or redraw after a resize."""

    def __init__(self) -> None:
        self.ended = False
        self._woken = asyncio.Event()

    def end(self) -> None:
        self.ended = True
        self._woken.set()

    def draw(self) -> None:
        self._woken.set()

    async def arrives_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        arrived = self._woken.is_set()
        self._woken.clear()
        return arrived


async def show_live(poller: StatusPoller, console: Console) -> None:
    """Show the event of `poller` until q is pressed or the task is cancelled."""
    user_input = _Input()
    screen = Screen(await poller.try_poll())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, user_input.draw)
    try:
        with (
            _keys(user_input),
            Live(screen, console=console, screen=True, auto_refresh=False) as live,
        ):
            while True:
                live.update(screen, refresh=True)
                next_s = loop.time() + POLL_EVERY_S
                while not user_input.ended and (left_s := next_s - loop.time()) > 0:
                    if await user_input.arrives_within(left_s):
                        live.refresh()
                if user_input.ended:
                    break
                screen = Screen(await poller.try_poll())
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        console.print(screen.last_frame())


@contextmanager
def _keys(user_input: _Input) -> Iterator[None]:
    """Read keys one by one without echo, and quit on q; Ctrl-C is still a signal."""
    if not sys.stdin.isatty():
        yield
        return
    keyboard, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(keyboard)

    def read() -> None:
        try:
            pressed = os.read(keyboard, 64)
        except OSError:  # the terminal was closed
            pressed = b""
        is_sequence = pressed.startswith(b"\x1b")  # an arrow or a paste
        if not pressed or (b"q" in pressed.lower() and not is_sequence):
            user_input.end()

    tty.setcbreak(keyboard, termios.TCSADRAIN)
    loop.add_reader(keyboard, read)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
