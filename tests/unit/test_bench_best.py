"""The houses of `bench best`: what is taken before a search, and what must be left."""

from collections import Counter
from random import Random

import pytest

from bench.rig.taken_seats import HOUSES, PARTY_SHARES, general_seats, party_size
from bench.war.parties import count_single_seats
from engine.models import Layout
from engine.plans.venues import make_venue

HALL = make_venue("hall").layout
GENERAL = [seat.id for _, _, seat in general_seats(HALL)]


def letters(layout: Layout, taken: list[str]) -> str:
    """The map when these are taken and every wheelchair place too."""
    found, sold = {}, set(taken)
    for row, place, seat in general_seats(layout):
        found[row.index + place] = "s" if seat.id in sold else "a"
    return "".join(found.get(index, "/") for index in range(max(found) + 1))


@pytest.mark.parametrize("name", HOUSES)
def test_house_takes_each_seat_once_and_none_that_not_everybody_gets(name: str) -> None:
    taken = HOUSES[name](HALL)
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(GENERAL)
    assert taken == HOUSES[name](HALL)


@pytest.mark.parametrize("percent", [50, 95, 99])
@pytest.mark.parametrize("name", ["best-first", "scattered"])
def test_house_is_sold_to_its_share(name: str, percent: int) -> None:
    share = len(HOUSES[f"{name}-{percent}"](HALL)) / len(GENERAL)
    assert share == pytest.approx(percent / 100, abs=0.005)


def test_best_first_takes_the_front_of_every_category() -> None:
    taken = set(HOUSES["best-first-50"](HALL))
    premium = [seat.id for _, _, seat in general_seats(HALL) if seat.category == "premium"]
    front = [seat for seat in premium if seat.startswith("SC-A-")]
    assert set(front) <= taken
    by_category = Counter(s.category for _, _, s in general_seats(HALL) if s.id in taken)
    for category, count in Counter(s.category for _, _, s in general_seats(HALL)).items():
        assert by_category[category] == count // 2


def test_checkerboard_has_no_two_free_seats_side_by_side_and_runs_of_two_no_three() -> None:
    checkerboard = letters(HALL, HOUSES["checkerboard"](HALL))
    assert "aa" not in checkerboard
    assert count_single_seats(HALL, checkerboard) == checkerboard.count("a")
    runs = letters(HALL, HOUSES["runs-of-2"](HALL))
    assert "aa" in runs
    assert "aaa" not in runs


def test_parties_are_as_often_as_their_shares_say() -> None:
    chance = Random(1)
    sizes = Counter(party_size(chance) for _ in range(20_000))
    for size, share in PARTY_SHARES.items():
        assert sizes[size] / 20_000 == pytest.approx(share / sum(PARTY_SHARES.values()), abs=0.02)
