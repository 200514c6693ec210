"""The calls of one event-loop tick in a few writes, on one connection a process.

A call waits for the end of its tick, or until AT_ONCE calls are waiting, and is sent with them.
While Redis reads more slowly than the batcher writes (backpressure), calls collect and the next
write is longer. A connection pool gives every call a connection and a round trip of its own:
`python -m bench ablations` compares the two.

Nothing is sent twice. A call that is not sent in time fails as Unavailable; a call that is sent and
not answered fails as OutcomeUnknown. When a caller is cancelled, its answer is read and dropped,
and the other calls keep their own answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from engine.errors import EngineError, ErrorReply, Malformed, Overloaded, Unavailable
from engine.metrics import metrics
from engine.transport.wire import CHECKS, Answer, Argument, Command, Wire, packed

Opener: TypeAlias = Callable[[Wire], Awaitable[None]]
"""Connects a wire. Raises Unavailable."""

Maker: TypeAlias = Callable[[], Command | None]
"""Makes a command when it is sent, or None if nothing is to be sent any more."""

AT_ONCE = 8
"""This many calls are sent before the tick ends: Redis starts while the next ones are made."""


class Batcher:
    """Sends commands over one connection, which it opens when there is a call.

    Create it in the event loop that uses it.
    """

    def __init__(self, opener: Opener, *, waiting_max: int, timeout_ms: int) -> None:
        self._opener = opener
        self._loop = asyncio.get_running_loop()
        self.waiting_max = waiting_max
        self._timeout_s = timeout_ms / 1000
        self._wire: Wire | None = None
        self._opening: asyncio.Task[None] | None = None
        self._waiting: list[tuple[Command | Maker, Answer]] = []
        self._waiting_since_s = 0.0
        self._flush_due = False
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self._wire is not None

    def call(self, command: Command | Maker) -> Answer:
        """Send one command and return its future; an ErrorReply is a result of the future.

        The future of a Maker that makes none is cancelled.
        The future raises: Overloaded, Unavailable, OutcomeUnknown.
        """
        answer: Answer = self._loop.create_future()
        sent_count = self._wire.waiting_count if self._wire else 0
        if self._closed:
            answer.set_exception(_closed())
        elif len(self._waiting) + sent_count >= self.waiting_max:
            answer.set_exception(Overloaded(f"{self.waiting_max} calls are waiting for Redis"))
        else:
            if not self._waiting:
                self._waiting_since_s = self._loop.time()
            self._waiting.append((command, answer))
            if len(self._waiting) >= AT_ONCE:
                self.flush()
            elif not self._flush_due:
                self._flush_due = True
                self._loop.call_soon(self.flush)
        return answer

    async def ask(self, *command: Argument) -> Any:
        """Send one command and return its answer.

        Raises: Overloaded, Unavailable (for an error reply too), Malformed (the key has another
        type), OutcomeUnknown.
        """
        answer = await self.call(command)
        if isinstance(answer, ErrorReply):
            if answer.is_wrong_type:
                raise Malformed(f"the key {command[1]!s} cannot be read: {answer}")
            raise Unavailable(f"Redis refuses {command[0]!r}: {answer}")
        return answer

    async def close(self) -> None:
        """Fail the calls that are not sent, wait for those that are, and close the connection."""
        self._closed = True
        self._refuse(_closed())
        if self._opening:
            await asyncio.wait((self._opening,))
        if self._wire:
            await self._wire.finish()

    def flush(self) -> None:
        """Send what waits without waiting for the end of the tick."""
        self._flush_due = False
        if not self._waiting:
            return
        if self._wire is None:
            if self._opening is None:
                self._opening = asyncio.create_task(self._open())
        elif not self._wire.full:
            waiting, self._waiting = self._waiting, []
            calls = list(packed(made(waiting)))
            if calls:
                metrics.batch_calls.observe(len(calls))
                self._wire.send(calls)

    async def _open(self) -> None:
        wire = Wire(self._timeout_s, self._changed)
        try:
            async with asyncio.timeout(max(self._left_s(), self._timeout_s / CHECKS)):
                await self._opener(wire)
            self._wire = wire
        except (EngineError, TimeoutError) as error:
            await wire.finish()
            why = str(error) or f"no connection to Redis within {self._timeout_s} s"
            self._refuse(Unavailable(why))
        finally:
            self._opening = None
        self._changed()

    def _changed(self) -> None:
        if self._wire and not self._wire.open:
            self._wire = None
            if self._waiting and self._left_s() < self._timeout_s / CHECKS:
                self._refuse(Unavailable(f"not sent to Redis within {self._timeout_s} s"))
        if self._waiting:
            self.flush()

    def _left_s(self) -> float:
        """How long the oldest unsent call may still wait."""
        waited_s = asyncio.get_running_loop().time() - self._waiting_since_s
        return self._timeout_s - waited_s

    def _refuse(self, error: EngineError) -> None:
        for _, answer in self._waiting:
            if not answer.done():
                answer.set_exception(error)
        self._waiting.clear()


def _closed() -> Unavailable:
    return Unavailable("the connection to Redis is closed")


def made(waiting: list[tuple[Command | Maker, Answer]]) -> Iterable[tuple[Command, Answer]]:
    """What is sent: not a call that was cancelled."""
    for command, answer in waiting:
        if answer.done():
            continue
        try:
            made = command if isinstance(command, tuple) else command()
        except Exception as error:  # it must not keep what waits behind it
            answer.set_exception(error)
            continue
        if made is None:
            answer.cancel()
        else:
            yield made, answer
