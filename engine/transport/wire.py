"""One multiplexed connection to Redis: many calls in flight, answers in the order of the calls.

An asyncio.Protocol on hiredis' reader, where redis-py has a stream, a lock and a timeout object for
every read; `python -m bench ablations` measures the difference. It speaks RESP2, in which every
message answers a call. Nothing is sent twice; a call in flight when the connection ends is of
unknown outcome.

Each call has a deadline. One timer checks the oldest call a few times within it, so a call times
out at most a quarter late. The connection is closed then, because the answers that follow could not
be matched to their calls.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from socket import socket
from typing import TypeAlias

import hiredis

from engine.errors import ErrorReply, OutcomeUnknown

Argument: TypeAlias = str | bytes | int
Command: TypeAlias = tuple[Argument, ...]
Answer: TypeAlias = "asyncio.Future[object]"

CHECKS = 4
"""How often the oldest call is checked within its deadline."""


def packed(calls: Iterable[tuple[Command, Answer]]) -> Iterator[tuple[bytes, Answer]]:
    """Commands in RESP. One that cannot be packed fails alone: it must not keep what waits behind.

    An example is text with a lone surrogate.
    """
    for command, answer in calls:
        try:
            data: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
        except Exception as error:
            answer.set_exception(error)
        else:
            yield data, answer


class Wire(asyncio.Protocol):
    """One connection. It calls `on_change` when it ends and when it accepts calls again."""

    def __init__(self, timeout_s: float, on_change: Callable[[], None]) -> None:
        self._reader = hiredis.Reader(replyError=ErrorReply)
        self._timeout_s = timeout_s
        self._on_change = on_change
        self._answers: deque[Answer] = deque()
        self._flights: deque[tuple[float, int]] = deque()
        self._sent_count = 0
        self._loop = asyncio.get_running_loop()
        self._check_timer: asyncio.TimerHandle | None = None
        self._socket: socket | None = None
        self.open = False
        self.full = False

    @property
    def waiting_count(self) -> int:
        """Calls in flight: sent and not answered."""
        return len(self._answers)

    def send(self, calls: list[tuple[bytes, Answer]]) -> None:
        """Send packed commands in one write; each answer becomes the result of its future."""
        self._sent_count += len(calls)
        self._flights.append((self._loop.time(), self._sent_count))
        self._answers.extend([answer for _, answer in calls])
        self._write(b"".join([packed for packed, _ in calls]))

    async def finish(self) -> None:
        """Wait for the calls in flight, then close."""
        if self._answers:
            await asyncio.wait(self._answers)
        if self.open:
            self._transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline checks."""
        self._transport = transport
        if not transport.get_extra_info("ssl_object"):
            self._socket = socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        self.open = True
        self._schedule_check()

    def data_received(self, data: bytes) -> None:
        """Set the result of each call; the answer of a cancelled call is dropped."""
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False:
                waiting = self._answers.popleft()
                if not waiting.done():
                    waiting.set_result(answer)
        except (hiredis.HiredisError, IndexError) as error:
            self._end(f"Redis broke the protocol: {error!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail every call in flight as OutcomeUnknown."""
        self._end(f"the connection to Redis broke: {exc or 'closed by the server'}")

    def pause_writing(self) -> None:
        """Redis reads too slowly (backpressure): calls collect in the batcher."""
        self.full = True

    def resume_writing(self) -> None:
        """Redis has caught up."""
        self.full = False
        self._on_change()

    def _write(self, data: bytes) -> None:
        """Write to the socket at once if nothing is buffered: uvloop's transport sends only at the
        end of the tick, so under load Redis and this process would wait for each other in turn.
        """
        if self._socket and not self._transport.get_write_buffer_size():
            with suppress(OSError):  # full or broken: the transport handles it
                data = data[self._socket.send(data) :]
        if data:
            self._transport.write(data)

    def _end(self, why: str) -> None:
        if not self.open:
            return
        self.open = False
        if self._socket:
            self._socket.close()
        self._transport.abort()
        if self._check_timer:
            self._check_timer.cancel()
        for waiting in self._answers:
            if not waiting.done():
                waiting.set_exception(OutcomeUnknown(why))
        self._answers.clear()
        self._on_change()

    def _check_deadline(self) -> None:
        answered_count = self._sent_count - len(self._answers)
        while self._flights and self._flights[0][1] <= answered_count:
            self._flights.popleft()
        if self._flights and self._loop.time() - self._flights[0][0] >= self._timeout_s:
            self._end(f"no answer from Redis within {self._timeout_s} s")
        else:
            self._schedule_check()

    def _schedule_check(self) -> None:
        self._check_timer = self._loop.call_later(self._timeout_s / CHECKS, self._check_deadline)
