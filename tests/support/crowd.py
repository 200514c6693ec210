"""Customers who never give up, and a receipt for each answer.

They buy at a desk: the engine itself, or the API over HTTP. What is turned away or of unknown
outcome is asked again with the same request id, as docs/http.md tells a client to; so in the end
every customer knows what became of every wish, and `broken` holds that against Redis.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import NamedTuple, Protocol

import httpx2

from engine import Engine, invariants
from engine.errors import EngineError, OutcomeUnknown, Refused, Restoring
from engine.event_state import EventState, read_state
from engine.ids import BookingId, CustomerId, EventId
from engine.models import Booking
from persistence.database import Pool
from tests.api.client import BOOKING, PAYMENT, bearer
from tests.support.factories import GALA, selection
from tests.support.history import Call, Recorder, read_journal
from tests.support.invariants import broken_promises
from tests.support.linearizability import check

_PAUSE_S = 0.02


class Answer(NamedTuple):
    """`outcome`: done, refused, away (nothing was tried) or unknown; `code` says more."""

    outcome: str
    code: str
    booking: str = ""


class Asked(NamedTuple):
    """One call and its answer, for a check of the history. Times are monotonic seconds."""

    what: str
    customer: str
    subject: str
    began_s: float
    took_s: float
    answer: Answer


class Desk(Protocol):
    """Where one buys."""

    async def hold(self, customer: str, seat: str) -> Answer:
        """Ask for a seat, under the customer's name as request id."""

    async def act(self, what: str, customer: str, booking: str) -> Answer:
        """`confirm`, `release` or `cancel`."""


class EngineDesk:
    """Straight to the engine. Every call is kept for the check of the history."""

    def __init__(self, engine: Engine, calls: list[Call] | None = None) -> None:
        self._bookings = engine.bookings
        self._recorder = Recorder(engine.bookings)
        self.calls = self._recorder.calls = [] if calls is None else calls

    async def hold(self, customer: str, seat: str) -> Answer:
        """Hold one seat."""
        wanted = selection(customer, seat)
        call = self._bookings.hold_seats(wanted, request_id=f"hold-{customer}")
        return await self._told("hold", customer, wanted.seats, call)

    async def act(self, what: str, customer: str, booking: str) -> Answer:
        """Confirm, release or cancel."""
        method = getattr(self._bookings, f"{what}_booking")
        call = method(BookingId(booking), CustomerId(customer))
        return await self._told(what, booking, (), call)

    async def _told(
        self, kind: str, subject: str, seats: Sequence[str], call: Awaitable[Booking]
    ) -> Answer:
        try:
            found = await self._recorder._record(kind, subject, seats, call)
        except Restoring as closed:
            return Answer("away", closed.code)
        answer = self.calls[-1].answer
        if found is not None:
            return Answer("done", "ok", found.id)
        if answer is None:
            return Answer("unknown", OutcomeUnknown.code)
        assert isinstance(answer, EngineError)
        return Answer("refused" if isinstance(answer, Refused) else "away", answer.code)


class HttpDesk:
    """Over HTTP, each call on whatever connection is free; the library repeats nothing."""

    def __init__(self, port: int, timeout_s: float = 10) -> None:
        limits = httpx2.Limits(max_connections=200, max_keepalive_connections=200)
        base_url = f"http://127.0.0.1:{port}"
        self.http = httpx2.AsyncClient(base_url=base_url, timeout=timeout_s, limits=limits)

    async def hold(self, customer: str, seat: str) -> Answer:
        """POST /booking."""
        return await self._post(BOOKING, customer, {"seatId": f"{GALA}:{seat}"})

    async def act(self, what: str, customer: str, booking: str) -> Answer:
        """POST /payment/…/confirm, DELETE /booking/…, POST /booking/…/cancel."""
        if what == "release":
            return await self._send("DELETE", f"{BOOKING}/{booking}", customer, None)
        if what == "cancel":
            return await self._post(f"{BOOKING}/{booking}/cancel", customer, None)
        return await self._post(f"{PAYMENT}/{booking}/confirm", customer, None)

    async def _post(self, path: str, customer: str, body: object) -> Answer:
        return await self._send("POST", path, customer, body)

    async def _send(self, method: str, path: str, customer: str, body: object) -> Answer:
        headers = {**bearer(customer), "idempotency-key": f"{customer} {method} {path}"}
        try:
            answer = await self.http.request(method, path, headers=headers, json=body)
        except httpx2.ConnectError:
            return Answer("away", "no_connection")
        except httpx2.HTTPError as error:
            return Answer("unknown", type(error).__name__)
        if answer.status_code < 300:
            found = answer.json() if answer.content else {}
            return Answer("done", str(answer.status_code), found.get("id", ""))
        code = answer.json()["code"]
        if code == "outcome_unknown":
            return Answer("unknown", code)
        if answer.status_code in (429, 503) or code == "request_in_progress":
            return Answer("away", code)
        assert answer.status_code < 500, answer.text
        return Answer("refused", code)


