"""The check of the parties is itself checked: a party that does not sit as it was told is found."""

import pytest

from bench.war.parties import check, count_single_seats
from bench.war.tally import Party
from engine.plans.event_json import parse_event_json

SEATS = '"seats": [{"number": "1"}, {"number": "2"}, {"number": "3"}]'
LAYOUT = parse_event_json(
    f"""{{"name": "x", "categories": [{{"id": "c", "name": "C", "priceMinor": 1}}], "sections": [
    {{"id": "A", "category": "c", "rows": [
      {{"id": "1", {SEATS}}}, {{"id": "2", {SEATS}}}, {{"id": "3", {SEATS}}}]}},
    {{"id": "B", "category": "c", "rows": [
      {{"id": "1", {SEATS}}}, {{"id": "2", "seats": [{{"number": "1"}}]}}]}}],
    "areas": [{{"id": "floor", "name": "F", "category": "c", "capacity": 9}}]}}""".encode()
).layout


def party(together: str, *seats: str, quantity: int = 0, **areas: int) -> Party:
    count = quantity or len(seats) + sum(areas.values())
    return Party("gala:b1", count, tuple(f"gala:{seat}" for seat in seats), areas, together)


@pytest.mark.parametrize(
    "kept",
    [
        party("row", "A-1-2"),
        party("row", "A-1-3", "A-1-1", "A-1-2"),
        party("rows", "A-2-1", "A-1-2", "A-1-3"),
        party("rows", "A-1-1", "A-2-3"),
        party("section", "A-1-1", "A-3-3", "A-1-3"),
        party("apart", "A-1-1", "B-1-3"),
        party("standing", floor=4),
    ],
)
def test_check_of_parties_that_sit_as_they_were_told_finds_nothing(kept: Party) -> None:
    assert check([kept], LAYOUT) == []


@pytest.mark.parametrize(
    "broken",
    [
        party("row"),
        party("row", "A-1-1", "A-1-3"),
        party("row", "A-1-3", "A-2-1"),
        party("row", "A-3-3", "B-1-1"),
        party("row", "A-1-1", floor=1),
        party("row", floor=2),
        party("rows", "A-1-1", "A-1-2"),
        party("rows", "A-1-1", "A-3-1"),
        party("rows", "A-3-1", "B-1-1"),
        party("rows", "A-1-1", "A-1-2", "A-1-3", "A-2-1"),
        party("section", "A-1-1", "B-1-1"),
        party("standing", "A-1-1"),
        party("", "A-1-1"),
    ],
)
def test_check_finds_a_party_that_does_not_sit_as_it_was_told(broken: Party) -> None:
    assert [found.kind for found in check([broken], LAYOUT)] == ["not_together"]


def test_check_finds_a_party_that_got_fewer_places_or_one_of_them_twice() -> None:
    found = check([party("row", "A-1-1", quantity=2), party("apart", "A-1-1", "A-1-1")], LAYOUT)
    assert [(broken.kind, broken.detail) for broken in found] == [
        ("wrong_size", "asked for 2 places, got 1"),
        ("wrong_size", "asked for 2 places, got 1"),
    ]


@pytest.mark.parametrize(
    ("letters", "count"),
    [("aaa/aaa/aaa/aaa/a", 0), ("asa/sas/haa/bsh/a", 3), ("sss/sss/sss/ssa/s", 1)],
)
def test_single_seats_are_those_between_taken_ones(letters: str, count: int) -> None:
    assert count_single_seats(LAYOUT, letters) == count
