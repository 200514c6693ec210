"""Scenarios as data, the roles of their casts with a test as the shop, and what bounds decide."""

from collections import Counter
from math import floor
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from bench.rig.taken_seats import PARTY_SHARES
from bench.war import scenarios
from bench.war.buyers import Buyer
from bench.war.scenarios import bounds
from bench.war.scenarios.best import FALLBACKS, Asking
from bench.war.scenarios.bounds import Bound, figures_of, parse
from bench.war.scenarios.hoarder import BOOKINGS_MAX
from bench.war.scenarios.refresher import Early
from bench.war.scenarios.scenario import EVERY_WAR, Role, Scenario, Stage
from bench.war.scenarios.spike import OPENS_AT_SHARE
from bench.war.scenarios.waves import HOLDS, WAVE_COUNT
from bench.war.tally import BuyerAnswer, Party, Receipt, Tally, spread_of
from bench.war.views import BuyerSale
from engine.events import event_of
from engine.ids import event_id
from engine.models import Event
from engine.plans import layout as layouts
from engine.plans.venues import VENUES, make_venue
from tests.support.factories import GALA
from tests.support.fake_shop import HOUSE, SALE, FakeShop, problem

NO_LAG = spread_of([])


def _event(places: int, hold_ttl_ms: int, held: int = 0) -> Event:
    numbers = dict.fromkeys((*Event.__struct_fields__, "held", "sold", "blocked"), "0")
    texts = {
        "name": "Gala",
        "currency": "EUR",
        "owner_id": "",
        "sales": "open",
        "late_payment": "confirm",
        "single_seats": "avoid",
    }
    counts = {"available": str(places - held), "held": str(held), "hold_ttl_ms": str(hold_ttl_ms)}
    return event_of(GALA, numbers | texts | counts)


def cast_of(
    name: str, shop: FakeShop, number: int = 0, sale: BuyerSale = SALE
) -> tuple[Buyer, Tally]:
    role, tally = scenarios.find(name).cast[number], Tally()
    return role.plays(shop, sale, role.habits, tally, Random(3)), tally


def holds_of(shop: FakeShop) -> list[dict[str, Any]]:
    return [request.body for request in shop.sent("hold") if isinstance(request.body, dict)]


def test_find_of_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(ValueError, match="no scenario 'calm', only rush, seed-burst"):
        scenarios.find("calm")


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_every_scenario_is_whole(name: str) -> None:
    scenario = scenarios.find(name)
    assert event_id(f"{name}-0123abcd")
    assert scenario.venue in VENUES
    assert scenario.says.endswith(".")
    assert set(EVERY_WAR) <= set(scenario.bounds)
    assert all(bound.figure in bounds.FIGURES for bound in scenario.bounds)


def test_seed_scenarios_have_its_stages_and_thresholds() -> None:
    burst, calm = scenarios.find("seed-burst"), scenarios.find("seed-calm")
    assert [(stage.seconds, stage.users) for stage in burst.stages[:3]] == [
        (30, 50),
        (60, 250),
        (180, 250),
    ]
    said = {str(bound) for bound in burst.bounds}
    assert {"p95_ms <= 500", "failed_share <= 0.01", "confirmed_count >= 101"} <= said
    assert calm.users == 100
    assert "success_share >= 0.7" in map(str, calm.bounds)


@pytest.mark.parametrize(
    ("second", "users"), [(0, 1), (15, 25), (30, 50), (60, 150), (90, 250), (200, 250), (285, 125)]
)
def test_users_come_evenly(second: float, users: int) -> None:
    assert scenarios.find("seed-burst").users_at(second) == users


def test_users_at_the_end_is_still_one() -> None:
    burst = scenarios.find("seed-burst")
    assert burst.users_at(burst.seconds) == 1


