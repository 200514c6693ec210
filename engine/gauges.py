"""The gauges the expirer reads from Redis: places, pending bookings, durability.

They are read rather than counted: a process's own count is wrong after a restart, or when another
process changes the event. One pipeline reads a few fields of each event, however large it is.
"""

from collections.abc import Sequence

from engine import keys, logs
from engine.engine import Engine
from engine.errors import EngineError, ErrorReply
from engine.ids import EventId
from engine.metrics import metrics
from engine.models import Counts
from engine.settings.settings import Durability

_STATUSES = Counts.__struct_fields__

_log = logs.get("gauges")


class Gauges:
    """Sets the gauges of one Redis, and removes those of an event that is gone."""

    def __init__(self, engine: Engine, durability: Durability) -> None:
        self._engine = engine
        self._durability = durability
        self._seats = metrics.PerEvent(metrics.seats)
        self._pending = metrics.PerEvent(metrics.bookings_pending)
        self._may_read_config = True

    async def read_events(self, events: Sequence[EventId]) -> None:
        """Places by status and pending bookings of every event, all at about one instant."""
        pipeline = self._engine.client.pipeline(transaction=False)
        for event in events:
            named = keys.of_event(event)
            pipeline.hmget(named.event, _STATUSES)
            pipeline.zcard(named.deadlines)
        answers = await pipeline.execute() if events else []
        there = []
        for at, event in enumerate(events):
            counts, pending = answers[2 * at : 2 * at + 2]
            if None in counts:
                continue  # being loaded, or gone
            there.append(event)
            for status, places in zip(_STATUSES, counts, strict=True):
                self._seats.set(event, int(places), status)
            self._pending.set(event, pending)
        self._seats.keep(there)
        self._pending.keep(there)

    async def read_server(self) -> None:
        """Whether Redis answers, and persists as DURABILITY asks for."""
        try:
            info = await self._engine.client.info("persistence")
            reached = await self._is_durable(info)
        except EngineError:
            metrics.redis_up.set(0)
            metrics.durability_reached.set(0)
            raise
        metrics.redis_up.set(1)
        metrics.durability_reached.set(reached)

    async def _is_durable(self, info: dict[str, object]) -> bool:
        appends = info.get("aof_enabled") == 1
        if appends and info.get("aof_last_write_status") != "ok":
            return False
        if self._durability != "fsync":
            return True
        return appends and await self._syncs_always()

    async def _syncs_always(self) -> bool:
        """Whether `appendfsync` is `always`; true if Redis does not say: the start warns of it."""
        if not self._may_read_config:
            return True
        try:
            config = await self._engine.client.config_get("appendfsync")
        except ErrorReply as error:
            self._may_read_config = False
            _log.warning("appendfsync_not_known", why=str(error))
            return True
        return bool(config.get("appendfsync") == "always")
