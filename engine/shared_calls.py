"""The holds of one tick and event in one script call, and its payments in another.

A script call costs Redis several times what one request in it costs, so requests that arrive
together travel together. Each stays a call of its own for its caller: it has its own reply, refusal
and rate limits. A caller that is cancelled before its request is sent costs Redis nothing; one that
is cancelled later does not disturb the others.
"""

import asyncio
from collections.abc import Sequence
from functools import cache, partial
from time import perf_counter
from typing import Protocol, TypeAlias

from msgspec import Struct
from prometheus_client import Histogram

from engine import keys
from engine.errors import EngineError, Overloaded, ScriptDefect
from engine.ids import CustomerId, EventId
from engine.limits import LimitCheck
from engine.metrics import metrics
from engine.models import AreaQuantity, BestSelection
from engine.scripts import UNANSWERED, Outcome, Scripts, count_call, is_unknown, outcome_of
from engine.transport.batcher import Batcher
from engine.transport.wire import Answer, Argument, Command

REQUESTS_MAX = 16
"""Of one call: what the requests of a call share is a small part of its cost by then."""
PLACES_MAX = 128
"""A call with so many seats and areas is sent: no script occupies Redis for more than about 2 ms.
The last request may exceed it by its own places.
"""
BEST_PLACES = 16
"""What a search of the map counts for, beside the places that it finds."""
HOLD, BEST, CONFIRM = "hold_seats", "hold_best", "confirm_booking"


class SharedRequest(Protocol):
    """One request of a call. A script documents what it reads of each, in this sequence."""

    @property
    def limit_check(self) -> LimitCheck | None:
        """Its rate limits."""

    @property
    def places(self) -> int:
        """Seats and areas that it names: most of what it costs."""

    def own_keys(self, event: EventId) -> list[str]:
        """The keys in front of those of its limits."""

    def own_arguments(self) -> list[Argument]:
        """The arguments in front of its limits."""


class HoldRequest(Struct, frozen=True, gc=False):
    """What `hold_seats` reads of one request, in local ids."""

    ulid: str
    customer: CustomerId
    request_id: str | None
    digest: str
    seats: list[str]
    areas: Sequence[AreaQuantity]
    limit_check: LimitCheck | None

    @property
    def places(self) -> int:
        return len(self.seats) + len(self.areas)

    def own_keys(self, event: EventId) -> list[str]:
        request_key = keys.request(event, self.customer, self.request_id)
        return [keys.hold(event, self.ulid), request_key]

    def own_arguments(self) -> list[Argument]:
        areas = " ".join([f"{area.area_id}={area.quantity}" for area in self.areas])
        return ["seats", self.ulid, self.customer, self.digest, " ".join(self.seats), areas]


class BestRequest(Struct, frozen=True, gc=False):
    """What `hold_best` reads of one request."""

    ulid: str
    request_id: str | None
    digest: str
    wanted: BestSelection
    limit_check: LimitCheck | None

    @property
    def places(self) -> int:
        return BEST_PLACES + self.wanted.quantity

    def own_keys(self, event: EventId) -> list[str]:
        request_key = keys.request(event, self.wanted.customer_id, self.request_id)
        _, rows, order = keys.of_layout(event)
        return [keys.hold(event, self.ulid), request_key, rows, order]

    def own_arguments(self) -> list[Argument]:
        return [
            "best",
            self.ulid,
            self.wanted.customer_id,
            self.digest,
            *best_arguments(self.wanted),
        ]


def best_arguments(wanted: BestSelection) -> list[Argument]:
    """What is wanted, as `hold_best` reads it."""
    return [
        wanted.quantity,
        " ".join(sorted(wanted.category_ids)),
        " ".join(sorted(wanted.section_ids)),
        "" if wanted.price_max_minor is None else wanted.price_max_minor,
        wanted.wheelchair,
        int(wanted.restricted_view),
        " ".join(sorted(wanted.fallback)),
        wanted.beside.rpartition(":")[2] if wanted.beside else "",
    ]


class ConfirmRequest(Struct, frozen=True, gc=False):
    """What `confirm_booking` reads of one payment."""

    ulid: str
    customer: CustomerId | None
    payment: list[Argument]
    limit_check: LimitCheck | None

    @property
    def places(self) -> int:
        return 1  # those of the booking are not known here

    def own_keys(self, event: EventId) -> list[str]:
        return [keys.hold(event, self.ulid)]

    def own_arguments(self) -> list[Argument]:
        return ["payment", self.ulid, self.customer or "", *self.payment]


Waiting: TypeAlias = "tuple[SharedRequest, asyncio.Future[Outcome]]"
_Key: TypeAlias = tuple[str, EventId, Argument]


