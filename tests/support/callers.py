"""Connections of a test's own, by hand: what goes into which packet, and what comes back."""

import asyncio
import contextlib
import json

from tests.api.client import bearer

Told = tuple[int, dict[str, str], dict[str, str]]
"""Status, headers, body."""

_ANN = bearer("ann")["authorization"]


class Caller:
    """One connection, which is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *parts: bytes) -> None:
        """Each part in a packet of its own."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0.01 if len(parts) > 1 else 0)

    async def answer(self) -> Told:
        """Status, headers, body."""
        async with asyncio.timeout(15):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(lines[0].split()[1]), headers, json.loads(body)

    async def ask(self, *parts: bytes) -> Told:
        """Send and read the answer."""
        await self.send(*parts)
        return await self.answer()


class Callers:
    """Makes connections, and closes them all at the end."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._all: list[Caller] = []

    async def one(self) -> Caller:
        """Connect."""
        caller = Caller(*await asyncio.open_connection("127.0.0.1", self._port))
        self._all.append(caller)
        return caller

    async def many(self, count: int) -> list[Caller]:
        """So many."""
        return [await self.one() for _ in range(count)]

    async def close(self) -> None:
        """Hang up."""
        for caller in self._all:
            caller.writer.close()
        for caller in self._all:
            with contextlib.suppress(OSError):
                await caller.writer.wait_closed()


def post(path: str, body: str = "", *, method: str = "POST") -> tuple[bytes, bytes]:
    """A request by Ann: its head and its body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: api", f"Authorization: {_ANN}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode(), body.encode()
