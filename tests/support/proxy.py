"""A proxy in front of Redis or Postgres that breaks what a network breaks.

It can be cut, swallow an answer that was given, make everything late, tear it into single bytes,
take connections and forward nothing (half-open), and end connections with a reset.
"""

import asyncio
import contextlib
import socket
import struct
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset. A unix socket breaks with what is unread."""


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
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.connection_count = 0
        self.split = False
        """Whether everything is passed on byte by byte."""
        self.delay_s: tuple[float, float] = (0.0, 0.0)
        """Least and most that everything is late, each way."""
        self.random = Random(1)

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flow()
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
        while self._serving:  # one that is being joined has nothing to close yet
            for writer in list(self._open):
                writer.close()
            await asyncio.wait(list(self._serving), timeout=0.05)

    def reset_connections(self) -> None:
        """Break every connection at once, with what is on its way in it."""
        for writer in list(self._open):
            with contextlib.suppress(OSError):
                held = writer.get_extra_info("socket")
                held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    def stall(self) -> None:
        """Half-open: connections stay and are accepted, and nothing is forwarded."""
        self._flowing.clear()

    def flow(self) -> None:
        """Forward again, what came meanwhile first."""
        self._flowing.set()

    def drop_next_reply(self, marker: bytes = b"") -> None:
        """Pass the next request that contains `marker` on, but break instead of its answer."""
        self._swallow += 1
        self._swallow_marker = marker

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not (self._server and self._server.is_serving()):  # it was taken, and then we were cut
            writer.transport.abort()
            return
        self.connection_count += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._join(reader, writer)
        except OSError:  # the server behind is gone
            writer.transport.abort()
        finally:
            self._serving.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_unix_connection(self._target)
        self._open |= {writer, behind_writer}
        armed = asyncio.Event()
        await asyncio.gather(
            self._forward(reader, behind_writer, armed, requests=True),
            self._forward(behind_reader, writer, armed, requests=False),
        )
        self._open -= {writer, behind_writer}

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
                await self._pass_on(data, sink)
        sink.close()
        with contextlib.suppress(OSError):
            await sink.wait_closed()

    async def _pass_on(self, data: bytes, sink: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        if self.delay_s[1]:
            await asyncio.sleep(self.random.uniform(*self.delay_s))
        if not self.split:
            sink.write(data)
            await sink.drain()
            return
        for at in range(len(data)):
            sink.write(data[at : at + 1])
            await asyncio.sleep(0)  # a write of its own for every byte
