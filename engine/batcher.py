"""One pipeline for all the calls of one event-loop tick.

A call waits for the end of the tick, then goes out with every other call of that tick on a free
connection; while all connections are busy, calls gather and the next pipeline is longer. Worth
3-5x over a pool that gives every call its own connection and round trip.

Nothing is sent twice. A call that was not sent fails as Unavailable; one that was sent and not
answered fails as OutcomeUnknown. A caller that goes away takes nothing with it: its answer is
read and dropped, the answers of the others stay theirs.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import BusyLoadingError, RedisError, ResponseError

from engine import metrics
from engine.errors import EngineError, OutcomeUnknown, Overloaded, Unavailable

Argument: TypeAlias = str | bytes | int
Command: TypeAlias = Sequence[Argument]

BATCH_CALLS_MAX = 256


class _Call(NamedTuple):
    command: Command
    answer: "asyncio.Future[object]"


class Batcher:
    """Sends commands in pipelines over a bounded number of connections of its own."""

    def __init__(
        self, pool: ConnectionPool, *, connections_max: int, waiting_max: int, timeout_ms: int
    ) -> None:
        self._pool = pool
        self._idle: list[AbstractConnection | None] = [None] * connections_max
        self._waiting: deque[_Call] = deque()
        self._waiting_max = waiting_max
        self._timeout_s = timeout_ms / 1000
        self._sending: set[asyncio.Task[None]] = set()
        self._flush_due = False
        self._closed = False

    async def call(self, command: Command) -> object:
        """Send one command and wait for its answer; an error reply comes back as a value.

        Raises: Overloaded, Unavailable, OutcomeUnknown.
        """
        if self._closed:
            raise Unavailable("the connection to Redis is closed")
        if len(self._waiting) >= self._waiting_max:
            raise Overloaded(f"{self._waiting_max} calls are waiting for Redis")
        loop = asyncio.get_running_loop()
        call = _Call(command, loop.create_future())
        self._waiting.append(call)
        if not self._flush_due:
            self._flush_due = True
            loop.call_soon(self._flush)
        return await call.answer

    async def ask(self, *command: Argument) -> Any:
        """Send one command that only reads, and give its answer.

        Raises: Overloaded, Unavailable (for an error reply too), OutcomeUnknown.
        """
        answer = await self.call(command)
        if isinstance(answer, RedisError):
            raise Unavailable(f"Redis refuses {command[0]!r}: {answer}")
        return answer

    async def close(self) -> None:
        """Finish what was sent, refuse what was not, and close the connections."""
        self._closed = True
        _fail(self._waiting, Unavailable("the connection to Redis is closed"))
        self._waiting.clear()
        if self._sending:
            await asyncio.wait(self._sending)
        for connection in self._idle:
            if connection is not None:
                await connection.disconnect()

    def _flush(self) -> None:
        self._flush_due = False
        while self._waiting and self._idle:
            batch: list[_Call] = []
            while self._waiting and len(batch) < BATCH_CALLS_MAX:
                call = self._waiting.popleft()
                if not call.answer.done():  # its caller went away before it was sent
                    batch.append(call)
            if batch:
                task = asyncio.create_task(self._send(batch, self._idle.pop()))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    async def _send(self, batch: list[_Call], connection: AbstractConnection | None) -> None:
        metrics.batch_calls.observe(len(batch))
        lost: type[EngineError] = Unavailable
        try:
            async with asyncio.timeout(self._timeout_s):
                if connection is None:
                    connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
                await connection.connect()
                packed = connection.pack_commands([call.command for call in batch])
                lost = OutcomeUnknown
                await connection.send_packed_command(packed, check_health=False)
                for call in batch:
                    answer = await _read(connection)
                    if not call.answer.done():
                        call.answer.set_result(answer)
        except (RedisError, OSError) as error:  # a time-out is an OSError
            why = str(error) or f"no answer from Redis within {self._timeout_s} s"
            _fail(batch, lost(why))
            await _drop(connection)
            connection = None
        except BaseException as error:
            _fail(batch, OutcomeUnknown(repr(error)))
            await _drop(connection)
            connection = None
            raise
        finally:
            self._idle.append(connection)
            self._flush()


async def _read(connection: AbstractConnection) -> object:
    try:
        answer: object = await connection.read_response(disconnect_on_error=False)
    except (ResponseError, BusyLoadingError) as error:
        return error
    return answer


async def _drop(connection: AbstractConnection | None) -> None:
    if connection is not None:
        await connection.disconnect(nowait=True)


def _fail(calls: Sequence[_Call] | deque[_Call], error: EngineError) -> None:
    for call in calls:
        if not call.answer.done():
            call.answer.set_exception(error)
