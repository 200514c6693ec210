"""The holds of one tick, in one script call an event: `hold_seats` takes several requests.

A script call costs Redis several times what one request in it costs, so requests that arrive
together travel together. Each stays a call of its own for its caller: it has its own reply, refusal
and rate limits. A caller that is cancelled before its request is sent costs Redis nothing; one that
is cancelled later does not disturb the others.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import TypeAlias

from msgspec import Struct

from engine import keys
from engine.errors import EngineError, Overloaded, ScriptDefect
from engine.ids import CustomerId, EventId
from engine.limits import LimitCheck
from engine.metrics import metrics
from engine.models import AreaQuantity
from engine.scripts import UNANSWERED, Outcome, Scripts, count_call, is_unknown, outcome_of
from engine.transport.batcher import Batcher
from engine.transport.wire import Answer, Argument, Command

REQUESTS_MAX = 16
"""Of one call: what the requests of a call share is a small part of its cost by then."""
PLACES_MAX = 128
"""A call with so many seats and areas is sent: no script occupies Redis for more than about 2 ms.
The last request may exceed it by its own places.
"""
_SEATS = "seats"
_SCRIPT = "hold_seats"


class HoldRequest(Struct, frozen=True, gc=False):
    """What `hold_seats` reads of one request, in local ids."""

    ulid: str
    customer: CustomerId
    request_id: str | None
    digest: str
    seats: list[str]
    areas: Sequence[AreaQuantity]
    limit_check: LimitCheck | None


Waiting: TypeAlias = "tuple[HoldRequest, asyncio.Future[Outcome]]"


class _Batch:
    """The requests of one call."""

    def __init__(self, event: EventId, now_ms: Argument) -> None:
        self.event = event
        self.now_ms = now_ms
        self.waiting: list[Waiting] = []
        self.count = 0
        """Of all requests that were added, those of cancelled callers included."""
        self.places = 0
        self.began_s = perf_counter()

    @property
    def is_full(self) -> bool:
        return self.count >= REQUESTS_MAX or self.places >= PLACES_MAX

    def add(self, request: HoldRequest, outcome: "asyncio.Future[Outcome]") -> None:
        self.waiting.append((request, outcome))
        self.count += 1
        self.places += len(request.seats) + len(request.areas)

    def drop_cancelled(self) -> bool:
        """Leave out the callers that wait no more. Whether any is left."""
        self.waiting = [item for item in self.waiting if not item[1].done()]
        return bool(self.waiting)

    def call(self) -> Command:
        """The keys and arguments of the script, behind the number of keys."""
        event, tag = self.event, f"{{{self.event}}}"
        named: list[str] = [*keys.of_event(event)]
        arguments: list[Argument] = [self.now_ms, len(self.waiting)]
        for request, _ in self.waiting:
            limit_check = request.limit_check
            named.append(keys.hold(event, request.ulid))
            named.append(keys.request(event, request.customer, request.request_id))
            areas = " ".join([f"{area.area_id}={area.quantity}" for area in request.areas])
            arguments += (_SEATS, request.ulid, request.customer, request.digest)
            arguments += (" ".join(request.seats), areas)
            if limit_check is None:
                arguments.append(0)
            else:
                named += limit_check.keys(tag)
                *rates, count = limit_check.arguments()
                arguments += (count, *rates)
        return (len(named), *named, *arguments)


class Holds:
    """Collects requests to hold until the batcher sends: the first of them calls it."""

    def __init__(self, scripts: Scripts, batcher: Batcher) -> None:
        self._scripts = scripts
        self._batcher = batcher
        self._loop = asyncio.get_running_loop()
        self._open: dict[tuple[EventId, Argument], _Batch] = {}
        self._count = 0
        self._retries: set[asyncio.Task[None]] = set()

    def outcome(
        self, event: EventId, request: HoldRequest, now_ms: Argument
    ) -> "asyncio.Future[Outcome]":
        """The code of the reply, in lower case, and what it names, as `Scripts.call` returns it.

        Raises Overloaded. The future raises: OutcomeUnknown, Unavailable, Overloaded, Restoring,
        ScriptDefect.
        """
        if self._count >= self._batcher.waiting_max:
            raise Overloaded(f"{self._batcher.waiting_max} holds are waiting for Redis")
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self._add(event, request, now_ms, outcome)
        return outcome

    def _add(
        self,
        event: EventId,
        request: HoldRequest,
        now_ms: Argument,
        outcome: "asyncio.Future[Outcome]",
    ) -> None:
        batch = self._open.get((event, now_ms))
        if batch:
            batch.add(request, outcome)
        else:
            batch = self._open[event, now_ms] = _Batch(event, now_ms)
            batch.add(request, outcome)  # first: the batcher may make the command at once
            answer = self._batcher.call(partial(self._command, batch))
            answer.add_done_callback(partial(self._read, batch))
        self._count += 1
        if batch.is_full:
            self._close(batch)
            self._batcher.flush()

    def _close(self, batch: _Batch) -> None:
        """No request joins the batch any more."""
        if self._open.get((batch.event, batch.now_ms)) is batch:
            del self._open[batch.event, batch.now_ms]

    def _command(self, batch: _Batch) -> Command | None:
        """The call, made when it is sent; None if no caller waits any more."""
        self._close(batch)
        if not batch.drop_cancelled():
            return None
        metrics.hold_requests.observe(len(batch.waiting))
        return ("EVALSHA", self._scripts.script(_SCRIPT).sha, *batch.call())

    def _read(self, batch: _Batch, answer: Answer) -> None:
        self._close(batch)
        self._count -= batch.count
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None and is_unknown(answer.result()):
            retry = self._loop.create_task(self._send_text(batch))
            self._retries.add(retry)
            retry.add_done_callback(self._retries.discard)
        elif error is None:
            self._settle(batch, answer.result())
        else:
            self._fail(batch, error)

    async def _send_text(self, batch: _Batch) -> None:
        if not batch.drop_cancelled():
            return
        try:
            reply = await self._scripts.run_uncached(self._scripts.script(_SCRIPT), batch.call())
        except EngineError as error:
            self._fail(batch, error)
        else:
            self._settle(batch, reply)

    def _settle(self, batch: _Batch, reply: object) -> None:
        """Give each caller its own reply."""
        try:
            _, replies = outcome_of(_SCRIPT, reply)
            outcomes = [outcome_of(_SCRIPT, one) for one in replies]
            if len(outcomes) != len(batch.waiting):
                raise ScriptDefect(f"{len(outcomes)} replies to {len(batch.waiting)} requests")
        except EngineError as error:
            self._fail(batch, error)
            return
        seconds = perf_counter() - batch.began_s
        for (_, waiting), outcome in zip(batch.waiting, outcomes, strict=True):
            count_call(_SCRIPT, batch.event, outcome[0], seconds)
            if not waiting.done():
                waiting.set_result(outcome)

    def _fail(self, batch: _Batch, error: BaseException) -> None:
        seconds = perf_counter() - batch.began_s
        for _, waiting in batch.waiting:
            count_call(_SCRIPT, batch.event, UNANSWERED, seconds)
            if not waiting.done():
                waiting.set_exception(error)