def test_scaled_keeps_the_shape_and_shrinks_counts_alone() -> None:
    small = scenarios.find("seed-burst").scaled(users=25, seconds=30)
    assert small.users == 25
    assert small.seconds == pytest.approx(30)
    assert small.users_at(3) == 5
    said = [str(bound) for bound in small.bounds]
    assert said == [
        "lag_p99_ms <= 1000", "rejected_share <= 0.05", "failed_share <= 0.01", "p95_ms <= 500",
        "confirmed_count >= 1",
    ]  # fmt: skip


def test_scaled_up_asks_for_no_more_than_the_whole() -> None:
    large = scenarios.find("seed-burst").scaled(users=1000)
    assert large.users == 1000
    assert large.bounds == scenarios.find("seed-burst").bounds


def test_scaled_by_nothing_is_the_same() -> None:
    assert scenarios.find("waves").scaled() == scenarios.find("waves")


def test_single_buyer_takes_one_seat_off_the_list() -> None:
    shop = FakeShop()
    buyer, tally = cast_of("seed-burst", shop)
    assert buyer.try_to_buy()
    assert [request.path.split("?")[0] for request in shop.requests[:2]] == ["/api/v1/booking"] * 2
    [held] = shop.sent("hold")
    assert isinstance(held.body, dict)
    assert list(held.body) == ["seatId"]
    assert tally.summary(1).held_count == 1


def test_spike_waits_for_the_doors_and_takes_what_was_seen_before() -> None:
    shop = FakeShop()
    buyer, _ = cast_of("spike", shop)
    opens_at_s = SALE.seconds * OPENS_AT_SHARE
    while shop.now_s < opens_at_s:
        shop.now_s += buyer.visit()
    assert shop.now_s == pytest.approx(opens_at_s)
    looks = shop.names()
    assert set(looks) == {"look"}
    buyer.visit()
    assert shop.names()[len(looks)] == "hold"
    buyer.visit()
    assert shop.names().count("look") == len(looks) + 1


def test_spike_for_late_buyers_is_an_ordinary_sale() -> None:
    shop = FakeShop()
    shop.now_s = 19
    buyer, _ = cast_of("spike", shop)
    buyer.visit()
    assert shop.names()[:2] == ["look", "hold"]


def test_hoarder_holds_all_it_can_pays_nothing_and_comes_back_as_another() -> None:
    shop = FakeShop()
    buyer, tally = cast_of("hoarder", shop)
    buyer.visit()
    summary = tally.summary(1)
    assert summary.held_count == BOOKINGS_MAX
    assert summary.confirmed_count == 0
    assert (summary.released_count, summary.abandoned_count) == (4, 4)
    assert shop.customer == 2


def test_hoarder_at_its_limit_releases_as_the_same_customer() -> None:
    shop = FakeShop()
    buyer, _ = cast_of("hoarder", shop)
    shop.answers["hold"] = problem(409, "limit_reached")
    buyer.visit()
    assert set(shop.senders) == {1}
    assert shop.customer == 2


def test_hoarders_are_not_alone() -> None:
    cast = scenarios.find("hoarder").cast
    assert [role.plays is Buyer for role in cast] == [False, True, True]


def test_refreshers_only_look_and_one_in_ten_buys() -> None:
    shop = FakeShop()
    watcher, _ = cast_of("refresher", shop, 1)
    for _ in range(5):
        assert watcher.visit() <= 1.5
    assert shop.names() == ["look"] * 5
    buys = [issubclass(role.plays, Early) for role in scenarios.find("refresher").cast]
    assert sorted(buys) == [False] * 9 + [True]


def test_refreshers_buy_while_there_is_a_rush() -> None:
    shop = FakeShop()
    early, _ = cast_of("refresher", shop)
    early.visit()
    assert "hold" in shop.names()
    shop.now_s, shop.requests[:] = 11, []
    early.visit()
    assert shop.names() == ["look"]


