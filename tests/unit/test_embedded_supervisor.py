"""The supervisor with stand-in parts: order, restarts, and nothing left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from embedded import supervisor
from embedded.supervisor import Part, supervise
from tests.support.servers import is_running
from tests.support.waiting import until

_BEGIN = "import os, pathlib, signal, subprocess, sys, time; here = pathlib.Path(sys.argv[1])\n"
_TELL_PID = "open(here / sys.argv[2], 'a').write(f'{os.getpid()}\\n')\n"
_WAIT = "signal.pause()"
_TELL_END = """
def end(*_):
    open(here / 'ended', 'a').write(sys.argv[2] + '\\n')
    sys.exit()
signal.signal(signal.SIGTERM, end)
"""
_DIE_ONCE = "if len((here / sys.argv[2]).read_text().split()) == 1: sys.exit(3)\n"
_IGNORE_SIGTERM = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])
open(here / 'child', 'w').write(f'{child.pid}\\n')
"""
_SUPERVISE = """
import asyncio, os, sys
from embedded.supervisor import Part, supervise
asyncio.run(supervise([Part('part', sys.argv[1:])], os.environ, asyncio.Event()))
"""


def _part(folder: Path, name: str, *steps: str) -> Part:
    program = "".join((_BEGIN, *steps, _WAIT))
    return Part(name, [sys.executable, "-c", program, str(folder), name])


async def _pids(path: Path, count: int = 1) -> list[int]:
    """The pids that the part has written, once there are `count` of them."""

    async def told() -> bool:
        return len(_told(path)) >= count

    await until(told)
    return _told(path)


def _told(path: Path) -> list[int]:
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [int(line) for line in lines if line.endswith("\n")]


@asynccontextmanager
async def _supervised(
    parts: list[Part], environ: dict[str, str] | None = None, stop_timeout_s: float = 15
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    supervisor = asyncio.create_task(supervise(parts, environ or {}, stop, stop_timeout_s))
    try:
        yield
    finally:
        stop.set()
        await supervisor


async def test_supervise_stops_the_parts_in_their_order(tmp_path: Path) -> None:
    names = ["api", "expirer", "writer"]
    async with _supervised([_part(tmp_path, name, _TELL_END, _TELL_PID) for name in names]):
        pids = [pid for name in names for pid in await _pids(tmp_path / name)]
    assert (tmp_path / "ended").read_text().split() == names
    assert not any(is_running(pid) for pid in pids)


async def test_supervise_starts_a_part_that_died_again_and_says_why(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with _supervised([_part(tmp_path, "part", _TELL_PID, _DIE_ONCE)]):
            await _pids(tmp_path / "part", 2)
    died = {"event": "part_died", "name": "part", "reason": "exit code 3", "again_in_s": 0.5}
    assert [died.items() <= line.items() for line in lines] == [True]


async def test_supervise_gives_a_part_its_niceness(tmp_path: Path) -> None:
    part = replace(_part(tmp_path, "part", _TELL_PID), niceness=3)
    async with _supervised([part]):
        (pid,) = await _pids(tmp_path / "part")
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 3


async def test_supervise_names_the_signal_that_killed_a_part(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with _supervised([_part(tmp_path, "part", _TELL_PID)]):
            os.kill((await _pids(tmp_path / "part"))[0], signal.SIGKILL)
            await _pids(tmp_path / "part", 2)
    assert lines[0]["reason"] == "SIGKILL"


async def test_supervise_goes_on_when_a_program_is_not_there() -> None:
    async def logged() -> int:
        return len(lines)

    with capture_logs() as lines:
        async with _supervised([Part("part", ["/no/such/program"])]):
            await until(logged)
    assert lines[0]["reason"] == "exit code 1"


async def test_supervise_kills_a_part_that_ignores_sigterm_with_its_children(
    tmp_path: Path,
) -> None:
    part = _part(tmp_path, "part", _IGNORE_SIGTERM, _TELL_PID)
    with capture_logs() as lines:
        async with _supervised([part], stop_timeout_s=0.1):
            pids = await _pids(tmp_path / "part") + await _pids(tmp_path / "child")
    assert [line["event"] for line in lines] == ["part_killed"]
    await _gone(pids)


async def test_supervise_with_force_waits_for_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FORCE_S", 0.1)
    names = ["api", "expirer", "writer"]
    parts = [_part(tmp_path, name, _IGNORE_SIGTERM, _TELL_PID) for name in names]
    stop, force = asyncio.Event(), asyncio.Event()
    with capture_logs() as lines:
        supervised = asyncio.create_task(supervise(parts, {}, stop, 100, force))
        pids = [pid for name in names for pid in await _pids(tmp_path / name)]
        stop.set()
        force.set()
        await supervised
    assert [line["event"] for line in lines] == ["part_killed"] * 3
    await _gone(pids)


async def test_supervise_leaves_no_child_of_a_part_that_died(tmp_path: Path) -> None:
    part = _part(tmp_path, "part", _IGNORE_SIGTERM, _TELL_PID, _DIE_ONCE)
    async with _supervised([part], stop_timeout_s=0.1):
        first_child = await _pids(tmp_path / "child")
        await _pids(tmp_path / "part", 2)
        await _gone(first_child)


async def test_supervisor_that_is_killed_takes_its_parts_along(tmp_path: Path) -> None:
    part = _part(tmp_path, "part", _TELL_PID)
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SUPERVISE, *part.command
    )
    pids = await _pids(tmp_path / "part")
    supervisor.kill()
    await supervisor.wait()
    if not sys.platform.startswith("linux"):  # no other system ties them
        os.kill(pids[0], signal.SIGTERM)
    await _gone(pids)


async def _gone(pids: list[int]) -> None:
    async def gone() -> bool:
        return not any(is_running(pid) for pid in pids)

    await until(gone)