class Crowd:
    """Customers with one wish each, some of whom want the same seat; so many at a time.

    Some give their hold up. With `endless`, some leave theirs to its deadline and some cancel what
    they bought, and after the last wish they start again. With `gives_back` it is never sold
    out: when half the house is sold, customers cancel.
    """

    def __init__(self, desk: Desk, seats: list[str], random: Random, *, each: int = 2) -> None:
        self._desk = desk
        self._all = [seat for seat in seats for _ in range(each)]
        random.shuffle(self._all)
        self._wishes = list(self._all)
        self._random = random
        self._customers = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = False
        self.sold: dict[str, str] = {}  # booking -> seat, as was answered
        self._buyers: dict[str, str] = {}  # booking -> customer
        self.asked: list[Asked] = []
        self.pause_s = _PAUSE_S
        self.endless = self.gives_back = False

    def begin(self, at_once: int = 16) -> None:
        """Let so many come, one after the other each."""
        self._tasks = [asyncio.create_task(self._come()) for _ in range(at_once)]

    async def end(self) -> None:
        """No new customers; each finishes what they have begun."""
        self._stop = True
        await asyncio.gather(*self._tasks)

    @property
    def calls(self) -> list[Call]:
        """The history, where the desk keeps one."""
        return getattr(self._desk, "calls", [])

    async def finish(self) -> None:
        """Wait until every wish was answered."""
        await asyncio.gather(*self._tasks)

    @property
    def codes(self) -> Counter[str]:
        """How often each answer was given."""
        return Counter(asked.answer.code for asked in self.asked)

    def took_ms(self, share: float, since_s: float = 0.0) -> float:
        """How long the answered calls took: a quantile."""
        took = sorted(a.took_s for a in self.asked if a.began_s >= since_s)
        return took[min(len(took) - 1, int(share * len(took)))] * 1000 if took else 0.0

    def first_done_after(self, at_s: float) -> float:
        """Seconds until the first call that began after this was done."""
        done = (a for a in self.asked if a.began_s >= at_s and a.answer.outcome == "done")
        return min(asked.began_s + asked.took_s for asked in done) - at_s

    def broken(self, state: EventState, sold: dict[str, str] | None = None) -> list[str]:
        """What a customer was promised and does not have: lost and double.

        `sold` is what was promised when the state was asked for, while they still buy.
        """
        found = [str(violation) for violation in invariants.check(state)]
        sold = self.sold if sold is None else sold
        for booking, seat in sold.items():
            ulid = booking.rpartition(":")[2]
            kept = state.bookings.get(ulid)
            if kept is None or kept.status != "confirmed":
                found.append(f"lost: {booking} is {kept.status if kept else 'gone'}")
            elif state.seats[seat].booking != ulid:
                found.append(f"lost: {seat} is of {state.seats[seat].booking}, not {ulid}")
        if len(set(sold.values())) != len(sold):
            found.append("double: a seat was sold to two")
        return found

    async def _come(self) -> None:
        while self._wishes and not self._stop:
            if self.endless and len(self._wishes) == 1:
                self._wishes = [*self._all, *self._wishes]
            seat = self._wishes.pop()
            self._customers += 1
            await self._buy(f"c{self._customers}", seat)
            if self.gives_back and len(self.sold) > len(self._all) // 4:
                booking = self._random.choice(list(self.sold))
                del self.sold[booking]
                await self._end("cancel", self._buyers[booking], booking)

    async def _buy(self, customer: str, seat: str) -> None:
        held = await self._insist("hold", customer, seat, self._desk.hold)
        if held.outcome != "done":
            return
        chance = self._random.random()
        if self.endless and chance > 0.9:
            return  # it is left to its deadline
        if chance < 0.15:
            await self._end("release", customer, held.booking)
            return
        if (await self._end("confirm", customer, held.booking)).outcome != "done":
            return
        if self.endless and chance < 0.7:
            await self._end("cancel", customer, held.booking)
        else:
            self.sold[held.booking] = seat
            self._buyers[held.booking] = customer

    async def _end(self, what: str, customer: str, booking: str) -> Answer:
        async def act(customer: str, booking: str) -> Answer:
            return await self._desk.act(what, customer, booking)

        return await self._insist(what, customer, booking, act)

    async def _insist(
        self,
        what: str,
        customer: str,
        subject: str,
        call: Callable[[str, str], Awaitable[Answer]],
    ) -> Answer:
        """Ask until it is done or refused."""
        while True:
            began_s = time.monotonic()
            answer = await call(customer, subject)
            took_s = time.monotonic() - began_s
            self.asked.append(Asked(what, customer, subject, began_s, took_s, answer))
            if answer.outcome in ("done", "refused"):
                return answer
            await asyncio.sleep(self.pause_s)


async def aftermath(engine: Engine, crowd: Crowd, pool: "Pool | None" = None) -> list[str]:
    """All that is not as promised, at rest: the recount, the receipts, the history, Postgres."""
    found = crowd.broken(await state_of(engine)) + await broken_promises(engine, GALA, pool)
    if crowd.calls:
        found += check(crowd.calls, await read_journal(engine, GALA))
    return found


async def state_of(engine: Engine, event: EventId = GALA) -> EventState:
    """The raw state at rest."""
    return await read_state(engine, event)


def seats_of(rows: int, seats: int) -> list[str]:
    """The seats of `factories.layout(rows, seats)`."""
    return [f"A-{row}-{seat}" for row in range(1, rows + 1) for seat in range(1, seats + 1)]
