"""A receiver of webhooks on loopback: keeps what it was sent, and answers as the test wants."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

Answer = bytes


class Received(NamedTuple):
    """One request: its path, its headers by lower-case name, its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The `webhook-id`."""
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


def answer(status: int, *headers: str, body: bytes = b"") -> Answer:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} -", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Receiver:
    """`decide` makes the answer to a request; without one everything is taken with 204."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.decide: Callable[[Received], Awaitable[Answer] | Answer] = lambda _: answer(204)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._port = 0
        self._hanging_up = False
        self.tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self._port}/hook"

    def answers(self, *statuses: int) -> None:
        """Answer with these statuses in turn, the last of them from then on."""
        left = list(statuses)
        self.decide = lambda _: answer(left.pop(0) if len(left) > 1 else left[0])

    def hang_up(self) -> None:
        """Close the connection after the answer that is being made."""
        self._hanging_up = True

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    async def restart(self) -> None:
        """Listen again, by https if `tls` is set."""
        self._close()
        await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self._port = self._server.sockets[0].getsockname()[1]

    def _close(self) -> None:
        assert self._server
        self._server.close()
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                received = Received(first.split()[1], headers, body)
                self.received.append(received)
                decided = self.decide(received)
                writer.write(decided if isinstance(decided, bytes) else await decided)
                await writer.drain()
                if self._hanging_up:
                    break
        self._open.discard(writer)
        writer.close()
