"""The engine's calls over redis-py: what its own wire is measured against."""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeAlias

import redis.asyncio as aioredis
from redis.asyncio.connection import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine.settings.settings import Settings
from engine.transport import connection
from engine.transport.batcher import Batcher, Maker, made
from engine.transport.client import pool_of
from engine.transport.wire import Answer, Command

RedisPy: TypeAlias = Any
"""A `redis.asyncio.Redis` with all its commands."""

POOL_CONNECTIONS = 64
"""Of redis-py: neither fewer nor more of them were faster."""
POOL_TIMEOUT_S = 4


def client_of(settings: Settings) -> RedisPy:
    """A client of redis-py on the same connections as the engine's."""
    return aioredis.Redis.from_pool(pool_of(settings.redis_url, timeout_s=POOL_TIMEOUT_S))


class Pool(Batcher):
    """A connection and a round trip of redis-py for every call."""

    def __init__(self, redis_url: str) -> None:
        settings = Settings(redis_url=redis_url)
        super().__init__(
            connection.opener_of(settings), waiting_max=settings.calls_waiting_max, timeout_ms=1000
        )
        pool = BlockingConnectionPool.from_url(
            redis_url, max_connections=POOL_CONNECTIONS, timeout=None, retry=Retry(NoBackoff(), 0)
        )
        self.client: RedisPy = aioredis.Redis.from_pool(pool)

    def call(self, command: Command | Maker) -> Answer:
        """Sent at once: a hold shares its call with no other."""
        if not isinstance(command, tuple):
            command = command() or ("PING",)  # no caller waits any more
        answer: Answer = asyncio.ensure_future(self.client.execute_command(*command))
        return answer

    async def close(self) -> None:
        """Close its connections."""
        await self.client.aclose()


class Pipelines(Pool):
    """The calls of one tick in a pipeline of redis-py, and the next while the last is answered."""

    def __init__(self, redis_url: str) -> None:
        super().__init__(redis_url)
        self._gathered: list[tuple[Command | Maker, Answer]] = []
        self._sent = set[asyncio.Task[None]]()

    def call(self, command: Command | Maker) -> Answer:
        """Goes out with all others of its tick."""
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        if not self._gathered:
            loop.call_soon(self._send)
        self._gathered.append((command, answer))
        return answer

    def _send(self) -> None:
        task = asyncio.create_task(self._ask_all(list(made(self._gathered))))
        self._gathered = []
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)

    async def _ask_all(self, calls: list[tuple[Command, Answer]]) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for command, _ in calls:
            pipeline.execute_command(*command)
        try:
            found = await pipeline.execute(raise_on_error=False)
        except Exception as error:  # or its callers would wait for ever
            for _, answer in calls:
                answer.set_exception(error)
        else:
            for (_, answer), value in zip(calls, found, strict=True):
                answer.set_result(value)


REDIS_PY: Mapping[str, type[Pool]] = {"pool": Pool, "pipelines": Pipelines}
"""By the name of the way."""
