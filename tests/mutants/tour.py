"""A walk through every situation there is, step by step beside the model.

The same machine as in `tests/model`, led instead of left to chance: some two hundred steps that
meet every refusal, every boundary of time and every way a booking ends. It is what a bug meets
first; what it lets pass, chance may find.
"""

from typing import Any

from engine.models import LatePayment, PaymentSource, Sales, TermsChange
from tests.model import choices
from tests.model.choices import ENDED_TTL_MS, TTL_MS, Basket
from tests.model.machine import Stage
from tests.mutants.guide import Guide
from tests.support.box_office import START_MS
from tests.support.factories import terms


def tour(stage: Stage) -> None:
    """All of it. Raises AssertionError at the first step that differs."""
    for part in (
        _holds,
        _together,
        _lives,
        _money,
        _paid_together,
        _areas_paid_together,
        _late,
        _late_areas,
        _times,
        _expiry,
        _limits,
        _reinstated,
        _organised,
        _mended,
    ):
        guide = Guide(stage)
        try:
            part(guide)
            guide.look()
        finally:
            guide.machine.teardown()


def _holds(guide: Guide) -> None:
    guide.open()
    guide.machine.load_again(layout=0, terms=terms(), replace=False)
    guide.hold("ann", "A-1-1", "A-1-2", request="r1", pit=2)
    for seats in (("A-1-1", "A-1-2"), ("A-1-2", "A-1-1"), ("A-1-1",), ("A-1-3",)):
        guide.hold("ann", *seats, request="r1", pit=2)
    guide.hold("ann", "A-1-1", "A-1-2", request="r1", pit=1)
    guide.hold("bob", "A-1-3", request="r1")
    for wanted in ("A-2-1 A-1-2", "A-1-2 Z-9-9 A-2-1", "A-2-3", "A-1-1 A-1-2"):
        guide.hold("bob", *wanted.split())
    guide.hold("bob", pit=2)
    guide.hold("bob", "A-2-1", nowhere=1, pit=3)
    guide.hold("bob", pit=1)
    guide.hold("cid", pit=1)
    guide.hold("cid", "A-2-1", "A-2-2", pit=4)
    guide.hold("cid", "A-2-1", "A-2-2")
    guide.machine.load_again(layout=1, terms=terms(), replace=True)


