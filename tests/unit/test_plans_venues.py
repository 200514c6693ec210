"""The venues of our own making: the seats they promise, where people could sit."""

import math
from itertools import pairwise

import pytest

from engine.models import Layout, LayoutSeat
from engine.plans import Plan, PlanError, PlanOptions, read_plan
from engine.plans import layout as layouts
from engine.plans.quality import best_rows


@pytest.fixture(scope="module")
def hall() -> Plan:
    return read_plan("venue:hall")


@pytest.fixture(scope="module")
def stadium() -> Plan:
    return read_plan("venue:stadium")


def seats_of(layout: Layout) -> list[LayoutSeat]:
    return [seat for row in layouts.rows_of(layout) for seat in row.seats]


def position(seat: LayoutSeat) -> tuple[float, float]:
    assert isinstance(seat.x, float)
    assert isinstance(seat.y, float)
    return seat.x, seat.y


def closest_cm(layout: Layout) -> float:
    """The least distance of two seats, found by cells of a metre."""
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    least = math.inf
    for place in map(position, seats_of(layout)):
        column, line = int(place[0] // 100), int(place[1] // 100)
        around = [(column + i, line + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        others = (other for cell in around for other in cells.get(cell, ()))
        least = min(least, min((math.dist(place, other) for other in others), default=math.inf))
        cells.setdefault((column, line), []).append(place)
    return least


def test_hall_has_the_documented_seats(hall: Plan) -> None:
    assert len(seats_of(hall.layout)) == layouts.capacity(hall.layout) == 2063
    assert sum(seat.accessible for seat in seats_of(hall.layout)) == 27
    assert hall.terms.name == "Concert hall"
    names = " ".join(section.name for section in hall.layout.sections)
    assert all(part in names for part in ("Stalls", "First balcony", "Second balcony", "Boxes"))


def test_stadium_has_the_documented_places(stadium: Plan) -> None:
    assert len(seats_of(stadium.layout)) == 50_000
    assert sum(seat.accessible for seat in seats_of(stadium.layout)) == 416
    assert sum(area.capacity for area in stadium.layout.areas) == 12_000
    assert layouts.capacity(stadium.layout) == 62_000


@pytest.mark.parametrize("venue", ["hall", "stadium"])
def test_venue_made_twice_is_the_same(venue: str, request: pytest.FixtureRequest) -> None:
    plan: Plan = request.getfixturevalue(venue)
    assert read_plan(f"venue:{venue}") == plan


@pytest.mark.parametrize("venue", ["hall", "stadium"])
def test_venue_has_no_two_seats_in_one_place(venue: str, request: pytest.FixtureRequest) -> None:
    plan: Plan = request.getfixturevalue(venue)
    assert closest_cm(plan.layout) >= 48
    assert all(min(position(seat)) >= 0 for seat in seats_of(plan.layout))


def test_hall_is_the_same_on_both_sides(hall: Plan) -> None:
    sections = {section.id: section for section in hall.layout.sections}
    for left, right in (("SL", "SR"), ("1L", "1R"), ("2L", "2R"), ("BL", "BR")):
        for rows in zip(sections[left].rows, sections[right].rows, strict=True):
            assert len(rows[0].seats) == len(rows[1].seats)


def test_hall_rows_grow_towards_the_back(hall: Plan) -> None:
    rows = next(section for section in hall.layout.sections if section.id == "SC").rows
    assert all(len(front.seats) <= len(back.seats) for front, back in pairwise(rows[:-1]))


def test_venue_takes_name_and_currency_from_the_options() -> None:
    plan = read_plan("venue:hall", PlanOptions(name="Gala", currency="CHF"))
    assert (plan.terms.name, plan.terms.currency, plan.layout.currency) == ("Gala", "CHF", "CHF")


def test_venue_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(PlanError, match="no venue 'arena', only hall, stadium"):
        read_plan("venue:arena")


def test_best_rows_of_the_venues_are_before_the_middle_of_what_all_look_at(
    hall: Plan, stadium: Plan
) -> None:
    best = [each for each in best_rows(hall.layout) if each.categories[0].id == "premium"]
    assert (best[0].section.id, best[0].row.id) == ("SC", "A")
    middle = best[0].row.seats[best[0].qualities.index(best[0].best)]
    assert position(middle)[0] == pytest.approx(3000, abs=56)
    best = best_rows(stadium.layout)
    assert {each.section.name for each in best[:4]} == {
        f"Lower tier {number}" for number in (4, 5, 24, 25)
    }