def test_group_is_two_to_eight_beside_each_other() -> None:
    shop = FakeShop()
    buyer, _ = cast_of("group", shop)
    for _ in range(100):
        buyer.try_to_buy()
    bodies = [request.body for request in shop.sent("hold")]
    counts = {len(body["seatIds"]) for body in bodies if isinstance(body, dict)}
    assert counts == set(range(2, 9))
    shop.letters = "as" * 10
    assert not buyer.try_to_buy()


def test_best_is_parties_of_one_to_eight_and_most_look_at_no_map() -> None:
    cast = scenarios.find("best").cast
    assert [role.plays is Asking for role in cast] == [True, True, True, False]
    asking, picking = FakeShop(), FakeShop()
    buyer, tally = cast_of("best", asking)
    for _ in range(300):
        buyer.try_to_buy()
    assert "look" not in asking.names()
    wanted = [body["bestAvailable"] for body in holds_of(asking)]
    sizes = Counter(found["quantity"] for found in wanted)
    assert set(sizes) == set(PARTY_SHARES)
    assert sizes.most_common(1)[0][0] == 2
    assert [party.quantity for party in tally.parties] == [found["quantity"] for found in wanted]
    assert tally.summary(1).parties == {"row": 300}
    picker, tally = cast_of("best", picking, 3)
    for _ in range(300):
        picker.try_to_buy()
    assert {len(body["seatIds"]) for body in holds_of(picking)} == set(PARTY_SHARES)
    assert tally.parties == []


def test_best_party_that_does_not_fit_lets_itself_be_parted_more_and_more() -> None:
    shop = FakeShop()
    shop.holds = [problem(409, "no_seats_together")] * 4
    buyer, tally = cast_of(
        "best", shop, sale=replace(SALE, house=replace(HOUSE, categories=("c",)))
    )
    buyer.try_to_buy()
    assert tally.summary(1).held_count == 0
    buyer.try_to_buy()
    bodies = [body["bestAvailable"] for body in holds_of(shop)]
    assert [tuple(body["fallback"]) for body in bodies] == [*FALLBACKS, *FALLBACKS[:2]]
    assert {tuple(body.get("categoryIds", ())) for body in bodies} == {(), ("c",)}
    assert (len(tally.parties), tally.summary(1).refusals) == (1, {"no_seats_together": 4})


def test_waves_come_together() -> None:
    shop = FakeShop()
    shop.now_s = 0.5
    buyer, tally = cast_of("waves", shop)
    period_s = SALE.seconds / WAVE_COUNT
    assert buyer.arrive() == period_s - 0.5
    shop.now_s = period_s
    rest_s = buyer.visit()
    assert tally.summary(1).attempt_count == HOLDS
    assert shop.now_s + rest_s == pytest.approx(2 * period_s)


def tally_of(held: int, taken: int, broken: int = 0) -> Tally:
    tally = Tally()
    tally.add("look", BuyerAnswer(304, b"", 1.0))
    for number in range(held):
        tally.add("look", BuyerAnswer(200, b"", 1.0))
        tally.add("hold", BuyerAnswer(201, b"", 10.0, at_s=number / 2))
        tally.receipts.append(Receipt(f"gala:{number}", HOUSE.seat_at[:1], {}))
    tally.parties += [Party(f"gala:{n}", 1, (), {}, "row" if n else "rows") for n in range(held)]
    for _ in range(taken):
        tally.add("hold", problem(409, "seat_taken"))
    for number in range(broken):
        tally.add("hold", BuyerAnswer(503 if number % 2 else 0, b"x", 1.0))
    return tally


def test_figures_are_what_they_say() -> None:
    found = figures_of(tally_of(6, 2, 2).summary(4), spread_of([1, 5]), 7, users=10)
    assert found["held_share"] == 0.6
    assert found["success_share"] == 13 / 17
    assert found["failed_share"] == 2 / 17
    assert found["busiest_share"] == 0.6  # two in each second, and four at no time that is known
    assert found["row_share"] == 5 / 6
    assert found["requests_per_s"] == 17 / 4
    assert found["unchanged_share"] == 1 / 7
    assert found["hold_p95_ms"] == 10
    assert found["expired_count"] == 7
    assert found["lag_max_ms"] == 5
    assert found.keys() <= bounds.FIGURES.keys()