def _together(guide: Guide) -> None:
    guide.open(customer_max=4)
    guide.hold_together("ann A-1-1 A-1-2 A-1-3", "ann A-2-1 A-2-2", "ann A-2-1", "ann A-2-2")
    guide.wait(TTL_MS)
    guide.machine.expire(picks=[])
    guide.hold_together("ann A-1-1", "bob A-1-1", "bob A-1-2 A-1-1", "bob A-1-2 pit=3", "cid pit=1")
    guide.hold_together(
        "bob A-1-1", "bob A-2-1 A-2-2", "ann A-2-1 Z-9-9", "ann A-2-1 A-2-2 A-1-3", "ann A-2-1"
    )
    guide.wait(TTL_MS)  # all are overdue: who comes first has the places
    guide.hold_together(
        "cid A-1-1 r1", "cid A-1-1 r1", "cid A-1-2 r1", "bob A-1-1 r1", "bob A-2-1 pit=2 r2",
        "ann pit=2", "ann pit=1", "bob A-2-1 pit=2 r2", "bob A-1-2 nowhere=1", "bob A-1-2",
    )  # fmt: skip
    guide.end("confirm")
    guide.machine.pass_time(ms=TTL_MS // 2)
    guide.hold_together("cid A-1-1 r1", "cid A-1-3 r3", "cid A-1-3 r3", "cid A-2-2")
    guide.wait(TTL_MS)
    guide.hold_together("ann A-1-1 A-1-3", "ann A-1-1 A-1-3 pit=1", "bob A-2-2", "ann! pit=3")
    guide.machine.expire(picks=[])
    guide.sell(sales=Sales.CLOSED)
    guide.hold_together("ann A-1-2", "bob A-1-2 r2")


def _lives(guide: Guide) -> None:
    everything = ("extend", "release", "cancel", "confirm")
    guide.open()
    guide.machine.expire(picks=[0])
    guide.end(*everything)  # nothing is there yet
    guide.hold("ann", "A-1-1", pit=1)
    guide.end("cancel")
    guide.pay(more=1)
    guide.pay(more=-1)
    guide.pay(more=0, currency="USD")
    guide.wait(20_000)
    guide.end("extend")
    guide.wait(5_000)
    guide.end("extend")
    guide.wait(20_000)
    guide.end("extend")
    guide.end("confirm", *everything)
    guide.pay(more=1)
    guide.hold("bob", "A-1-1")
    guide.end("cancel", *everything)
    guide.hold("bob", "A-1-1", pit=3)
    guide.end("release", "extend", "release", "cancel")
    guide.hold("cid", "A-1-1", pit=1)
    guide.hold("ann", pit=2)  # costs nothing
    guide.end("confirm", "cancel")
    guide.end("release", pick=1)
    guide.end("confirm", pick=1)  # paid after it was given up: late, and free
    guide.wait(ENDED_TTL_MS)
    guide.machine.expire(picks=[])
    guide.end("cancel", pick=0)


def _money(guide: Guide) -> None:
    guide.open()
    guide.hold("ann", "A-1-1")
    for more, currency in ((1, ""), (0, "USD"), (0, ""), (0, ""), (1, "")):
        guide.pay(more=more, currency=currency, payment=f"pi_{more}{currency}")
    guide.pay(payment="pi_2")
    guide.tell("refunded", "pi_2", more=-1000)
    guide.tell("refunded", "pi_0", more=-1000)
    guide.tell("disputed", "pi_0")
    guide.end("confirm", "cancel")
    guide.pay(payment="pi_3")
    guide.tell("refunded", "pi_3")
    guide.sell(payment_max_ms=432_000_000)
    guide.hold("bob", "A-1-2")
    guide.tell("processing", "pi_4")
    guide.tell("failed", "pi_4")
    guide.tell("processing", "pi_4")
    guide.wait(3_600_000)
    guide.pay(payment="pi_4")
    guide.tell("refunded", "pi_4")
    guide.sell(cancel_until_ms=guide.machine.model.now_ms)  # too late for a customer
    guide.hold("eve", "A-2-2")
    guide.end("confirm", "cancel")
    guide.hold("cid", "A-1-1")
    guide.machine.confirm(pick=0, anybody=False, stranger=0, source=PaymentSource.FREE)
    guide.machine.confirm(pick=0, anybody=True, stranger=1, source=PaymentSource.UNCHECKED)
    guide.pay(payment="pi_5")
    guide.pay(payment="pi_6")
    for late in LatePayment:
        starts_at_ms = guide.machine.model.now_ms + 1
        change = TermsChange(starts_at_ms=starts_at_ms, cancel_until_ms=0, late_payment=late)
        guide.machine.set_terms(change=change, owner="")
        guide.hold("dan", "A-2-1")
        guide.machine.pass_to_a_deadline(pick=0, past=0)
        guide.pay(payment="pi_7")


def _paid_together(guide: Guide) -> None:
    guide.open(layout=1, customer_max=4)
    guide.hold_together("ann A-1-1 pit=1", "ann A-1-2", "bob A-1-3", "cid A-2-1")
    guide.pay_together("0 pi_1", "2 pi_2", "0 pi_1", "0 pi_3", "9 pi_4")
    guide.wait(TTL_MS)
    guide.hold("eve", "A-1-3")
    guide.pay_together("4 pi_5", "2 pi_6", "3 pi_7", "2 pi_8", "0 pi_9", "2 pi_6")
    guide.hold_together("bob pit=2", "cid pit=2 floor=1", "ann A-2-2")
    guide.wait(TTL_MS)
    guide.pay_together("0 pi_1", "1 pi_2", "2 pi_3")  # the places of the second are free again
    guide.hold_together("bob pit=1", "cid pit=1")
    guide.wait(TTL_MS)
    guide.hold("eve", pit=1)
    guide.pay_together("1 pi_1", "2 pi_2", "2 pi_3", "0 pi_4")


def _areas_paid_together(guide: Guide) -> None:
    guide.open(layout=1, customer_max=4)
    guide.hold("bob", floor=2)
    guide.wait(TTL_MS)
    guide.machine.expire(picks=[])
    guide.hold("ann", floor=1)
    guide.machine.reinstate(pick=9, basket=Basket("ann", ("A-2-1", "A-2-2"), (("pit", 2),)))
    guide.wait(TTL_MS)
    guide.hold("cid", floor=1)
    guide.pay_together("2 pi_1", "3 pi_2")  # the limit ends the first, the second needs both places


def _late(guide: Guide) -> None:
    guide.open()
    for past in (-1, 0, 1):  # at the deadline, before any sweep
        guide.hold("ann", "A-1-1", "A-1-2", pit=1)
        guide.machine.pass_to_a_deadline(pick=0, past=past)
        guide.end("confirm", "extend", "cancel")
    for past in (-1, 0):  # another comes
        guide.hold("ann", "A-1-1", "A-1-2", pit=1)
        guide.machine.pass_to_a_deadline(pick=0, past=past)
        guide.hold("bob", "A-1-2", "A-1-3")
        guide.end("confirm", pick=1 if past == 0 else 0)
        guide.end("extend", "release", "cancel", "confirm", pick=1 if past == 0 else 0)
    guide.machine.expire(picks=[])
    guide.wait(TTL_MS)
    guide.end("extend", "release")  # bob gives up what no sweep released
    guide.hold("ann", "A-2-1")
    guide.wait(TTL_MS)
    guide.block("A-2-1")
    guide.machine.expire(picks=[0])
    guide.block("A-2-1")
    guide.end("confirm", "confirm", "release", "cancel")  # the seat is off sale now
    guide.hold("cid", "A-2-2")
    guide.hold("cid", "A-1-1")
    guide.wait(TTL_MS)
    guide.hold("ann", "A-2-2", "A-1-1")  # two in the way at once
    guide.machine.expire(picks=[])
    guide.end("confirm")
    guide.wait(ENDED_TTL_MS)
    guide.machine.expire(picks=[])
    guide.end("cancel")


def _late_areas(guide: Guide) -> None:
    guide.open(layout=1)
    guide.hold("ann", pit=2, floor=1)
    guide.hold("bob", "A-1-1", pit=1)
    guide.wait(TTL_MS)
    guide.hold("cid", floor=1)  # enough is left: no hold is in its way
    guide.hold("cid", pit=4)
    guide.hold("cid", pit=3)
    guide.end("confirm", pick=2)
    guide.end("confirm", pick=3)
    guide.end("confirm", "cancel")
    guide.hold("ann", pit=3)
    guide.wait(TTL_MS)
    guide.end("confirm")  # its own places are in its way
    guide.end("cancel")
    guide.hold("ann", pit=1)
    guide.wait(TTL_MS)
    guide.end("confirm")  # they are not, and must not be counted twice
    guide.hold("bob", floor=2)
    guide.wait(TTL_MS)
    guide.hold("cid", floor=1)
    guide.hold("cid", floor=1)
    guide.end("confirm", pick=2)
    guide.end("cancel", pick=3)


def _times(guide: Guide) -> None:
    guide.open()
    guide.hold("ann", "A-1-1", request="r1")
    guide.sell(sales=Sales.PAUSED, owner="rival")
    guide.sell(sales=Sales.PAUSED, owner="org")
    guide.hold("ann", "A-1-1", request="r1")
    guide.hold("bob", "A-1-2")
    guide.end("confirm")
    guide.sell(sales=Sales.CLOSED)
    guide.hold("bob", "A-1-2")
    guide.sell(sales=Sales.OPEN, opens_at_ms=START_MS + 1000)
    guide.hold("bob", "A-1-2")
    guide.wait(999)
    guide.hold("bob", "A-1-2")
    guide.wait(1)
    guide.hold("bob", "A-1-2")
    guide.sell(closes_at_ms=START_MS + 2000)
    guide.wait(999)
    guide.hold("cid", "A-1-3")
    guide.wait(1)
    guide.hold("cid", "A-2-1")
    guide.sell(closes_at_ms=0)
    guide.hold("cid", "A-2-1")
    guide.wait(ENDED_TTL_MS)
    guide.hold("ann", "A-2-2", request="r1")  # the request is forgotten by now
    _contradictions(guide)


def _contradictions(guide: Guide) -> None:
    """Each rule between two terms: broken from either side, just kept, and with one unset."""
    at_ms = START_MS + 9000
    for first, second, ahead_ms in (
        ("opens_at_ms", "closes_at_ms", 1),
        ("opens_at_ms", "starts_at_ms", 1),
        ("cancel_until_ms", "starts_at_ms", 0),
    ):
        changes: tuple[dict[str, Any], ...] = (
            {first: at_ms, second: at_ms + ahead_ms - 1},
            {first: at_ms},
            {second: at_ms + ahead_ms - 1},
            {second: at_ms + ahead_ms},
            {first: at_ms + 1},
            {"sales": Sales.PAUSED},
            {first: 0},
            {second: 1},
            {second: 0},
        )
        for change in changes:
            guide.sell(**change)
    for payment_max_ms in (TTL_MS - 1, TTL_MS, 0):
        guide.sell(payment_max_ms=payment_max_ms, time_zone="UTC")


def _expiry(guide: Guide) -> None:
    guide.open(layout=1)
    guide.hold("ann", "A-1-1", pit=1)
    guide.hold("bob", "A-1-2", floor=1, pit=1)
    guide.wait(20_000)
    guide.hold("cid", "A-1-3")
    guide.hold("cid", "A-2-1")
    guide.end("release")
    guide.hold("ann", "A-2-1")
    guide.end("confirm")
    guide.machine.expire(picks=[0, 1, 2, 3, 4])
    guide.wait(39_999)
    guide.machine.expire(picks=[])
    guide.wait(1)
    guide.machine.expire(picks=[0, 1, 2])
    guide.machine.expire(picks=[3, 3, 3, 5, 0])
    guide.machine.expire(picks=[])
    guide.wait(20_000)
    guide.hold("bob", "A-1-1", "A-1-2")
    guide.machine.expire(picks=[0, 1, 2, 3, 4, 5])  # stale: the seats are bob's
    guide.wait(ENDED_TTL_MS - 20_001)
    guide.machine.expire(picks=[])
    guide.wait(1)
    guide.machine.expire(picks=[])
    guide.wait(20_000)
    guide.machine.expire(picks=[])
    guide.wait(ENDED_TTL_MS)
    guide.machine.expire(picks=[])
    guide.end("confirm", "release", pick=9)


def _limits(guide: Guide) -> None:
    guide.open(customer_max=4)
    guide.hold("ann", "A-1-1", "A-1-2")
    guide.end("confirm")
    guide.hold("ann", "A-1-3", pit=2)
    guide.hold("ann", "A-1-3", pit=1)
    guide.hold("ann", "A-2-1")
    guide.hold("ann!", "A-2-1", pit=2)
    guide.end("release")
    guide.wait(TTL_MS)
    guide.hold("ann", "A-2-1", "A-2-2")  # her overdue hold counts no more
    guide.end("confirm", pick=2)  # ... and cannot be paid on top
    guide.end("release")
    guide.end("confirm", pick=3)
    guide.hold("bob", "A-2-1", pit=3)
    guide.wait(TTL_MS)
    guide.end("confirm")  # four, its own hold aside
    guide.hold("bob", "A-2-2")
    guide.end("cancel", pick=0)
    guide.hold("bob", "A-2-2")


def _reinstated(guide: Guide) -> None:
    guide.open(customer_max=4)
    guide.hold("ann", "A-1-1", "A-1-2")
    guide.machine.reinstate(pick=9, basket=Basket("ann", ("A-2-1", "A-2-2"), (("pit", 1),)))
    guide.wait(TTL_MS)
    guide.end("confirm", pick=1)  # not swept; with what was reinstated it is too much
    guide.end("confirm", "release", pick=1)


def _organised(guide: Guide) -> None:
    guide.open()
    guide.hold("ann", "A-1-1")
    guide.block("A-1-2", "A-1-2", owner="org")
    guide.block("A-1-2", "A-1-3", owner="rival")
    guide.block("A-1-3", "A-1-1")
    guide.block("A-1-3", "Z-9-9")
    guide.block("A-1-2", "A-2-1")
    guide.block("A-1-2", "A-1-1", "A-1-2", "A-1-3", blocked=False)
    guide.block("A-1-2", blocked=False)
    guide.end("confirm")
    guide.block("A-1-1")
    for known, owner in ((1, ""), (0, "rival"), (0, "org"), (0, "org"), (1, "")):
        guide.machine.add_seats(known=known, owner=owner)
    guide.hold("bob", "A-3-1", "A-4-1", floor=2)
    guide.hold("bob", "A-3-3")
    guide.machine.load_again(layout=1, terms=terms(), replace=True)
    guide.end("release")
    guide.machine.load_again(layout=1, terms=terms(), replace=True)
    guide.end("cancel", pick=1)
    guide.machine.load_again(layout=1, terms=terms(owner_id="org"), replace=True)
    guide.end("confirm")  # its seats are gone with the old house
    guide.hold("ann", "A-1-1")
    guide.end("release")
    guide.machine.load_again(layout=0, terms=terms(owner_id="org"), replace=True)  # an area less
    guide.hold("ann", floor=1)


def _mended(guide: Guide) -> None:
    guide.open(layout=1, customer_max=4)
    guide.hold("ann", "A-1-1", pit=1)
    guide.end("confirm")
    guide.hold("bob", "A-1-2", pit=1, floor=1)
    guide.hold("cid", "A-1-3")
    guide.end("release")
    for damage in choices.DAMAGES:
        for pick in range(4):
            guide.machine.damage_and_repair(damage=damage, pick=pick)
    guide.hold("bob", "A-2-2")
    for basket in (
        Basket("dan", ("A-2-1", "A-2-2"), ()),
        Basket("dan", ("A-2-1", "Z-9-9"), ()),
        Basket("dan", (), (("nowhere", 1),)),
        Basket("dan", (), (("pit", 2),)),
        Basket("dan", ("A-2-1", "A-1-3"), (("pit", 1), ("floor", 1))),
    ):
        guide.machine.reinstate(pick=9, basket=basket)
    for pick in range(5):
        guide.machine.reinstate(pick=pick, basket=Basket("dan", ("A-2-1",), ()))
    guide.wait(TTL_MS)
    guide.machine.reinstate(pick=9, basket=Basket("eve", ("A-2-2",), ()))
