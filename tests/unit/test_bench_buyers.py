"""What buyers do, with a test as the shop."""

from random import Random

import pytest

from bench.war.buyers import REJECTIONS_MAX, Buyer, Habits
from bench.war.tally import BuyerAnswer, Receipt, Tally
from tests.support.fake_shop import EVENT, SALE, FakeShop, problem

PAYS = Habits(pay_share=1, release_share=0)
RELEASES = Habits(pay_share=0, release_share=1)
WALKS_AWAY = Habits(pay_share=0, release_share=0)
TAKEN = problem(409, "seat_taken")
REJECTED = BuyerAnswer(503, b'{"code":"overloaded","retryAfterMs":1500}', 1.0)


def buyer_in(shop: FakeShop, habits: Habits = PAYS) -> tuple[Buyer, Tally]:
    tally = Tally()
    return Buyer(shop, SALE, habits, tally, Random(7)), tally


def test_habits_beyond_the_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="together"):
        Habits(pay_share=0.8, release_share=0.3)


def test_buyer_that_pays_has_a_receipt() -> None:
    shop = FakeShop()
    buyer, tally = buyer_in(shop)
    assert buyer.try_to_buy()
    assert shop.names() == ["look", "hold", "confirm"]
    assert len(shop.pauses) == 2
    [held] = shop.sent("hold")
    assert held.key
    assert isinstance(held.body, dict)
    assert tally.receipts == [Receipt(f"{EVENT}:b1", tuple(held.body["seatIds"]), {})]


def test_buyer_takes_seats_beside_each_other() -> None:
    shop = FakeShop()
    buyer, _ = buyer_in(shop)
    for _ in range(100):
        buyer.try_to_buy()
    counts = set()
    for request in shop.sent("hold"):
        assert isinstance(request.body, dict)
        numbers = [int(seat.rpartition("-")[2]) for seat in request.body["seatIds"]]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        counts.add(len(numbers))
    assert counts == {1, 2, 3, 4}


def test_buyer_never_uses_an_idempotency_key_twice() -> None:
    shop = FakeShop()
    buyer, _ = buyer_in(shop)
    for _ in range(100):
        buyer.try_to_buy()
    assert len({request.key for request in shop.sent("hold")}) == 100


def test_buyer_that_releases_has_no_receipt() -> None:
    shop = FakeShop()
    buyer, tally = buyer_in(shop, RELEASES)
    assert buyer.try_to_buy()
    assert shop.names() == ["look", "hold", "release"]
    assert shop.requests[-1].method == "DELETE"
    assert tally.summary(1).released_count == 1


def test_buyer_who_walks_away_says_nothing() -> None:
    shop = FakeShop()
    buyer, tally = buyer_in(shop, WALKS_AWAY)
    assert buyer.try_to_buy()
    assert shop.names() == ["look", "hold"]
    assert tally.abandoned_count == 1


def test_buyer_who_is_refused_looks_again() -> None:
    shop = FakeShop()
    shop.answers["hold"] = TAKEN
    buyer, tally = buyer_in(shop)
    assert buyer.try_to_buy()
    assert buyer.try_to_buy()
    assert shop.names() == ["look", "hold", "look", "hold"]
    assert tally.summary(1).refusals == {"seat_taken": 2}
    assert shop.customer == 1


def test_buyer_sends_a_rejected_request_again_when_it_may() -> None:
    shop = FakeShop()
    shop.holds = [REJECTED, problem(503, "overloaded")]
    buyer, tally = buyer_in(shop, Habits(choose_s=(0, 0), think_s=(0, 0)))
    buyer.look()
    booking = buyer.hold({"seatIds": [f"{EVENT}:A-1-1"]})
    assert booking is not None
    assert shop.pauses == [1.5, 1.0]
    assert len({request.key for request in shop.sent("hold")}) == 1
    summary = tally.summary(1)
    assert (summary.rejected_count, summary.held_count, summary.failures) == (2, 1, {})


def test_request_that_is_always_rejected_is_a_failure() -> None:
    shop = FakeShop()
    shop.answers["hold"] = REJECTED
    buyer, tally = buyer_in(shop)
    buyer.look()
    assert buyer.hold({"seatIds": [f"{EVENT}:A-1-1"]}) is None
    assert len(shop.sent("hold")) == REJECTIONS_MAX
    assert tally.summary(1).failures == {f"hold: rejected {REJECTIONS_MAX} times in a row": 1}


def test_buyer_at_the_purchase_limit_makes_room_for_another() -> None:
    shop = FakeShop()
    shop.answers["hold"] = problem(409, "limit_reached")
    buyer, _ = buyer_in(shop)
    buyer.try_to_buy()
    assert shop.customer == 2


def test_buyer_who_pays_too_late_has_no_receipt() -> None:
    shop = FakeShop()
    shop.answers["confirm"] = problem(409, "refund_due")
    buyer, tally = buyer_in(shop)
    assert buyer.try_to_buy()
    assert tally.receipts == []
    assert tally.summary(1).refusals == {"refund_due": 1}


def test_buyer_with_nothing_left_tries_nothing_and_comes_back_later() -> None:
    shop = FakeShop("s" * 20)
    buyer, tally = buyer_in(shop, Habits(again_s=(7, 7), rest_s=(1, 1)))
    assert buyer.visit() == 7
    assert shop.names() == ["look"]
    assert tally.summary(1).attempt_count == 0
    shop.letters = "a" * 20
    assert buyer.visit() == 1


def test_buyer_whose_group_stays_together_takes_no_fewer() -> None:
    shop = FakeShop("aassaasaasaasaasaasa")
    buyer, _ = buyer_in(shop, Habits(group_min=3, group_max=3, together=True))
    assert not buyer.try_to_buy()
    shop.letters = "aassaasaaasaasaasaas"
    assert buyer.try_to_buy()
    [held] = shop.sent("hold")
    assert held.body == {"seatIds": [f"{EVENT}:A-1-{number}" for number in (8, 9, 10)]}


def test_buyer_of_standing_places_has_them_on_the_receipt() -> None:
    shop = FakeShop("s" * 20, area_room=10)
    buyer, tally = buyer_in(shop)
    while not buyer.try_to_buy():
        pass
    receipt = tally.receipts[0]
    assert receipt.seats == ()
    assert 1 <= receipt.areas["floor"] <= PAYS.group_max
    assert tally.summary(1).confirmed_places == receipt.areas["floor"]