def test_rejections_are_failed_calls_with_a_share_of_their_own() -> None:
    tally = tally_of(6, 0, 2)
    for _ in range(3):
        tally.add("look", problem(503, "overloaded"))
    found = figures_of(tally.summary(4), NO_LAG, 0, users=10)
    assert found["rejected_share"] == 3 / 18
    assert found["failed_share"] == 5 / 18


def test_figures_of_nothing_are_zero() -> None:
    found = figures_of(Tally().summary(1), NO_LAG, 0, users=1)
    assert set(found.values()) == {0}


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("p95_ms<=500", Bound("p95_ms", most=500)),
        (" confirmed_count >= 101 ", Bound("confirmed_count", least=101)),
        ("held_share>=0.7", Bound("held_share", least=0.7)),
    ],
)
def test_parse_reads_bounds(text: str, bound: Bound) -> None:
    assert parse(text) == bound
    assert parse(str(bound)) == bound


@pytest.mark.parametrize("text", ["", "p95_ms<500", "p95_ms<=", "p95<=1", "p95_ms<=-1", "a<=b<=c"])
def test_parse_refuses_what_is_no_bound(text: str) -> None:
    with pytest.raises(ValueError, match=r"no bound|no figure"):
        parse(text)


@pytest.mark.parametrize(
    ("bound", "measured", "kept"),
    [
        (Bound("p95_ms", most=500), 500, True),
        (Bound("p95_ms", most=500), 500.1, False),
        (Bound("held_count", least=10), 10, True),
        (Bound("held_count", least=10), 9, False),
    ],
)
def test_check_decides(bound: Bound, measured: float, kept: bool) -> None:
    [checked] = bounds.check([bound], {bound.figure: measured})
    assert (checked.bound, checked.measured, checked.kept) == (str(bound), measured, kept)


def test_check_of_a_call_that_was_not_made() -> None:
    kept = bounds.check([Bound("release_p95_ms", most=5), Bound("held_count", least=1)], {})
    assert [checked.kept for checked in kept] == [True, False]


def test_held_to_adds_bounds() -> None:
    scenario = Scenario(name="x", says="x.", stages=(Stage(1, 1),), cast=(Role(),))
    further = Bound("held_count", least=5)
    assert scenario.held_to([further]).bounds == (*EVERY_WAR, further)


def test_thresholds_follow_what_the_given_event_can_sell() -> None:
    small = _event(places=100, held=20, hold_ttl_ms=8000)
    hall = layouts.capacity(make_venue("hall").layout)
    found = {bound.figure: bound for bound in scenarios.find("waves").scaled_to(small).bounds}
    places_share = 100 / hall
    assert found["expired_count"].least == floor(2000 * places_share / 2)
    assert found["p95_ms"] == Bound("p95_ms", most=1000)
    rush = scenarios.find("rush").scaled(500, 60).scaled_to(small)
    assert Bound("confirmed_count", least=floor(300 * places_share)) in rush.bounds
    calm = scenarios.find("seed-calm").scaled_to(small)
    assert all(bound.least < 0.002 for bound in calm.bounds if bound.least is not None)


def test_thresholds_of_a_larger_event_stay_and_those_of_a_sold_out_one_are_0() -> None:
    spike = scenarios.find("spike")
    assert spike.scaled_to(_event(places=50_000, hold_ttl_ms=4000)).bounds == spike.bounds
    sold_out = spike.scaled_to(_event(places=0, hold_ttl_ms=4000))
    assert Bound("confirmed_count", least=0) in sold_out.bounds
