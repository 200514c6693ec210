"""The deliverer, an agent: turns queued journal entries into messages and sends them to webhooks.

A message's life: queued (with its journal entry) -> pending -> delivered, or dead after the last
retry. Delivery is at least once; the first attempts of a booking's messages are made in order. One
task at a time serves a webhook, a few messages together, and a failing webhook backs off longer
and longer: a slow or dead one delays only its own messages. An owner has at most as many messages
in flight as are free for the others, so n owners of slow webhooks have IN_FLIGHT_MAX/(n+1) each and
leave as many to the next owner. All state is in Postgres, so the deliverer may be killed at any
moment, and any number may run.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from time import monotonic

import msgspec

from engine import Engine, Settings, logs
from engine.agent import Agent
from engine.metrics import metrics
from engine.ports.webhooks import DeliveryState
from persistence.database import FAILURES, Pool
from persistence.delivery.deliveries import Attempt, Deliveries, Due
from persistence.delivery.messages import encode_message
from persistence.delivery.sender import Reply, Sender

RETRY_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""The delay after each failed attempt of a message: the schedule of Standard Webhooks."""

BACKOFF_S_MAX = 300
"""A failing webhook backs off for 1, 2, 4 … seconds, at most this long, whatever is queued."""

IN_FLIGHT_MAX = 256
"""The most messages of one deliverer that are on their way at the same time, of all owners."""

GONE = 410
_JITTER = 0.1
_ENTRIES_MAX = 1000
_EACH_MAX = 32
_POLL_S = 0.5
_MEASURE_S = 1.0
_FORGET_S = 60.0

_log = logs.get("deliverer")


class Deliverer(Agent):
    """Runs until it is stopped. `chance` returns 0 to 1, for the jitter; tests pass their own."""

    name = "deliverer"
    failures = FAILURES
    drain_s = 5.0

    def __init__(
        self,
        engine: Engine,
        pool: Pool,
        settings: Settings,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(engine)
        self.deliveries = Deliveries(pool)
        self._chance = chance
        self._sender = Sender(
            allow_insecure=settings.webhook_allow_insecure, connections_max=IN_FLIGHT_MAX
        )
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._in_flight: Counter[str] = Counter()
        self._oldest_s = 0.0
        self._oldest_at_s = monotonic()
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; messages in flight then have `drain_s` to arrive."""
        try:
            await super().run(stop)
        finally:
            await self._sender.close()

    async def deliver_due(self) -> int:
        """Make and send the messages due now and wait for them; returns how many they were."""
        taken = await self._take()
        await asyncio.gather(*(self._serve(batch) for batch in taken))
        return sum(map(len, taken))

    async def close(self) -> None:
        """Close the connections of a deliverer that was not run."""
        await self._sender.close()

    def _loops(self) -> Iterable[Coroutine[None, None, None]]:
        return (
            self._follow(),
            self._repeat(self._measure, _MEASURE_S),
            self._repeat(self.deliveries.forget, _FORGET_S),
        )

    async def _follow(self) -> None:
        try:
            await self._repeat(self._begin_due)
            if self._serving:
                await asyncio.wait(self._serving.values())
        finally:  # what is cancelled is due again when its lease ends
            late = list(self._serving.values())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _begin_due(self) -> None:
        """Start sending what is due; if nothing is, wait for the next poll or a free webhook."""
        self._wake.clear()
        taken = await self._take()
        for batch in taken:
            self._begin(batch)
        if not taken:
            await self._pause(_POLL_S, self._wake)

    async def _take(self) -> list[list[Due]]:
        """Claimed messages, one list per webhook."""
        taken = _ENTRIES_MAX
        while taken == _ENTRIES_MAX and not self._stopping.is_set():
            taken = await self.deliveries.make(_ENTRIES_MAX)
        free = IN_FLIGHT_MAX - self._in_flight.total()
        if free <= 0:
            return []
        return await self.deliveries.claim(
            list(self._serving), self._in_flight, each=_EACH_MAX, free=free
        )

    def _begin(self, batch: Sequence[Due]) -> None:
        webhook_id, owner_id = batch[0].webhook_id, batch[0].owner_id

        def end(task: asyncio.Task[None]) -> None:
            self._serving.pop(webhook_id)
            self._in_flight[owner_id] -= len(batch)
            if not self._in_flight[owner_id]:
                del self._in_flight[owner_id]
            self._wake.set()
            if not task.cancelled() and (error := task.exception()):
                _log.warning("attempts_not_recorded", webhook_id=webhook_id, why=repr(error))

        task = asyncio.create_task(self._serve(batch))
        self._serving[webhook_id] = task
        self._in_flight[owner_id] += len(batch)
        task.add_done_callback(end)

    async def _serve(self, batch: Sequence[Due]) -> None:
        """Send the messages of one webhook and record the outcomes."""
        replies = await asyncio.gather(*(self._send(due) for due in batch))
        webhook_id, failure_count = batch[0].webhook_id, batch[0].failure_count
        attempts = [self._judged(due, reply) for due, reply in zip(batch, replies, strict=True)]
        if any(reply.delivered for reply in replies):
            failure_count = 0
            backoff_s = max(reply.retry_after_s for reply in replies)
        else:
            failure_count += 1
            backoff_s = min(2 ** (min(failure_count, 20) - 1), BACKOFF_S_MAX)
            backoff_s = max(backoff_s, *(reply.retry_after_s for reply in replies))
        await self.deliveries.record(
            webhook_id, attempts, failure_count=failure_count, backoff_ms=backoff_s * 1000
        )
        if any(reply.status == GONE for reply in replies):
            await self.deliveries.disable(webhook_id, "the receiver answered 410 Gone")
            _log.warning("webhook_disabled", webhook_id=webhook_id, why="410")

    async def _send(self, due: Due) -> Reply:
        try:
            body = encode_message(due.kind, due.at_ms, due.body)
        except msgspec.MsgspecError as error:
            return Reply(error=f"the journal entry cannot be read: {error}")
        return await self._sender.send(due.url, due.secret, due.message_id, body)

    def _judged(self, due: Due, reply: Reply) -> Attempt:
        """The outcome of one attempt: delivered, retried later, or given up."""
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

    async def _measure(self) -> None:
        """Show how long the oldest message has waited; an estimate while Postgres is away."""
        now_s = monotonic()
        try:
            self._oldest_s, self._oldest_at_s = await self.deliveries.oldest_ms() / 1000, now_s
        finally:
            metrics.webhook_oldest.set(self._oldest_s + now_s - self._oldest_at_s)
