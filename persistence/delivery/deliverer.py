"""Tells organisers: turns queued journal entries into messages and brings them to their webhooks.

At least once, and per booking in order as far as the first attempt goes. A webhook is served by
one task at a time, a few messages together, and rests longer the longer it fails: one that is
slow or dead delays its own messages and nobody else's. All state is in Postgres; the deliverer
may be killed at any moment, and any number may run.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from time import monotonic

import msgspec

from engine import Engine, Settings, logs
from engine.metrics import metrics
from engine.ports.webhooks import DeliveryState
from persistence.database import AWAY, Pool
from persistence.delivery.deliveries import Attempt, Deliveries, Due
from persistence.delivery.messages import encode_message
from persistence.delivery.sender import Reply, Sender

RETRY_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long after each failure a message is tried again: the schedule of Standard Webhooks."""

REST_S_MAX = 300
"""A failing webhook rests 1, 2, 4 … seconds, at most this long, whatever waits for it."""

GONE = 410
_JITTER = 0.1
_ENTRIES_MAX = 1000
_EACH_MAX = 32
_IN_FLIGHT_MAX = 256
_POLL_S = 0.5
_RETRY_STORE_S = 2.0
_HOUSEKEEPING_S = 1.0
_FORGET_S = 60.0
_DRAIN_S = 5.0

_log = logs.get("deliverer")


class Deliverer:
    """Runs until it is told to stop. `chance` gives 0 to 1; tests bring their own."""

    def __init__(
        self,
        engine: Engine,
        pool: Pool,
        settings: Settings,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.deliveries = Deliveries(pool)
        self._engine = engine
        self._chance = chance
        self._sender = Sender(
            allow_insecure=settings.webhook_allow_insecure, connections_max=_IN_FLIGHT_MAX
        )
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._in_flight_count = 0
        self._oldest_s = 0.0
        self._oldest_at_s = self._forget_at_s = monotonic()
        self._stopping = asyncio.Event()
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; what is on its way then has a moment to arrive."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._keep_house())
                try:
                    await stop.wait()
                finally:
                    self._stopping.set()
                    self._wake.set()
            await self._end()
        finally:
            await self._sender.close()

    async def deliver_due(self) -> int:
        """Make and send what is due now, and wait for it; how many messages that were."""
        taken = await self._take()
        await asyncio.gather(*(self._serve(batch) for batch in taken))
        return sum(map(len, taken))

    async def close(self) -> None:
        """Close the connections of a deliverer that was not run."""
        await self._sender.close()

    async def _follow(self) -> None:
        while not self._stopping.is_set():
            pause_s = _POLL_S
            self._wake.clear()
            try:
                for batch in await self._take():
                    self._begin(batch)
            except AWAY as error:
                _log.warning("postgres_away", why=repr(error))
                pause_s = _RETRY_STORE_S
            if not self._stopping.is_set():
                await self._wait_for(self._wake, pause_s)

    async def _take(self) -> list[list[Due]]:
        """Claimed messages, a list a webhook."""
        taken = _ENTRIES_MAX
        while taken == _ENTRIES_MAX and not self._stopping.is_set():
            taken = await self.deliveries.make(_ENTRIES_MAX)
        free = _IN_FLIGHT_MAX - self._in_flight_count
        if free <= 0:
            return []
        return await self.deliveries.claim(list(self._serving), each=_EACH_MAX, all_of=free)

    def _begin(self, batch: Sequence[Due]) -> None:
        webhook_id = batch[0].webhook_id

        def end(task: asyncio.Task[None]) -> None:
            self._serving.pop(webhook_id)
            self._in_flight_count -= len(batch)
            self._wake.set()
            if not task.cancelled() and (error := task.exception()):
                _log.warning("attempts_not_recorded", webhook_id=webhook_id, why=repr(error))

        task = asyncio.create_task(self._serve(batch))
        self._serving[webhook_id] = task
        self._in_flight_count += len(batch)
        task.add_done_callback(end)

    async def _serve(self, batch: Sequence[Due]) -> None:
        """Send the messages of one webhook and record what came of them."""
        replies = await asyncio.gather(*(self._send(due) for due in batch))
        webhook_id, failure_count = batch[0].webhook_id, batch[0].failure_count
        attempts = [self._judged(due, reply) for due, reply in zip(batch, replies, strict=True)]
        if any(reply.delivered for reply in replies):
            failure_count = 0
            rest_s = max(reply.retry_after_s for reply in replies)
        else:
            failure_count += 1
            rest_s = min(2 ** (min(failure_count, 20) - 1), REST_S_MAX)
            rest_s = max(rest_s, *(reply.retry_after_s for reply in replies))
        await self.deliveries.record(
            webhook_id, attempts, failure_count=failure_count, rest_ms=rest_s * 1000
        )
        if any(reply.status == GONE for reply in replies):
            await self.deliveries.disable(webhook_id, "the receiver answered 410 Gone")
            _log.warning("webhook_disabled", webhook_id=webhook_id, why="410")

    async def _send(self, due: Due) -> Reply:
        try:
            body = encode_message(due.kind, due.at_ms, due.body)
        except msgspec.MsgspecError as error:
            return Reply(error=f"the journal's entry cannot be read: {error}")
        return await self._sender.send(due.url, due.secret, due.message_id, body)

    def _judged(self, due: Due, reply: Reply) -> Attempt:
        """What comes of one attempt: delivered, tried again later, or given up."""
        state, delay_s, outcome = DeliveryState.PENDING, 0.0, "failed"
        if reply.delivered:
            state, outcome = DeliveryState.DELIVERED, "delivered"
        elif reply.status == GONE:
            outcome = "gone"
        elif due.attempt_count >= len(RETRY_S):
            state, outcome = DeliveryState.DEAD, "dead"
            _log.error("message_given_up", webhook_id=due.webhook_id, message_id=due.message_id)
        else:
            jitter = 1 + _JITTER * (2 * self._chance() - 1)
            delay_s = max(RETRY_S[due.attempt_count] * jitter, reply.retry_after_s)
        metrics.webhook_attempts.labels(outcome).inc()
        return Attempt(
            message_id=due.message_id,
            state=state,
            delay_ms=round(delay_s * 1000),
            status=reply.status,
            error=reply.error,
        )

    async def _keep_house(self) -> None:
        """Beat, measure and forget, whatever the messages are doing and the others come to."""
        while not self._stopping.is_set():
            for step in (self._beat, self._measure, self._forget):
                try:
                    await step()
                except Exception as error:  # Redis or Postgres is away
                    _log.warning("housekeeping_failed", why=repr(error))
            await self._wait_for(self._stopping, _HOUSEKEEPING_S)

    async def _beat(self) -> None:
        await self._engine.beat("deliverer")

    async def _measure(self) -> None:
        """Tell how long the oldest waits; while Postgres is away, how long it may have by now."""
        now_s = monotonic()
        try:
            self._oldest_s, self._oldest_at_s = await self.deliveries.oldest_ms() / 1000, now_s
        finally:
            metrics.webhook_oldest.set(self._oldest_s + now_s - self._oldest_at_s)

    async def _forget(self) -> None:
        if monotonic() >= self._forget_at_s:
            self._forget_at_s = monotonic() + _FORGET_S
            await self.deliveries.forget()

    async def _end(self) -> None:
        tasks = list(self._serving.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_DRAIN_S)
            for task in late:  # due again when their claim ends
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _wait_for(self, event: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
