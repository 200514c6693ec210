"""The engine: the connection to one Redis, and one attribute for each group of operations."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from engine import keys, scripts
from engine.availability import AvailabilityReader
from engine.bookings import Bookings
from engine.errors import Unavailable
from engine.events import Events
from engine.idempotency import KeptAnswers
from engine.journal import Journal
from engine.limits import LimitCheck
from engine.log_level import LogLevel
from engine.restore.staging import Restores
from engine.revocations import Revocations
from engine.scripts import TAKE_LIMITS, Scripts
from engine.settings.settings import Settings
from engine.shared_calls import SharedCalls
from engine.transport import connection
from engine.transport.batcher import Batcher
from engine.transport.client import RedisClient

HEARTBEAT_S = 5
"""A part counts as running for this long after its last heartbeat."""
_REMEMBERED_S = 3600
"""How long a heartbeat stays readable."""


class Engine:
    """Everything a process needs of Redis. Call `connect`, and use the result in `async with`."""

    def __init__(self, client: RedisClient, batcher: Batcher) -> None:
        self.client = client
        self._batcher = batcher
        self._scripts = runner = Scripts(batcher)
        self.events = Events(runner, batcher, client)
        self.bookings = Bookings(runner, batcher, SharedCalls(runner, batcher))
        self.availability = AvailabilityReader(runner, batcher)
        self.journal = Journal(client)
        self.idempotency = KeptAnswers(batcher)
        self.revocations = Revocations(client)
        self.restores = Restores(runner, batcher, client)
        self.log_level = LogLevel(client)

    @classmethod
    async def connect(cls, settings: Settings) -> Self:
        """Connect and check the server.

        Raises: Misconfigured (server too old, less durable than configured, wrong password),
        Unavailable.
        """
        scripts.read_files()
        await connection.check(settings)
        batcher = Batcher(
            connection.opener_of(settings),
            waiting_max=settings.calls_waiting_max,
            timeout_ms=settings.redis_timeout_ms,
        )
        return cls(connection.client_of(settings), batcher)

    async def close(self) -> None:
        """Wait for the calls in flight, then close the connections."""
        await self._batcher.close()
        await self.client.aclose()

    async def ping(self) -> None:
        """Raises Unavailable or OutcomeUnknown if Redis does not answer."""
        answer = await self._batcher.call(("PING",))
        if answer != b"PONG":
            raise Unavailable(f"Redis answers {answer!r}")

    async def take_limits(self, limit_check: LimitCheck) -> None:
        """Count a call that carries no limits of its own. Raises: RateLimited."""
        await self._scripts.run(TAKE_LIMITS, [], [""], limit_check)

    async def beat(self, part: str) -> None:
        """Write the heartbeat of a part (`expirer`, `writer`). Repeat it within HEARTBEAT_S."""
        await self.client.set(keys.heartbeat(part), "1", ex=_REMEMBERED_S)

    async def heartbeats(self, parts: Sequence[str]) -> dict[str, float | None]:
        """Seconds since each part's last heartbeat; None if there was none within the hour.

        By Redis' own clock: the age is the time that has passed from the key's TTL.
        Raises Unavailable.
        """
        ages: dict[str, float | None] = {}
        for part in parts:
            left_ms = await self.client.pttl(keys.heartbeat(part))
            ages[part] = max(0.0, _REMEMBERED_S - left_ms / 1000) if left_ms >= 0 else None
        return ages

    async def parts_running(self, parts: Sequence[str]) -> dict[str, bool]:
        """Whether each part sent a heartbeat within HEARTBEAT_S. Raises Unavailable."""
        ages = await self.heartbeats(parts)
        return {part: age is not None and age < HEARTBEAT_S for part, age in ages.items()}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
