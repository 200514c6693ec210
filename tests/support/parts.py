"""The processes of one system, killed and restarted, and a sale that never ends."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from bench.rig.stand import free_port
from engine import Engine, Settings
from engine.models import Terms
from tests.support.crowd import Crowd, HttpDesk, seats_of
from tests.support.factories import GALA, layout
from tests.support.own_valkey import OwnValkey
from tests.support.postgres_proxy import through_a_proxy
from tests.support.proxy import Proxy
from tests.support.serving import launched
from tests.support.trials import Trial

_ROOT = Path(__file__).parents[2]
_ROWS, _ROW = 20, 50


class Parts:
    """The processes of one system, each restarted when it was killed."""

    def __init__(self, own: OwnValkey, proxy: Proxy, settings: Settings, folder: Path) -> None:
        self.own = own
        self.proxy = proxy
        self._settings = settings
        self._folder = folder
        self.port = free_port()
        self.running: dict[str, Process] = {}

    async def start(self, name: str) -> None:
        """Start a part: `serve`, `write` or `expire`."""
        if name == "serve":
            self.running[name] = await launched(self._settings, self._folder, self.port)
            return
        environ = {
            **os.environ,
            "REDIS_URL": self._settings.redis_url,
            "DATABASE_URL": self._settings.database_url,
            "WRITER_CLAIM_IDLE_MS": "500",
            "JOURNAL_KEEP_MS": str(self._settings.journal_keep_ms),
        }
        command = ["-m", "engine", name, "--data", str(self._folder)]
        self.running[name] = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=_ROOT, env=environ
        )

    async def kill(self, name: str) -> None:
        """SIGKILL, and again from the start."""
        with suppress(ProcessLookupError):
            self.running[name].kill()
        await self.running[name].wait()
        await self.start(name)

    async def pause(self, name: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        with suppress(ProcessLookupError):
            self.running[name].send_signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            self.running[name].send_signal(signal.SIGCONT)

    async def revive(self) -> None:
        """Start what ended by itself, as its supervisor does: Redis was away when it started."""
        for name, process in list(self.running.items()):
            if process.returncode is not None:
                await self.start(name)

    async def stop(self) -> None:
        """End all of them."""
        for process in self.running.values():
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    def resident_bytes(self) -> dict[str, int]:
        """What each holds in memory."""
        return {
            name: int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096
            for name, process in self.running.items()
        }


@asynccontextmanager
async def _system(own: OwnValkey, settings: Settings, folder: Path) -> AsyncIterator[Parts]:
    async with through_a_proxy(settings.database_url, folder / "pg") as (proxy, url):
        parts = Parts(own, proxy, msgspec.structs.replace(settings, database_url=url), folder)
        try:
            for name in ("serve", "write", "expire"):
                await parts.start(name)
            yield parts
        finally:
            proxy.flow()
            await parts.stop()


@asynccontextmanager
async def ongoing_sale(
    own: OwnValkey, settings: Settings, trial: Trial, folder: Path, of: Terms
) -> AsyncIterator[tuple[Engine, Parts, Crowd]]:
    """A system, and an endless stream of customers who cancel what they bought."""
    async with await Engine.connect(settings) as engine, _system(own, settings, folder) as parts:
        await engine.events.load_event(GALA, layout(_ROWS, _ROW), of)
        desk = HttpDesk(parts.port, timeout_s=5)
        crowd = Crowd(desk, seats_of(_ROWS, _ROW), trial.random)
        crowd.endless = crowd.gives_back = True
        crowd.begin(8)
        try:
            yield engine, parts, crowd
        finally:
            await desk.http.aclose()
