"""A proxy in front of Redis that can be cut, and can swallow an answer that Redis gave."""

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Listens on a unix socket of its own and forwards to the server behind `target_url`."""

    def __init__(self, target_url: str, folder: Path) -> None:
        self._target = urlsplit(target_url).path
        self._path = folder / "proxy.sock"
        self.url = f"unix://{self._path}"
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._swallow = 0
        self._swallow_marker = b""
        self.connection_count = 0

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.cut()

    async def restore(self) -> None:
        """Let connections in again."""
        self._path.unlink(missing_ok=True)  # a test can wait for a disk
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        if self._server:
            self._server.close()
        self._path.unlink(missing_ok=True)
        await self.cut_connections()

    async def cut_connections(self) -> None:
        """Break every connection; new ones are let in."""
        for writer in list(self._open):
            writer.close()
        if self._serving:
            await asyncio.wait(list(self._serving))

    def drop_next_reply(self, marker: bytes = b"") -> None:
        """Pass the next request that contains `marker` on, but break instead of its answer."""
        self._swallow += 1
        self._swallow_marker = marker

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connection_count += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            behind_reader, behind_writer = await asyncio.open_unix_connection(self._target)
            self._open |= {writer, behind_writer}
            armed = asyncio.Event()
            await asyncio.gather(
                self._forward(reader, behind_writer, armed, requests=True),
                self._forward(behind_reader, writer, armed, requests=False),
            )
            self._open -= {writer, behind_writer}
        finally:
            self._serving.discard(task)

    async def _forward(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        armed: asyncio.Event,
        *,
        requests: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                if requests and self._swallow and self._swallow_marker in data:
                    self._swallow -= 1
                    armed.set()
                if not requests and armed.is_set():
                    break
                sink.write(data)
                await sink.drain()
        sink.close()
        with contextlib.suppress(OSError):
            await sink.wait_closed()
