"""`engine status` as people run it: on a terminal of a certain size, and in a pipe."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from engine import Engine, Settings
from tests.support.factories import GALA, layout, selection, terms
from tests.support.proxy import Proxy
from tests.support.waiting import until

_ROOT = Path(__file__).parents[2]
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_ALTERNATE_ON, _ALTERNATE_OFF = b"\x1b[?1049h", b"\x1b[?1049l"


class Screen:
    """A terminal of our own with `engine status` in it."""

    def __init__(self, redis_url: str, folder: Path, encoding: str = "utf-8") -> None:
        self._environ = os.environ | {"REDIS_URL": redis_url, "TERM": "xterm-256color"}
        self._environ["PYTHONIOENCODING"] = encoding
        for name in ("NO_COLOR", "COLUMNS", "LINES"):  # a size that is said hides the terminal's
            self._environ.pop(name, None)
        self._data = str(folder / "none")
        self._ours, self._theirs = pty.openpty()
        self.said = b""
        self.modes_before = termios.tcgetattr(self._theirs)

    async def run(self, *arguments: str, columns: int, rows: int) -> None:
        """Start the command on a terminal of this size."""
        self._set_size(columns, rows)
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine", "status", *arguments, "--data", self._data),
            cwd=_ROOT, env=self._environ,
            stdin=self._theirs, stdout=self._theirs, stderr=self._theirs,
        )  # fmt: skip
        os.set_blocking(self._ours, False)
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size, as a window manager would; what was said before is forgotten."""
        self._set_size(columns, rows)
        self.said = b""
        self.process.send_signal(signal.SIGWINCH)

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self._ours, key)

    async def shows(self, words: str) -> None:
        """Wait until a frame has these words; what was said before is forgotten."""

        async def found() -> bool:
            return words.encode() in _ESCAPES.sub(b"", self.said)

        await until(found)

    async def end(self) -> int:
        """Wait for the end of the command. Its exit code."""
        async with asyncio.timeout(15):
            return await self.process.wait()

    @property
    def modes(self) -> list[object]:
        """How the terminal is set now."""
        return termios.tcgetattr(self._theirs)

    async def close(self) -> None:
        """End what runs, and close the terminal."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        os.close(self._theirs)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        try:
            self.said += os.read(self._ours, 65_536)
        except BlockingIOError:
            return


@pytest.fixture
async def proxy(settings: Settings, tmp_path: Path) -> AsyncIterator[Proxy]:
    async with Proxy(settings.redis_url, tmp_path) as proxy:
        yield proxy


@pytest.fixture
async def screen(proxy: Proxy, tmp_path: Path) -> AsyncIterator[Screen]:
    async with AsyncExitStack() as stack:
        made = Screen(proxy.url, tmp_path)
        stack.push_async_callback(made.close)
        yield made


async def test_screen_lives_through_an_outage_and_a_resize_and_gives_the_terminal_back(
    engine: Engine, proxy: Proxy, screen: Screen
) -> None:
    await engine.events.load_event(GALA, layout(), terms())
    await screen.run(GALA, columns=80, rows=24)
    await screen.shows("available 10")
    assert _ALTERNATE_ON in screen.said
    assert screen.modes != screen.modes_before

    booking = await engine.bookings.hold_seats(selection("ann", "A-1-1", "A-1-2"))
    await screen.shows("held 2")
    await screen.shows("pending 1")
    await engine.bookings.confirm_booking(booking.id, None)
    await screen.shows("sold 2")

    await proxy.cut()
    await screen.shows("Redis away since")
    screen.said = b""
    await proxy.restore()
    await screen.shows("redis up")

    screen.resize(40, 20)
    await screen.shows("gala  10 places")
    frame = _ESCAPES.sub(b"", screen.said).decode()
    assert "Gala" not in frame  # no room for the name
    screen.press(b"x")
    screen.press(b"q")
    assert await screen.end() == 0
    await screen.shows("sold 2")
    assert screen.modes == screen.modes_before
    left = screen.said.split(_ALTERNATE_OFF)
    assert b"sold 2" in _ESCAPES.sub(b"", left[1]), "the last frame stays"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_end_the_screen_well(
    engine: Engine, screen: Screen, number: signal.Signals
) -> None:
    await engine.events.load_event(GALA, layout(), terms())
    await screen.run(GALA, columns=80, rows=24)
    await screen.shows("available 10")
    screen.process.send_signal(number)
    assert await screen.end() == 0
    assert screen.modes == screen.modes_before
    await screen.shows("available 10")
    assert b"Traceback" not in screen.said


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
async def test_screen_shows_a_question_mark_for_a_character_it_lacks(
    engine: Engine, proxy: Proxy, tmp_path: Path, encoding: str
) -> None:
    await engine.events.load_event(GALA, layout(), terms(name="Ελλάς [/]"))
    screen = Screen(proxy.url, tmp_path, encoding)
    try:
        await screen.run(GALA, columns=80, rows=24)
        await screen.shows("????? [/]")
        screen.press(b"q")
        assert await screen.end() == 0
    finally:
        await screen.close()


async def test_on_a_terminal_once_no_event_and_watch_are_plain(
    engine: Engine, screen: Screen
) -> None:
    await engine.events.load_event(GALA, layout(), terms())
    await screen.run(GALA, "--once", columns=80, rows=24)
    assert await screen.end() == 0
    await screen.run(columns=80, rows=24)
    assert await screen.end() == 0
    await screen.run(GALA, "--watch", "0.1", columns=80, rows=24)
    await screen.shows("event=gala sales=open available=10")
    screen.process.send_signal(signal.SIGINT)
    assert await screen.end() == 0
    assert _ALTERNATE_ON not in screen.said


async def test_a_pipe_gets_lines_or_json_without_escapes(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    await engine.events.load_event(GALA, layout(), terms())

    async def piped(*arguments: str, lines: int) -> list[str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine", "status", *arguments),
            *("--data", str(tmp_path / "none")),
            cwd=_ROOT, env=os.environ | {"REDIS_URL": settings.redis_url, "FORCE_COLOR": ""},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout
        async with asyncio.timeout(20):
            found = [await process.stdout.readline() for _ in range(lines)]
            process.send_signal(signal.SIGINT)
            rest = await process.stdout.read()
            assert await process.wait() == 0
        text = (b"".join(found) + rest).decode()
        assert "\x1b" not in text
        return text.splitlines()

    for line in (await piped(GALA, "--watch", "0.1", lines=2))[:2]:
        pairs = dict(pair.split("=") for pair in line.split()[1:])
        assert (pairs["event"], pairs["available"], pairs["refusals_per_s"]) == ("gala", "10", "-")
        assert (pairs["expirer"], pairs["lag_ms"].isdigit()) == ("down", True)
    for line in (await piped(GALA, "--watch", "0.1", "--json", lines=2))[:2]:
        shown = msgspec.json.decode(line)
        assert shown["events"][0]["event"]["id"] == "gala"
        assert (shown["refusals"], shown["trouble"]) == (None, None)
