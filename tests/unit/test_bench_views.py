"""What buyers see, and which seats they take from it."""

from random import Random

import msgspec
import pytest

from bench.war.tally import BuyerAnswer
from bench.war.views import (
    BuyerRequest,
    BuyerSale,
    FreeSeat,
    ListPage,
    MapPage,
    find_neighbours,
    house_of,
    pick_neighbours,
)
from engine.plans.venues import make_venue

HALL = make_venue("hall").layout
HOUSE = house_of(HALL, "gala")
FREE = "".join("a" if seat else "/" for seat in HOUSE.seat_at)


def seat(section: str, row: str, number: int | str) -> FreeSeat:
    return FreeSeat(f"gala:{section}-{row}-{number}", section, row, str(number))


def row_of(count: int, row: str = "1") -> list[FreeSeat]:
    return [seat("A", row, number) for number in range(1, count + 1)]


class Site:
    """Answers as the API does, and remembers what it was asked."""

    def __init__(self, letters: str = FREE) -> None:
        self.letters = letters
        self.areas = [{"areaId": "floor", "available": 3}]
        self.down = False
        self.asked: list[BuyerRequest] = []

    def send(self, request: BuyerRequest) -> BuyerAnswer:
        self.asked.append(request)
        if self.down:
            return BuyerAnswer(503, b"{}", 1.0)
        if request.name == "layout":
            return BuyerAnswer(200, b"", 1.0)
        tag = f'"{hash(self.letters)}"'
        if request.tag == tag:
            return BuyerAnswer(304, b"", 1.0)
        body = msgspec.json.encode({"map": self.letters, "areas": self.areas})
        return BuyerAnswer(200, body, 1.0, tag)

    def page(self, number: int = 0) -> MapPage:
        sale = BuyerSale(event_id="gala", house=HOUSE, seconds=10)
        return MapPage(sale, self.send, Random(number))


def test_house_has_every_seat_at_its_place_in_the_map() -> None:
    assert len([seat for seat in HOUSE.seat_at if seat]) == 2063
    row = HALL.sections[0].rows[0]
    assert HOUSE.seat_at[row.index] == f"gala:{row.seats[0].id}"
    assert HOUSE.seat_at[row.index + len(row.seats)] == ""


def test_map_page_loads_the_layout_once_and_the_map_by_its_tag() -> None:
    site = Site()
    page = site.page()
    page.refresh()
    page.refresh()
    site.letters = "b" + FREE[1:]
    page.refresh()
    assert [request.name for request in site.asked] == ["layout", "look", "look", "look"]
    assert [bool(request.tag) for request in site.asked] == [False, False, True, True]
    assert "version=" in site.asked[0].path


def test_map_page_that_is_not_answered_shows_what_it_showed() -> None:
    site = Site()
    page = site.page()
    page.refresh()
    site.down = True
    page.refresh()
    assert len(page.pick_seats(4, 4)) == 4


def test_map_page_never_loaded_shows_nothing() -> None:
    assert Site().page().pick_seats(2, 1) == []
    assert Site().page().pick_area(1) == ""


def test_map_pages_of_different_people_look_at_different_parts() -> None:
    site, firsts = Site(), set()
    for number in range(50):
        page = site.page(number)
        page.refresh()
        firsts.add(page.pick_seats(2, 2)[0])
    assert len(firsts) > 40


def test_map_page_stays_with_its_part_of_the_house_while_there_is_something() -> None:
    page = Site().page(3)
    page.refresh()
    picked = [HOUSE.seat_at.index(page.pick_seats(2, 2)[0]) for _ in range(50)]
    assert max(picked) - min(picked) < 250
    assert len(set(picked)) > 10


def test_map_page_of_a_house_with_few_seats_left_finds_them() -> None:
    index = HOUSE.seat_at.index("gala:BR-8-1")
    letters = "".join("/" if letter == "/" else "s" for letter in FREE)
    site = Site(letters[:index] + "aa" + letters[index + 2 :])
    for number in range(20):
        page = site.page(number)
        page.refresh()
        assert page.pick_seats(4, 1) == ["gala:BR-8-1", "gala:BR-8-2"]
        assert page.pick_seats(4, 4) == []


def test_map_page_shows_areas_with_room() -> None:
    page = Site().page()
    page.refresh()
    assert page.pick_area(3) == "floor"
    assert page.pick_area(4) == ""


@pytest.mark.parametrize(
    ("letters", "wanted", "least", "start", "expected"),
    [
        ("aaaa/aaaa", 2, 1, 0, (0, 2)),
        ("aaaa/aaaa", 2, 1, 4, (5, 2)),
        ("aasa/aaaa", 2, 1, 8, (0, 2)),  # once around
        ("aasa/aass", 3, 1, 0, (0, 2)),  # none has three
        ("aasa/aass", 3, 3, 0, (0, 0)),
        ("aa/aa", 4, 3, 0, (0, 0)),  # rows never run into each other
        ("shb/s", 1, 1, 0, (0, 0)),
        ("", 2, 1, 7, (0, 0)),
        ("sa", 1, 1, 11, (1, 1)),  # the eye is beyond the end
    ],
)
def test_find_neighbours(
    letters: str, wanted: int, least: int, start: int, expected: tuple[int, int]
) -> None:
    assert find_neighbours(letters, wanted, least, start) == expected


def test_list_page_picks_from_what_is_listed() -> None:
    body = msgspec.json.encode({"data": row_of(6), "next": None})
    asked: list[BuyerRequest] = []

    def send(request: BuyerRequest) -> BuyerAnswer:
        asked.append(request)
        return BuyerAnswer(200 if len(asked) == 1 else 503, body, 1.0)

    page = ListPage(BuyerSale(event_id="gala", house=HOUSE, seconds=1), send, Random(1))
    page.refresh()
    assert "eventId=gala" in asked[0].path
    assert len(page.pick_seats(3, 3)) == 3
    assert page.pick_seats(7, 7) == []
    assert page.pick_area(1) == ""
    page.refresh()
    assert page.pick_seats(1, 1) == []


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
