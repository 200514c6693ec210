"""Sessions whose access tokens no longer count, known to every API process without asking.

A Redis Stream that each process follows, rather than keys that would cost a round trip a request,
or pub/sub that forgets who was not listening: a process reads it from the start when it starts,
goes on where it was after any outage, and keeps what it read in a dict. An entry matters as long
as the longest access token lives; then both sides forget it.

Redis away: what was known stays known. The process that revokes knows at once, the others within
the time a message takes.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager

from engine import keys, logs
from engine.errors import EngineError
from engine.transport.client import Entries, RedisClient
from engine.transport.connection import BLOCK_MS_MAX

KEEP_MORE_S = 60
"""Clocks differ, and a token may be signed while its session is being ended."""
RETRY_S = 0.5
_READ_MAX = 10_000
_FORGET_EVERY_S = 60.0

_log = logs.get("revocations")


class Revocations:
    """`revoked` has every session that was ended while a token of it may still live."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._until_s: dict[str, int] = {}
        self._untold: dict[str, int] = {}
        self._last = "0-0"
        self._forget_at_s = 0.0
        self._stop = asyncio.Event()

    @property
    def revoked(self) -> Collection[str]:
        """The sessions; always the same collection, so it may be kept."""
        return self._until_s.keys()

    async def revoke(self, session_ids: Iterable[str], access_ttl_s: int) -> bool:
        """End the access tokens of these sessions: here at once, elsewhere within moments.

        False while Redis is away: the others are told when it is back, if this process follows.
        """
        until_s = int(time.time()) + access_ttl_s + KEEP_MORE_S
        ended = dict.fromkeys(session_ids, until_s)
        self._until_s |= ended
        self._untold |= ended
        return await self._tell()

    async def _tell(self) -> bool:
        if not self._untold:
            return True
        told = dict(self._untold)
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for session_id, until_s in told.items():
                    # Nothing older can matter, had every token lived as long as this one's.
                    oldest_ms = int((2 * time.time() - until_s - KEEP_MORE_S) * 1000)
                    entry = {"session": session_id, "until_s": until_s}
                    pipeline.xadd(keys.REVOKED, entry, minid=oldest_ms, approximate=True)
                await pipeline.execute()
        except EngineError as error:
            _log.warning("revocations_not_told", count=len(told), why=str(error))
            return False
        for session_id in told:
            self._untold.pop(session_id, None)
        return True

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Read all there is, then follow what comes, as long as the context lasts."""
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
                await self._tell()
                await self._read(block_ms=BLOCK_MS_MAX)
            except EngineError as error:
                _log.warning("revocations_interrupted", why=str(error))
                self._last = _a_little_before(self._last)
                await asyncio.sleep(RETRY_S)

    async def _read(self, block_ms: int | None) -> int:
        """Take in what is behind the last entry that was read, and say how much it was."""
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


def _a_little_before(entry_id: str) -> str:
    """Another primary's clock may be behind: read again what the outage may have hidden."""
    milliseconds = int(entry_id.partition("-")[0])
    return f"{max(0, milliseconds - KEEP_MORE_S * 1000)}-0"