class _Batch:
    """The requests of one call."""

    def __init__(self, script: str, event: EventId, now_ms: Argument) -> None:
        self.script = script
        self.event = event
        self.now_ms = now_ms
        self.waiting: list[Waiting] = []
        self.count = 0
        """Of all requests that were added, those of cancelled callers included."""
        self.places = 0
        self.began_s = perf_counter()

    @property
    def key(self) -> _Key:
        return self.script, self.event, self.now_ms

    @property
    def is_full(self) -> bool:
        return self.count >= REQUESTS_MAX or self.places >= PLACES_MAX

    def add(self, request: SharedRequest, outcome: "asyncio.Future[Outcome]") -> None:
        self.waiting.append((request, outcome))
        self.count += 1
        self.places += request.places

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
            named += request.own_keys(event)
            arguments += request.own_arguments()
            limit_check = request.limit_check
            if limit_check is None:
                arguments.append(0)
            else:
                named += limit_check.keys(tag)
                *rates, count = limit_check.arguments()
                arguments += (count, *rates)
        return (len(named), *named, *arguments)


class SharedCalls:
    """Collects the requests of a script until the batcher sends: the first of them calls it."""

    def __init__(self, scripts: Scripts, batcher: Batcher) -> None:
        self._scripts = scripts
        self._batcher = batcher
        self._loop = asyncio.get_running_loop()
        self._open: dict[_Key, _Batch] = {}
        self._count = 0
        self._retries: set[asyncio.Task[None]] = set()

    def outcome(
        self, script: str, event: EventId, request: SharedRequest, now_ms: Argument
    ) -> "asyncio.Future[Outcome]":
        """The code of the reply, in lower case, and what it names, as `Scripts.call` returns it.

        Raises Overloaded. The future raises: OutcomeUnknown, Unavailable, Overloaded, Restoring,
        ScriptDefect.
        """
        if self._count >= self._batcher.waiting_max:
            raise Overloaded(f"{self._batcher.waiting_max} requests are waiting for Redis")
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        self._add((script, event, now_ms), request, outcome)
        return outcome

    def _add(self, key: _Key, request: SharedRequest, outcome: "asyncio.Future[Outcome]") -> None:
        batch = self._open.get(key)
        if batch:
            batch.add(request, outcome)
        else:
            batch = self._open[key] = _Batch(*key)
            batch.add(request, outcome)  # first: the batcher may make the command at once
            answer = self._batcher.call(partial(self._command, batch))
            answer.add_done_callback(partial(self._read, batch))
        self._count += 1
        if batch.is_full:
            self._close(batch)
            self._batcher.flush()

    def _close(self, batch: _Batch) -> None:
        """No request joins the batch any more."""
        if self._open.get(batch.key) is batch:
            del self._open[batch.key]

    def _command(self, batch: _Batch) -> Command | None:
        """The call, made when it is sent; None if no caller waits any more."""
        self._close(batch)
        if not batch.drop_cancelled():
            return None
        _sizes(batch.script).observe(len(batch.waiting))
        return ("EVALSHA", self._scripts.script(batch.script).sha, *batch.call())

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
            script = self._scripts.script(batch.script)
            reply = await self._scripts.run_uncached(script, batch.call())
        except EngineError as error:
            self._fail(batch, error)
        else:
            self._settle(batch, reply)

    def _settle(self, batch: _Batch, reply: object) -> None:
        """Give each caller its own reply."""
        try:
            _, replies = outcome_of(batch.script, reply)
            if len(replies) != len(batch.waiting):
                raise ScriptDefect(f"{len(replies)} replies to {len(batch.waiting)} requests")
        except EngineError as error:
            self._fail(batch, error)
            return
        seconds = perf_counter() - batch.began_s
        for (_, waiting), one in zip(batch.waiting, replies, strict=True):
            try:
                outcome = outcome_of(batch.script, one)
            except EngineError as error:  # what this request needs is damaged
                count_call(batch.script, batch.event, UNANSWERED, seconds)
                if not waiting.done():
                    waiting.set_exception(error)
                continue
            count_call(batch.script, batch.event, outcome[0], seconds)
            if not waiting.done():
                waiting.set_result(outcome)

    def _fail(self, batch: _Batch, error: BaseException) -> None:
        seconds = perf_counter() - batch.began_s
        for _, waiting in batch.waiting:
            count_call(batch.script, batch.event, UNANSWERED, seconds)
            if not waiting.done():
                waiting.set_exception(error)


@cache
def _sizes(script: str) -> Histogram:
    """The histogram of one script: looking it up costs more than adding to it."""
    return metrics.shared_requests.labels(script)
