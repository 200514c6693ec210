"""Releases what expired: a listener that is quick and a sweep that is sure.

The listener hears that a TTL key expired; such events are fire-and-forget, and with many live
holds Redis notices a due key tens of seconds late. The sweep asks the deadlines every 100 ms and
is the guarantee. Both call the same idempotent script, which decides by Redis' own clock; and a
hold does not wait for either, it expires what is overdue and in its way.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable

from engine import keys, logs
from engine.bookings import EXPIRE_MAX
from engine.engine import Engine
from engine.errors import EngineError, ErrorReply, EventNotFound, Restoring
from engine.gauges import Gauges
from engine.ids import EventId
from engine.metrics import metrics
from engine.models import Expired
from engine.settings.settings import Durability
from engine.transport.client import Subscription

SWEEP_S = 0.1
IDLE_S = 1.0
"""An event with no deadline in sight is looked at this often; a hold lives at least as long."""
RUSH_COUNT = 64
"""So many holds heard of at once are left to the sweep, which need not be told their names."""
RUSH_CALLS = 5
"""Sweeps of an event on their way while there is more than one releases: Redis does not wait for
us, and syncs its file once for them. A hold waits for what is on its way: about 15 ms.
"""
RETRY_S = 0.5
SERVER_S = 5.0
"""How often Redis is asked whether it runs as it must."""
CHANNEL = "__keyevent@{db}__:expired"

_SWEEPING = {"sweep", "_discover"}
"""The steps without which nothing is released; the listener is only quicker."""

_log = logs.get("expirer")


class Expirer:
    """One process of it is enough; several do no harm."""

    def __init__(self, engine: Engine, durability: Durability = "fsync") -> None:
        self._engine = engine
        self._gauges = Gauges(engine, durability)
        self._look_at: dict[EventId, float] = {}
        self._failing: set[str] = set()
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Listen and sweep until `stop` is set; goes on through any outage of Redis."""
        self._stop = stop
        metrics.listener_up.set(0)
        tasks = [
            asyncio.create_task(self._forever(step, pause_s))
            for step, pause_s in (
                (self._listen, RETRY_S),
                (self.sweep, SWEEP_S),
                (self._discover, IDLE_S),
                (self._gauges.read_server, SERVER_S),
            )
        ]
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            metrics.expirer_up.set(0)

    async def _forever(self, step: Callable[[], Awaitable[None]], pause_s: float) -> None:
        # Not `while True`: redis-py may swallow a cancellation when its answer has just arrived.
        name = getattr(step, "__name__", "")
        while not self._stop.is_set():
            try:
                await step()
                self._failing.discard(name)
            except EngineError as error:
                self._failing.add(name)
                _log.warning("expirer_interrupted", step=name, why=str(error))
                await asyncio.sleep(RETRY_S)
            metrics.expirer_up.set(not self._failing & _SWEEPING)
            await asyncio.sleep(pause_s)

    async def _discover(self) -> None:
        """Learn of new events, measure them all, and say that this part runs."""
        events = await self._engine.events.list_events()
        self._look_at = {event: self._look_at.get(event, 0.0) for event in events}
        await self._engine.beat("expirer")
        await self._gauges.read_events(events)

    async def sweep(self) -> None:
        """Release what is overdue in every event whose next deadline may have come.

        In turns: an event whose holds end in a rush does not keep the others waiting.
        """
        calls = 1
        while calls and not self._stop.is_set():
            now = asyncio.get_running_loop().time()
            due = [event for event, at in self._look_at.items() if at <= now]
            more = await asyncio.gather(*(self._sweep_event(event, calls) for event in due))
            calls = RUSH_CALLS if any(more) else 0

    async def _sweep_event(self, event: EventId, calls: int) -> bool:
        """So many calls on their way at once. Whether there may be more to release."""
        sweeps = (self._expire(event, [], "sweep") for _ in range(calls))
        *_, found = await asyncio.gather(*sweeps)
        if found and max(len(found.late_ms), found.forgotten_count) == EXPIRE_MAX:
            return True
        wait_s = IDLE_S
        if found and found.next_deadline_ms is not None:
            wait_s = min(IDLE_S, (found.next_deadline_ms - found.now_ms) / 1000)
        if event in self._look_at:
            self._look_at[event] = asyncio.get_running_loop().time() + wait_s
        return False

    async def _listen(self) -> None:
        """Hear of expired TTL keys until the connection breaks, or they come in a rush.

        In a rush it hangs up, to come back after RETRY_S: the sweep is busy with those holds, and
        reading 100,000 messages takes a second of the CPU that would release them.
        """
        await self._switch_on()
        try:
            async with self._engine.client.pubsub(ignore_subscribe_messages=True) as pubsub:
                db = self._engine.client.get_connection_kwargs().get("db", 0)
                await pubsub.subscribe(CHANNEL.format(db=db))
                metrics.listener_up.set(1)
                heard_count = 0
                while heard_count < EXPIRE_MAX and not self._stop.is_set():
                    heard_count, found = await _heard(pubsub)
                    await self._release_heard(found)
        except BaseException:  # a task that is cancelled listens no more either
            metrics.listener_up.set(0)
            metrics.listener_reconnects.inc()
            raise

    async def _switch_on(self) -> None:
        """Ask Redis for the notifications; a server that refuses has the sweep alone."""
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
                effect="the sweep alone releases what expired, within 0.2 s of the deadline",
                mend="set notify-keyspace-events Ex on the server",
            )

    async def _release_heard(self, found: dict[EventId, list[str]]) -> None:
        for event, ulids in found.items():
            if len(ulids) >= RUSH_COUNT:
                self._look_at[event] = 0.0
            else:
                await self._expire(event, ulids, "listener")

    async def _expire(self, event: EventId, ulids: list[str], path: str) -> Expired | None:
        try:
            return await self._engine.bookings.expire_bookings(event, ulids, path=path)
        except EventNotFound:  # listed, but its load broke off or is not done
            return None
        except Restoring:  # its holds end with the restore
            return None


async def _heard(pubsub: Subscription) -> tuple[int, dict[EventId, list[str]]]:
    """Wait for a message, then take along what else has arrived, up to what one call expires.

    How many messages, and the holds they name.
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
