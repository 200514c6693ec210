"""Revoked sessions, whose access tokens are invalid, known to every API process without a call.

Each process follows a Redis Stream. Keys would cost a round trip a request, and pub/sub loses the
messages of an outage. A process reads the stream from its beginning when it starts, continues after
an outage where it stopped, and keeps the sessions in a dict. An entry counts for the lifetime of
the longest access token; then the process and the stream drop it.

While Redis is unavailable a process keeps the sessions it knows. A revocation is valid in its own
process at once, and in the others as soon as they read the entry.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager

from engine import keys, logs
from engine.errors import EngineError
from engine.positions import position_of
from engine.transport.client import Entries, RedisClient
from engine.transport.connection import BLOCK_MS_MAX

KEEP_MORE_S = 60
"""Clocks differ, and a token may be signed while its session is being revoked."""
RETRY_S = 0.5
_READ_MAX = 10_000
_FORGET_EVERY_S = 60.0

_log = logs.get("revocations")


class Revocations:
    """`revoked` has every revoked session of which a token may still be valid."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._until_s: dict[str, int] = {}
        self._unpublished: dict[str, int] = {}
        self._last = "0-0"
        self._forget_at_s = 0.0
        self._stop = asyncio.Event()

    @property
    def revoked(self) -> Collection[str]:
        """The sessions, always in the same collection, so you may keep a reference."""
        return self._until_s.keys()

    async def revoke(self, session_ids: Iterable[str], access_ttl_s: int) -> bool:
        """Revoke the access tokens of these sessions, here at once and elsewhere within moments.

        False while Redis is unavailable: `followed` publishes them when it is back.
        """
        until_s = int(time.time()) + access_ttl_s + KEEP_MORE_S
        ended = dict.fromkeys(session_ids, until_s)
        self._until_s |= ended
        self._unpublished |= ended
        return await self._publish()

    async def _publish(self) -> bool:
        if not self._unpublished:
            return True
        published = dict(self._unpublished)
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for session_id, until_s in published.items():
                    # Older entries have expired, if every token lives as long as this one.
                    oldest_ms = int((2 * time.time() - until_s - KEEP_MORE_S) * 1000)
                    entry = {"session": session_id, "until_s": until_s}
                    pipeline.xadd(keys.REVOKED, entry, minid=oldest_ms, approximate=True)
                await pipeline.execute()
        except EngineError as error:
            _log.warning("revocations_not_published", count=len(published), why=str(error))
            return False
        for session_id in published:
            self._unpublished.pop(session_id, None)
        return True

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Read the whole stream, then follow it as long as the context lasts."""
        self._stop.clear()
        while await self._read(block_ms=None) == _READ_MAX:
            pass
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            self._stop.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        # Not `while True`: redis-py may swallow a cancellation when its answer has just arrived.
        while not self._stop.is_set():
            try:
                await self._publish()
                await self._read(block_ms=BLOCK_MS_MAX)
            except EngineError as error:
                _log.warning("revocations_interrupted", why=str(error))
                self._last = _before_outage(self._last)
                await asyncio.sleep(RETRY_S)

    async def _read(self, block_ms: int | None) -> int:
        """Read the entries after the last one that was read, and return how many there were."""
        found = await self._client.xread(
            {keys.REVOKED: self._last}, count=_READ_MAX, block=block_ms
        )
        entries: Entries = found[0][1] if found else []
        for entry_id, fields in entries:
            self._until_s[fields[b"session"].decode()] = int(fields[b"until_s"])
            self._last = entry_id.decode()
        self._forget()
        return len(entries)

    def _forget(self) -> None:
        now_s = time.time()
        if now_s < self._forget_at_s:
            return
        self._forget_at_s = now_s + _FORGET_EVERY_S
        for session_id in [name for name, until_s in self._until_s.items() if until_s < now_s]:
            del self._until_s[session_id]


def _before_outage(entry_id: str) -> str:
    """The clock of a new primary may be behind: read again what the outage may have hidden."""
    milliseconds = position_of(entry_id).ms
    return f"{max(0, milliseconds - KEEP_MORE_S * 1000)}-0"
