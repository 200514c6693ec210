"""The payment provider of a war: what it charges, when it reports it, and whose signature it is."""

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec
import pytest

from api.signatures import PaymentSignatures
from bench.war.buyers import Buyer, Habits, NoticedPayments
from bench.war.money import check
from bench.war.provider import COURSES, PATH, WarProvider, signature_of
from bench.war.tally import Charge, Tally
from engine.errors import Unavailable
from engine.ports.payments import NoticeKind
from persistence.journal.tables import MoneySums
from tests.support.fake_shop import EVENT, SALE, FakeShop

SECRET = "p" * 32
HOLD_TTL_S = 60
SUMS = MoneySums(currency="EUR", paid_minor=3100, sold_minor=1500, owed_minor=1600, back_minor=0)


class FakeApi:
    """Acknowledges every notice with the outcome that it is told, unless it is away."""

    def __init__(self) -> None:
        self.notices: list[dict[str, Any]] = []
        self.outcome = "confirmed"
        self.is_away = False

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        assert path == PATH
        raw = {name.lower().encode(): value.encode() for name, value in headers.items()}
        PaymentSignatures(SECRET).check(raw, body)
        if self.is_away:
            raise Unavailable("away") from ConnectionRefusedError()
        self.notices.append(msgspec.json.decode(body))
        return 200, msgspec.json.encode({"outcome": self.outcome})


def buyer_at(api: FakeApi) -> tuple[Buyer, Tally, FakeShop]:
    shop, tally = FakeShop(), Tally()
    provider = WarProvider(api.post, SECRET, HOLD_TTL_S)
    habits = Habits(pay_share=1, release_share=0)
    return Buyer(shop, SALE, habits, tally, Random(7), provider), tally, shop


def payments_of(buyer: Buyer) -> NoticedPayments:
    assert buyer.payments
    return buyer.payments


def test_courses_repeat_reorder_delay_pay_twice_and_pay_a_wrong_amount() -> None:
    courses = {course: Counter(word._replace(late=False) for word in course) for course in COURSES}
    paid = {c: [w for w in c if w.kind == NoticeKind.SUCCEEDED] for c in courses}
    assert any(count > 1 for words in courses.values() for count in words.values())
    assert any(len({w.payment for w in words}) > 1 for words in paid.values())
    assert any(w.extra_minor for words in paid.values() for w in words)
    assert any(all(w.late for w in words) for words in paid.values())
    assert any(c[0].kind == NoticeKind.SUCCEEDED != c[-1].kind for c in courses)
    assert all(paid.values())


def test_buyer_with_a_provider_confirms_nothing_itself() -> None:
    api = FakeApi()
    buyer, tally, shop = buyer_at(api)
    for _ in COURSES:
        buyer.try_to_buy()
    assert "confirm" not in shop.names()
    shop.now_s += HOLD_TTL_S
    payments_of(buyer).send_notices()
    assert len(api.notices) == sum(map(len, COURSES))
    distinct = sum(len({word._replace(late=False) for word in course}) for course in COURSES)
    assert len({told["id"] for told in api.notices}) == distinct
    amounts = Counter(told["data"]["amountMinor"] for told in api.notices)
    assert amounts.keys() == {1500, 1600}
    assert len(tally.receipts) == len(COURSES)  # once a booking, however often it is said
    assert tally.summary(1).notices == {"confirmed": len(api.notices)}
    reported = {t["data"]["paymentId"] for t in api.notices if t["type"] == "payment.succeeded"}
    assert tally.charges.keys() == reported


def test_late_notice_waits_for_the_deadline() -> None:
    api = FakeApi()
    buyer, _, _ = buyer_at(api)
    late = [number for number, course in enumerate(COURSES) if all(word.late for word in course)]
    for number in range(max(late) + 1):
        before = len(api.notices)
        buyer.try_to_buy()
        assert (len(api.notices) == before) is (number in late)
    before = len(api.notices)
    payments_of(buyer).send_notices()
    assert len(api.notices) == before
    payments_of(buyer).send_notices(every=True)
    assert len(api.notices) > before


def test_notice_that_is_not_acknowledged_is_sent_again() -> None:
    api = FakeApi()
    api.is_away = True
    buyer, tally, _ = buyer_at(api)
    buyer.try_to_buy()
    assert tally.summary(1).failures == {"notice: ConnectionRefusedError": 1}
    assert tally.charges == {}
    api.is_away = False
    payments_of(buyer).send_notices()
    payments_of(buyer).send_notices()
    assert len(api.notices) == len(tally.charges) == len(tally.receipts) == 1


def test_notice_that_sells_nothing_gives_no_receipt() -> None:
    api = FakeApi()
    api.outcome = "refund_due"
    buyer, tally, _ = buyer_at(api)
    buyer.try_to_buy()
    assert tally.receipts == []
    assert len(tally.charges) == 1


def test_first_of_two_secrets_signs() -> None:
    header = {b"payment-signature": signature_of(f"{SECRET}, {'q' * 32}", b"{}").encode()}
    PaymentSignatures(SECRET).check(header, b"{}")


@pytest.mark.parametrize(
    ("payments", "sums", "kinds"),
    [
        ({(f"{EVENT}:b1", "pay-1", 1500, "EUR")}, SUMS, []),
        (set(), SUMS, ["payment_lost"]),
        ({(f"{EVENT}:b1", "pay-1", 1499, "EUR")}, SUMS, ["payment_lost"]),
        ({(f"{EVENT}:b2", "pay-1", 1500, "EUR")}, SUMS, ["payment_lost"]),
        (
            {(f"{EVENT}:b1", "pay-1", 1500, "EUR")},
            msgspec.structs.replace(SUMS, owed_minor=0),
            ["sums_differ"],
        ),
    ],
)
def test_money_that_is_not_accounted_for_is_found(
    payments: set[tuple[str, str, int, str]], sums: MoneySums, kinds: list[str]
) -> None:
    charge = Charge(f"{EVENT}:b1", "pay-1", 1500, "EUR")
    assert [found.kind for found in check([charge], payments, [sums])] == kinds
