"""Drives the real scripts and the model side by side, and compares them after every step.

Each rule does one thing to both. The answers must be the same, refusal codes and what they name
included, and so must the whole state and what the journal got. Redis' own clock is not asked: the
machine has its own, and does for the TTL of keys what Redis would do as it passes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from engine import Engine, keys
from engine.bookings import PaymentUpdate
from engine.errors import Refused
from engine.event_image import image_of
from engine.ids import BookingId, CustomerId, SeatId
from engine.models import Counts, Expired, PaymentReport, PaymentSource, TermsChange
from engine.plans.addition import addition_of
from tests.model import choices
from tests.model.box_office_model import PENDING, BoxOfficeModel
from tests.model.choices import LAYOUTS, Basket
from tests.model.event_model import EventModel
from tests.model.views import BRIEF_MS, MARGIN_MS, expected, see, to_be_noted
from tests.support.box_office import START_MS
from tests.support.factories import GALA
from tests.support.raw_redis import raw

PICK = st.integers(0, 20)
REQUEST_IDS = st.sampled_from((None, None, "r1", "r2"))


class Stage:
    """One engine and the loop it runs on, for all the examples of a test."""

    def __init__(self, runner: asyncio.Runner, engine: Engine) -> None:
        self.run = runner.run
        self.engine = engine
        self.step_count = 0


class BoxOfficeMachine(RuleBasedStateMachine):
    """One event from its load on."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.engine = stage.engine
        self.bookings = stage.engine.bookings
        self.ulid = 0
        self.forgotten: list[str] = ["0" * 26]
        self.requests: list[tuple[str, str]] = []
        self.last = "0-0"
        self.patched = mock.patch("engine.bookings.new_ulid", self._new_ulid)
        self.patched.start()
        self._run(raw(self.engine).flushall())

    def teardown(self) -> None:
        self.patched.stop()

    def _new_ulid(self) -> str:
        self.ulid += 1
        return f"{self.ulid:026d}"

    def _run(self, call: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await call

        return self.stage.run(wait())

    @initialize(layout=st.integers(0, len(LAYOUTS) - 1), terms=choices.terms())
    def open(self, layout: int, terms: Any) -> None:
        self.model = BoxOfficeModel(GALA, EventModel(LAYOUTS[layout], terms), START_MS)
        self.bookings.now_ms = START_MS
        self._loaded(self.model.event)
        self._both(
            self.engine.events.load_event(GALA, LAYOUTS[layout], terms), lambda: None, told=False
        )

    def _loaded(self, event: EventModel) -> None:
        image = image_of(GALA, event.layout, event.terms)
        fields = {name: str(value) for name, value in image.fields.items()}
        event.noted.append(("event_loaded", fields))

    # What customers do.

    @rule(basket=choices.baskets(), request=REQUEST_IDS)
    def hold(self, basket: Basket, request: str | None) -> None:
        wanted = basket.selection()
        ulid = f"{self.ulid + 1:026d}"
        self._both(
            self.bookings.hold_seats(wanted, request_id=request),
            lambda: self.model.hold_seats(ulid, wanted, request),
        )

    @rule(basket=choices.seats_wanted())
    def hold_seats(self, basket: Basket) -> None:
        self.hold(basket, None)

    @rule(basket=choices.places_wanted())
    def hold_places(self, basket: Basket) -> None:
        self.hold(basket, None)

    @rule(calls=st.lists(st.tuples(choices.baskets(), REQUEST_IDS), min_size=2, max_size=8))
    def hold_together(self, calls: list[tuple[Basket, str | None]]) -> None:
        """One call of the script: each request has the outcome that it has one after another."""
        ulids = [f"{self.ulid + number:026d}" for number in range(1, len(calls) + 1)]
        wanted = [(basket.selection(), request) for basket, request in calls]
        self._both(
            _together(
                self.bookings.hold_seats(selection, request_id=request)
                for selection, request in wanted
            ),
            lambda: [
                _said(partial(self.model.hold_seats, ulid, *call))
                for ulid, call in zip(ulids, wanted, strict=True)
            ],
        )

    @rule(pick=PICK, anybody=st.booleans(), stranger=st.integers(0, 9))
    def extend(self, pick: int, anybody: bool, stranger: int) -> None:
        self._on_booking("extend_booking", pick, anybody, stranger)

    @rule(pick=PICK, anybody=st.booleans(), stranger=st.integers(0, 9))
    def release(self, pick: int, anybody: bool, stranger: int) -> None:
        self._on_booking("release_booking", pick, anybody, stranger)

    @rule(pick=PICK, anybody=st.booleans(), stranger=st.integers(0, 9))
    def cancel(self, pick: int, anybody: bool, stranger: int) -> None:
        self._on_booking("cancel_booking", pick, anybody, stranger)

    @rule(
        pick=PICK,
        anybody=st.booleans(),
        stranger=st.integers(0, 9),
        source=st.sampled_from((PaymentSource.UNCHECKED, PaymentSource.FREE)),
    )
    def confirm(self, pick: int, anybody: bool, stranger: int, source: PaymentSource) -> None:
        self._pay(pick, self._caller(pick, anybody, stranger), PaymentReport(source=source))

    @rule(pick=PICK, report=choices.payments())
    def pay(self, pick: int, report: PaymentReport) -> None:
        self._pay(pick, None, self._priced(pick, report))

    @rule(pick=PICK, payment=choices.payment_ids())
    def pay_in_full(self, pick: int, payment: str) -> None:
        self._pay(pick, None, PaymentReport(source=PaymentSource.PROVIDER, id=payment))

    @rule(calls=st.lists(st.tuples(PICK, choices.payments()), min_size=2, max_size=6))
    def pay_together(self, calls: list[tuple[int, PaymentReport]]) -> None:
        """One call of the script: each payment has the outcome that it has one after another."""
        told = [(self._picked(pick), self._priced(pick, report)) for pick, report in calls]
        self._both(
            _together(self.bookings.confirm_booking(_id(u), None, report) for u, report in told),
            lambda: [
                _said(partial(self.model.confirm_booking, u, None, report)) for u, report in told
            ],
        )

    @rule(
        pick=PICK,
        what=st.sampled_from(("processing", "failed", "refunded", "disputed")),
        report=choices.payments(),
    )
    def tell(self, pick: int, what: PaymentUpdate, report: PaymentReport) -> None:
        ulid, report = self._picked(pick), self._priced(pick, report)
        self._both(
            self.bookings.update_payment(_id(ulid), what, report),
            lambda: self.model.update_payment(ulid, what, report),
        )

    def _priced(self, pick: int, report: PaymentReport) -> PaymentReport:
        """Its amount is how much more than the price it is."""
        known = self.model.bookings.get(self._picked(pick))
        if report.amount_minor is None:
            return report
        price = known.amount_minor if known else 0
        return replace(report, amount_minor=max(0, price + report.amount_minor))

    def _pay(self, pick: int, caller: CustomerId | None, report: PaymentReport) -> None:
        ulid = self._picked(pick)
        self._both(
            self.bookings.confirm_booking(_id(ulid), caller, report),
            lambda: self.model.confirm_booking(ulid, caller, report),
        )

    def _on_booking(self, name: str, pick: int, anybody: bool, stranger: int) -> None:
        ulid, caller = self._picked(pick), self._caller(pick, anybody, stranger)
        self._both(
            getattr(self.bookings, name)(_id(ulid), caller),
            lambda: getattr(self.model, name)(ulid, caller),
        )

    def _picked(self, pick: int) -> str:
        """The newest booking, or the one so many before; behind the last, one that is gone."""
        known = sorted(self.model.bookings, reverse=True) + self.forgotten[-1:]
        return known[pick % len(known)]

    def _caller(self, pick: int, anybody: bool, stranger: int) -> CustomerId | None:
        known = self.model.bookings.get(self._picked(pick))
        if anybody or known is None:
            return None
        return CustomerId("mallory") if stranger == 1 else known.customer_id

    # What time does.

    @rule(ms=st.sampled_from((1, 999, 20_000, 59_999, 60_000, 60_001, 600_000)))
    def pass_time(self, ms: int) -> None:
        self._pass(ms)

    @precondition(lambda self: self.model.count(PENDING))
    @rule(pick=PICK, past=st.sampled_from((-1, 0, 1)))
    def pass_to_a_deadline(self, pick: int, past: int) -> None:
        pending = [b for _, b in self.model.active() if b.status is PENDING]
        ms = pending[pick % len(pending)].expires_at_ms + past - self.model.now_ms
        if ms > 0:
            self._pass(ms)

    def _pass(self, ms: int) -> None:
        timers, requests = self.model.timers.keys(), self.model.requests.keys()
        self.model.pass_time(ms)
        gone = [keys.hold(GALA, ulid) for ulid in timers - self.model.timers.keys()]
        gone += [
            keys.request(GALA, CustomerId(c), r) for c, r in requests - self.model.requests.keys()
        ]
        if gone:
            self._run(self.engine.client.delete(*gone))
        self.bookings.now_ms = self.model.now_ms

    @rule(picks=st.lists(PICK, max_size=4))
    def expire(self, picks: list[int]) -> None:
        ulids = [self._picked(pick) for pick in picks]
        before = set(self.model.bookings)
        self._both(
            self.bookings.expire_bookings(GALA, ulids, path="sweep"),
            lambda: self.model.expire_bookings(ulids),
        )
        self.forgotten += sorted(before - set(self.model.bookings))

    # What organisers and operators do.

    @rule(seats=choices.seat_lists(), blocked=st.booleans(), owner=choices.OWNERS)
    def block(self, seats: list[str], blocked: bool, owner: str) -> None:
        claimed = {seat for _, b in self.model.active() for seat in self.model.local_seats(b)}
        named = [SeatId(f"{GALA}:{seat}") for seat in seats]
        self._both(
            self.engine.events.block_seats(GALA, named, blocked=blocked, owner_id=owner),
            lambda: self.model.event.block_seats(
                seats, blocked=blocked, owner_id=owner, claimed=claimed
            ),
            told=False,
        )

    @rule(change=choices.terms_changes(), owner=choices.OWNERS)
    def set_terms(self, change: TermsChange, owner: str) -> None:
        self._both(
            self.engine.events.set_terms(GALA, change, owner_id=owner),
            lambda: self.model.event.set_terms(change, owner),
            told=False,
        )

    @rule(known=st.integers(0, len(LAYOUTS) - 2), owner=choices.OWNERS)
    def add_seats(self, known: int, owner: str) -> None:
        base, grown = LAYOUTS[known], LAYOUTS[known + 1]
        self._both(
            self.engine.events.add_seats(GALA, addition_of(grown, base), owner_id=owner),
            lambda: self.model.event.add_seats(grown, base, owner),
            told=False,
        )

    @rule(layout=st.integers(0, len(LAYOUTS) - 1), terms=choices.terms(), replace=st.booleans())
    def load_again(self, layout: int, terms: Any, replace: bool) -> None:
        event = EventModel(LAYOUTS[layout], terms)
        self._loaded(event)
        self._both(
            self.engine.events.load_event(GALA, LAYOUTS[layout], terms, replace=replace),
            lambda: self.model.load_event(event, replace=replace),
            told=False,
        )

    @rule(damage=choices.damages(), pick=PICK)
    def damage_and_repair(self, damage: choices.Damage, pick: int) -> None:
        self._run(damage(self.engine.client, pick))
        counts = zip(Counts.__struct_fields__, expected(self.model)["counts"], strict=True)
        said = {name: str(count) for name, count in counts}
        self.model.event.noted.append(("event_repaired", said))
        self._both(self.engine.events.repair_event(GALA), lambda: None, told=False)

    @rule(pick=PICK, basket=choices.baskets())
    def reinstate(self, pick: int, basket: Basket) -> None:
        ulid = self._picked(pick) if pick < 5 else self._new_ulid()
        booking = choices.remembered(_id(ulid), basket, self.model.now_ms)
        self._both(
            self.bookings.reinstate_booking(booking), lambda: self.model.reinstate_booking(booking)
        )

    # The comparison.

    def _both(self, call: Awaitable[Any], spec: Callable[[], Any], *, told: bool = True) -> None:
        """Do it to both. `told`: the answer itself is compared too, not only the refusal."""
        self.stage.step_count += 1
        answer, wanted = self._run(_outcome(call)), _said(spec)
        if told or isinstance(answer, Refused) or isinstance(wanted, Refused):
            assert _plain(answer) == _plain(wanted), f"{answer!r} instead of {wanted!r}"
        self._run(self._compare())

    async def _compare(self) -> None:
        timers = self.model.timers
        seen = await see(self.engine, GALA, self.last, timers)
        # An extension up to the cap may be for a moment, which the real clock has passed since.
        brief = {ulid for ulid, timer in timers.items() if timer.ttl_ms <= BRIEF_MS}
        seen.view["timers"] = sorted(brief.union(seen.view["timers"]))
        assert seen.view == expected(self.model)
        assert seen.noted == to_be_noted(self.model)
        for ulid in timers.keys() - brief:
            timer = timers[ulid]
            assert timer.ttl_ms - MARGIN_MS < seen.left_ms[ulid] <= timer.ttl_ms
        self.last = seen.last


def _id(ulid: str) -> BookingId:
    return BookingId(f"{GALA}:{ulid}")


async def _outcome(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except Refused as refused:
        return refused


async def _together(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*map(_outcome, calls))


def _said(spec: Callable[[], Any]) -> Any:
    try:
        return spec()
    except Refused as refused:
        return refused


def _plain(answer: Any) -> Any:
    """An answer as it is compared: seats without their event, late ms in any sequence."""
    if isinstance(answer, list):
        return [_plain(one) for one in answer]
    if isinstance(answer, Refused):
        return answer.code, [item.removeprefix(f"{GALA}:") for item in answer.found]
    if isinstance(answer, Expired):
        return (
            answer.now_ms,
            answer.next_deadline_ms,
            sorted(answer.late_ms),
            answer.forgotten_count,
        )
    return answer
