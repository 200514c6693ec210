"""What buyers do, with a test as the shop."""

from collections.abc import Callable
from random import Random

import msgspec
import pytest

from bench.buyers import Buyer, FreeSeat, Habits, Request, Sale, pick_neighbours
from bench.tally import Answer, Receipt, Tally

EVENT = "gala"
PAYS = Habits(pay_share=1, release_share=0)
RELEASES = Habits(pay_share=0, release_share=1)
WALKS_AWAY = Habits(pay_share=0, release_share=0)


def seat(section: str, row: str, number: int | str) -> FreeSeat:
    return FreeSeat(f"{EVENT}:{section}-{row}-{number}", section, row, str(number))


def row_of(count: int, row: str = "1") -> list[FreeSeat]:
    return [seat("A", row, number) for number in range(1, count + 1)]


def problem(status: int, code: str) -> Answer:
    return Answer(status, msgspec.json.encode({"code": code, "status": status}), 1.0)


class FakeShop:
    """Shows the same free seats to all, and answers holds as it is told."""

    def __init__(self, seats: list[FreeSeat], on_hold: Answer | None = None) -> None:
        self.seats = seats
        self.on_hold = on_hold
        self.on_confirm: Answer | None = None
        self.requests: list[Request] = []
        self.thoughts = 0
        self.customers = 1
        self._held: dict[str, object] = {}

    def send(self, request: Request) -> Answer:
        self.requests.append(request)
        answers: dict[str, Callable[[Request], Answer]] = {
            "look": lambda _: self._answer(200, {"data": self.seats, "next": None}),
            "hold": self._hold,
            "confirm": lambda _: self.on_confirm or self._answer(200, self._held),
            "release": lambda _: self._answer(200, self._held),
        }
        return answers[request.name](request)

    def think(self) -> None:
        self.thoughts += 1

    def change_customer(self) -> None:
        self.customers += 1

    def names(self) -> list[str]:
        return [request.name for request in self.requests]

    def _hold(self, request: Request) -> Answer:
        if self.on_hold:
            return self.on_hold
        assert isinstance(request.body, dict)
        seats, areas = request.body.get("seatIds", []), request.body.get("areas", [])
        self._held = {"id": f"{EVENT}:b1", "seatIds": seats, "areas": areas}
        return self._answer(201, self._held)

    def _answer(self, status: int, body: object) -> Answer:
        return Answer(status, msgspec.json.encode(body), 1.0)


def buyer_in(
    shop: FakeShop, habits: Habits = PAYS, areas: tuple[str, ...] = ()
) -> tuple[Buyer, Tally]:
    tally = Tally()
    return Buyer(shop, Sale(EVENT, areas, habits), tally, Random(7)), tally


@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_pick_neighbours_in_a_full_row_sits_together(wanted: int) -> None:
    for number in range(50):
        picked = pick_neighbours(row_of(10), wanted, Random(number))
        numbers = [int(found.number) for found in picked]
        assert numbers == list(range(numbers[0], numbers[0] + wanted))


def test_pick_neighbours_never_spans_a_gap_or_two_rows() -> None:
    seats = [seat("A", "1", 1), seat("A", "1", 3), seat("A", "2", 4), seat("B", "2", 5)]
    for number in range(50):
        assert len(pick_neighbours(seats, 4, Random(number))) == 1


def test_pick_neighbours_prefers_a_run_that_is_long_enough() -> None:
    seats = [*row_of(2, "1"), *row_of(3, "2"), *row_of(1, "3")]
    for number in range(50):
        assert {found.row for found in pick_neighbours(seats, 3, Random(number))} == {"2"}


def test_pick_neighbours_takes_the_longest_run_when_none_is_long_enough() -> None:
    assert len(pick_neighbours([*row_of(2), seat("B", "1", 9)], 4, Random(1))) == 2


def test_pick_neighbours_of_nothing_is_nothing() -> None:
    assert pick_neighbours([], 2, Random(1)) == []


def test_pick_neighbours_takes_seats_without_numbers_alone() -> None:
    assert len(pick_neighbours([seat("Box", "1", "A"), seat("Box", "1", "B")], 2, Random(1))) == 1


def test_pick_neighbours_spreads_over_the_row() -> None:
    firsts = {pick_neighbours(row_of(20), 2, Random(n))[0].id for n in range(100)}
    assert len(firsts) > 10


def test_habits_beyond_the_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="together"):
        Habits(pay_share=0.8, release_share=0.3)


def test_buyer_who_pays_has_a_receipt() -> None:
    shop = FakeShop(row_of(6))
    buyer, tally = buyer_in(shop)
    assert buyer.try_to_buy()
    assert shop.names() == ["look", "hold", "confirm"]
    assert shop.thoughts == 1
    assert shop.requests[1].key
    held = shop.requests[1].body
    assert isinstance(held, dict)
    assert tally.receipts == [Receipt(f"{EVENT}:b1", tuple(held["seatIds"]), {})]


def test_buyer_never_uses_an_idempotency_key_twice() -> None:
    shop = FakeShop(row_of(6))
    buyer, _ = buyer_in(shop)
    for _ in range(100):
        buyer.try_to_buy()
    keys = [request.key for request in shop.requests if request.name == "hold"]
    assert len(set(keys)) == 100


def test_buyer_who_releases_gives_it_back() -> None:
    shop = FakeShop(row_of(6))
    buyer, tally = buyer_in(shop, RELEASES)
    assert buyer.try_to_buy()
    assert shop.names() == ["look", "hold", "release"]
    assert shop.requests[2].method == "DELETE"
    assert tally.summary(1).released_count == 1


def test_buyer_who_walks_away_says_nothing() -> None:
    shop = FakeShop(row_of(6))
    buyer, tally = buyer_in(shop, WALKS_AWAY)
    assert buyer.try_to_buy()
    assert shop.names() == ["look", "hold"]
    assert tally.abandoned_count == 1


def test_buyer_who_is_refused_looks_again() -> None:
    shop = FakeShop(row_of(6), on_hold=problem(409, "seat_taken"))
    buyer, tally = buyer_in(shop)
    assert buyer.try_to_buy()
    assert buyer.try_to_buy()
    assert shop.names() == ["look", "hold", "look", "hold"]
    assert tally.summary(1).refusals == {"seat_taken": 2}
    assert shop.customers == 1


def test_buyer_at_the_purchase_limit_makes_room_for_another() -> None:
    shop = FakeShop(row_of(6), on_hold=problem(409, "limit_reached"))
    buyer, _ = buyer_in(shop)
    buyer.try_to_buy()
    assert shop.customers == 2


def test_buyer_who_pays_too_late_has_no_receipt() -> None:
    shop = FakeShop(row_of(6))
    shop.on_confirm = problem(409, "refund_due")
    buyer, tally = buyer_in(shop)
    assert buyer.try_to_buy()
    assert tally.receipts == []
    assert tally.summary(1).refusals == {"refund_due": 1}


def test_buyer_with_nothing_left_tries_nothing() -> None:
    shop = FakeShop([])
    buyer, tally = buyer_in(shop)
    assert not buyer.try_to_buy()
    assert shop.names() == ["look"]
    assert tally.summary(1).attempt_count == 0


def test_buyer_of_standing_places_has_them_on_the_receipt() -> None:
    shop = FakeShop([])
    buyer, tally = buyer_in(shop, areas=("floor",))
    while not buyer.try_to_buy():
        pass
    receipt = tally.receipts[0]
    assert receipt.seats == ()
    assert 1 <= receipt.areas["floor"] <= PAYS.group_max
    assert tally.summary(1).confirmed_places == receipt.areas["floor"]
