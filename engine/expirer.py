"""Releases expired holds: a fast listener, and a sweep that guarantees it.

The listener receives the `expired` notification of a hold's TTL key. Notifications are fire-and-
forget, and with many live holds Redis expires a due key tens of seconds late. The sweep reads the
deadlines every 100 ms and is the guarantee. Both call the same idempotent script, which decides
by Redis' own clock. A hold waits for neither: it expires overdue holds on the places it needs.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Coroutine, Iterable

from engine import keys, logs
from engine.agent import Agent
from engine.bookings import EXPIRE_MAX
from engine.engine import Engine
from engine.errors import ErrorReply, EventNotFound, OtherFormat, Restoring
from engine.gauges import Gauges
from engine.ids import EventId
from engine.metrics import metrics
from engine.models import Expired
from engine.settings.settings import Durability
from engine.transport.client import Subscription

SWEEP_S = 0.1
IDLE_S = 1.0
"""How often an event with no deadline ahead is checked; a hold lives at least as long."""
RUSH_COUNT = 64
"""From so many notifications at once the listener leaves an event's holds to the sweep, which
needs no ids."""
RUSH_CALLS = 5
"""Sweeps of one event in flight while more than one is needed: Redis does not wait for us, and
syncs its file once for all of them. A hold waits behind those in flight: about 15 ms.
"""
RECONNECT_S = 0.5
SERVER_S = 5.0
"""How often the expirer checks whether Redis runs as configured."""
CHANNEL = "__keyevent@{db}__:expired"

_log = logs.get("expirer")


class Expirer(Agent):
    """One process of it is enough; several do no harm."""

    name = "expirer"
    up = metrics.expirer_up
    essential = frozenset({"sweep", "_discover"})  # the listener is only faster
    backoff_s_max = 0.5

    def __init__(self, engine: Engine, durability: Durability = "fsync") -> None:
        super().__init__(engine)
        self._gauges = Gauges(engine, durability)
        self._due_at: dict[EventId, float] = {}

    def _loops(self) -> Iterable[Coroutine[None, None, None]]:
        metrics.listener_up.set(0)
        return (
            self._repeat(self._listen, RECONNECT_S),
            self._repeat(self.sweep, SWEEP_S),
            self._repeat(self._discover, IDLE_S),
            self._repeat(self._gauges.read_server, SERVER_S),
        )

    async def _discover(self) -> None:
        """Find new events and measure all of them."""
        events = await self._engine.events.list_events()
        self._due_at = {event: self._due_at.get(event, 0.0) for event in events}
        await self._gauges.read_events(events)

    async def sweep(self) -> None:
        """Release overdue holds in every event whose next deadline may have passed.

        Round by round: an event where many holds expire at once does not delay the others.
        """
        calls = 1
        while calls and not self._stopping.is_set():
            now = asyncio.get_running_loop().time()
            due = [event for event, at in self._due_at.items() if at <= now]
            more = await asyncio.gather(*(self._sweep_event(event, calls) for event in due))
            calls = RUSH_CALLS if any(more) else 0

    async def _sweep_event(self, event: EventId, calls: int) -> bool:
        """Release with so many calls in flight. Returns whether more holds may be overdue."""
        sweeps = (self._expire(event, [], "sweep") for _ in range(calls))
        *_, found = await asyncio.gather(*sweeps)
        if found and max(len(found.late_ms), found.forgotten_count) == EXPIRE_MAX:
            return True
        wait_s = IDLE_S
        if found and found.next_deadline_ms is not None:
            wait_s = min(IDLE_S, (found.next_deadline_ms - found.now_ms) / 1000)
        if event in self._due_at:
            self._due_at[event] = asyncio.get_running_loop().time() + wait_s
        return False

    async def _listen(self) -> None:
        """Receive notifications of expired TTL keys until the connection breaks or a rush begins.

        In a rush the listener disconnects for RECONNECT_S: the sweep already releases those holds,
        and reading 100,000 messages takes a second of the CPU that would release them.
        """
        await self._switch_on()
        try:
            async with self._engine.client.pubsub(ignore_subscribe_messages=True) as pubsub:
                db = self._engine.client.get_connection_kwargs().get("db", 0)
                await pubsub.subscribe(CHANNEL.format(db=db))
                metrics.listener_up.set(1)
                heard_count = 0
                while heard_count < EXPIRE_MAX and not self._stopping.is_set():
                    heard_count, found = await _heard(pubsub)
                    await self._release_heard(found)
        except BaseException:  # a cancelled task does not listen either
            metrics.listener_up.set(0)
            metrics.listener_reconnects.inc()
            raise

    async def _switch_on(self) -> None:
        """Enable the notifications; where the server denies that, only the sweep releases holds."""
        try:
            config = await self._engine.client.config_get("notify-keyspace-events")
            flags = str(config.get("notify-keyspace-events", ""))
            if "E" not in flags or not {"x", "A"} & set(flags):
                wanted = flags + "Ex"
                await self._engine.client.config_set("notify-keyspace-events", wanted)
        except ErrorReply as error:
            _log.warning(
                "notifications_not_switched_on",
                why=str(error),
                effect="only the sweep releases expired holds, within 0.2 s of the deadline",
                fix="set notify-keyspace-events Ex on the server",
            )

    async def _release_heard(self, found: dict[EventId, list[str]]) -> None:
        for event, ulids in found.items():
            if len(ulids) >= RUSH_COUNT:
                self._due_at[event] = 0.0
            else:
                await self._expire(event, ulids, "listener")

    async def _expire(self, event: EventId, ulids: list[str], path: str) -> Expired | None:
        try:
            return await self._engine.bookings.expire_bookings(event, ulids, path=path)
        except EventNotFound:  # listed, but its load failed or is not finished
            return None
        except Restoring:  # the restore ends its holds
            return None
        except OtherFormat:  # the expirer of the other release ends them
            return None


async def _heard(pubsub: Subscription) -> tuple[int, dict[EventId, list[str]]]:
    """Wait for a message, then read all that have arrived, at most what one call expires.

    Returns the number of messages and the holds they name.
    """
    found: defaultdict[EventId, list[str]] = defaultdict(list)
    wait_s: float = 1.0
    count = 0
    while count < EXPIRE_MAX:
        message = await pubsub.get_message(timeout=wait_s)
        if message is None:
            break
        count += 1
        with contextlib.suppress(AttributeError, UnicodeDecodeError):
            if hold := keys.split_hold(message["data"].decode()):
                found[hold[0]].append(hold[1])
        wait_s = 0.0
    return count, found
