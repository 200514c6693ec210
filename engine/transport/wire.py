"""One multiplexed connection to Redis: many calls on their way, answers in the order of the calls.

An asyncio.Protocol on hiredis' reader, where redis-py has a stream, a lock and a time-out object
for every read; `python -m bench ablations` tells what that is worth. Speaks RESP2, which has no
message out of turn. Nothing is sent twice; what is on its way when the connection ends is of
unknown outcome.

Each call has a deadline: one timer looks at the oldest call a few times within it, so an answer is
given up at most a quarter late, and the connection with it, as the answers behind it would be
someone else's.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from socket import socket
from typing import TypeAlias

import hiredis

from engine.errors import ErrorReply, OutcomeUnknown

Argument: TypeAlias = str | bytes | int
Command: TypeAlias = tuple[Argument, ...]
Answer: TypeAlias = "asyncio.Future[object]"

LOOKS = 4
"""Times the oldest call is looked at within its deadline."""


class Wire(asyncio.Protocol):
    """One connection. `on_change` is called when it ends and when it takes calls again."""

    def __init__(self, timeout_s: float, on_change: Callable[[], None]) -> None:
        self._reader = hiredis.Reader(replyError=ErrorReply)
        self._timeout_s = timeout_s
        self._on_change = on_change
        self._answers: deque[Answer] = deque()
        self._flights: deque[tuple[float, int]] = deque()
        self._sent_count = 0
        self._loop = asyncio.get_running_loop()
        self._look_timer: asyncio.TimerHandle | None = None
        self._socket: socket | None = None
        self.open = False
        self.full = False

    @property
    def waiting_count(self) -> int:
        """Calls sent and not answered."""
        return len(self._answers)

    def send(self, calls: list[tuple[Command, Answer]]) -> None:
        """Send commands in one write; each answer becomes the result of its future."""
        self._sent_count += len(calls)
        self._flights.append((self._loop.time(), self._sent_count))
        self._answers.extend([answer for _, answer in calls])
        packed = [hiredis.pack_command(command) for command, _ in calls]  # type: ignore[arg-type]
        self._write(b"".join(packed))

    async def finish(self) -> None:
        """Wait for the answers that are due, then close."""
        if self._answers:
            await asyncio.wait(self._answers)
        if self.open:
            self._transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look after the calls."""
        self._transport = transport
        if not transport.get_extra_info("ssl_object"):
            self._socket = socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        self.open = True
        self._look_again()

    def data_received(self, data: bytes) -> None:
        """Give each answer to the call it is for; a caller that went away misses its own alone."""
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False:
                waiting = self._answers.popleft()
                if not waiting.done():
                    waiting.set_result(answer)
        except (hiredis.HiredisError, IndexError) as error:
            self._end(f"Redis answers what is not its protocol: {error!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Every call on its way is of unknown outcome."""
        self._end(f"the connection to Redis broke: {exc or 'closed by the server'}")

    def pause_writing(self) -> None:
        """Redis reads slower than we write: calls gather in the batcher meanwhile."""
        self.full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self.full = False
        self._on_change()

    def _write(self, data: bytes) -> None:
        """At once, where that can be: uvloop's transport keeps all until the loop's turn ends, and
        Redis would be idle while we work on the rest of a rush, and we while Redis does.
        """
        if self._socket and not self._transport.get_write_buffer_size():
            with suppress(OSError):  # it takes no more, or is broken: the transport finds out
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
        if self._look_timer:
            self._look_timer.cancel()
        for waiting in self._answers:
            if not waiting.done():
                waiting.set_exception(OutcomeUnknown(why))
        self._answers.clear()
        self._on_change()

    def _look(self) -> None:
        answered_count = self._sent_count - len(self._answers)
        while self._flights and self._flights[0][1] <= answered_count:
            self._flights.popleft()
        if self._flights and self._loop.time() - self._flights[0][0] >= self._timeout_s:
            self._end(f"no answer from Redis within {self._timeout_s} s")
        else:
            self._look_again()

    def _look_again(self) -> None:
        self._look_timer = self._loop.call_later(self._timeout_s / LOOKS, self._look)
