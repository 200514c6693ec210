"""The layout builder, which every format feeds, and what is read off a layout."""

import gzip
import math
from collections.abc import Sequence

import msgspec
import pytest

from engine.errors import EngineError
from engine.models import Layout, LayoutArea, LayoutCategory, LayoutSeat
from engine.plans import layout as layouts
from engine.plans.builder import (
    AREAS_MAX,
    CATEGORIES_MAX,
    PLACES_MAX,
    PRICE_MINOR_MAX,
    LayoutBuilder,
)
from engine.plans.problems import LISTED_MAX, PlanError

STALLS = LayoutCategory(id="A", name="Stalls", price_minor=4900)
STANDING = LayoutCategory(id="S", name="Standing", price_minor=2500)


def seat(seat_id: str, category: str = "A", **more: object) -> LayoutSeat:
    return msgspec.convert(
        {"id": seat_id, "number": seat_id[-1], "category": category, **more}, LayoutSeat
    )


def builder_with(*seats: LayoutSeat) -> LayoutBuilder:
    builder = LayoutBuilder()
    builder.add_category("categories[0]", STALLS)
    builder.add_section("sections[0]", "P", "Parquet")
    if seats:
        add_row(builder, "1", seats)
    return builder


def add_row(builder: LayoutBuilder, row: str, seats: Sequence[LayoutSeat]) -> None:
    builder.add_row(f"row {row}", "P", row, [(f"seat {n}", s) for n, s in enumerate(seats)])


def problems_of(builder: LayoutBuilder) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        builder.build("EUR")
    return caught.value.problems


def small_layout() -> Layout:
    builder = builder_with(seat("P-1-1"), seat("P-1-2", blocked=True))
    builder.add_category("categories[1]", STANDING)
    add_row(builder, "2", [seat("P-2-1", x=1.5, y=-2.0, accessible=True)])
    builder.add_area("areas[0]", LayoutArea(id="floor", name="Floor", category="S", capacity=30))
    return builder.build("EUR")


def test_build_gives_each_row_its_index_behind_a_separator() -> None:
    assert [(row.id, row.index) for row in layouts.rows_of(small_layout())] == [("1", 0), ("2", 3)]


def test_map_shows_blocked_seats_and_the_ends_of_rows() -> None:
    assert layouts.values_of(small_layout()).map == "ab/a"


def test_map_an_empty_layout_is_empty() -> None:
    assert layouts.values_of(LayoutBuilder().build("EUR", allow_empty=True)).map == ""


def test_map_places_rows_by_their_index_not_their_order() -> None:
    layout = small_layout()
    section = layout.sections[0]
    turned = msgspec.structs.replace(section, rows=tuple(reversed(section.rows)))
    assert layouts.values_of(msgspec.structs.replace(layout, sections=(turned,))).map == "ab/a"


def test_seats_have_index_category_number_and_letter() -> None:
    assert list(layouts.values_of(small_layout()).seats.items()) == [
        ("P-1-1", "0,0,a"),
        ("P-1-2", "1,0,b"),
        ("P-2-1", "3,0,a"),
    ]


def test_areas_have_capacity_and_category_number() -> None:
    assert list(layouts.values_of(small_layout()).areas.items()) == [("floor", "30,1,0,0")]


def test_capacity_counts_blocked_seats_and_standing_places() -> None:
    assert layouts.capacity(small_layout()) == 33


def test_decode_of_encoded_gives_the_same_layout() -> None:
    layout = small_layout()
    assert layouts.decode(layouts.encode(layout)) == layout


def test_encode_twice_gives_the_same_bytes() -> None:
    assert layouts.encode(small_layout()) == layouts.encode(small_layout())


def test_encoded_layout_leaves_out_what_a_seat_has_not() -> None:
    content = msgspec.json.decode(gzip.decompress(layouts.encode(small_layout())))
    assert content["sections"][0]["rows"][0]["seats"][0] == {
        "id": "P-1-1",
        "number": "1",
        "category": "A",
    }
    assert content["categories"][0] == {"id": "A", "name": "Stalls", "priceMinor": 4900}


def test_version_follows_the_content() -> None:
    one, same = builder_with(seat("P-1-1")), builder_with(seat("P-1-1"))
    other = builder_with(seat("P-1-1", accessible=True))
    version = one.build("EUR").version
    assert len(version) == 16
    assert version == same.build("EUR").version
    assert version != other.build("EUR").version


def test_build_of_nothing_is_refused_unless_allowed() -> None:
    assert problems_of(LayoutBuilder()) == ("the plan has no seats and no standing areas",)
    assert LayoutBuilder().build("EUR", allow_empty=True).sections == ()


def test_build_reports_all_problems_with_their_places() -> None:
    builder = builder_with(seat("P-1-1"), seat("P-1-1"), seat("P-1-2", category="B"))
    builder.add_area("areas[0]", LayoutArea(id="floor", name="Floor", category="A", capacity=0))
    assert problems_of(builder) == (
        "seat 1: the seat id 'P-1-1' is used before, at seat 0",
        "seat 2: there is no category 'B'",
        "areas[0]: the capacity must be at least 1",
    )


def test_build_reports_an_unknown_category_once() -> None:
    builder = builder_with(*(seat(f"P-1-{n}", category="B") for n in range(3)))
    assert problems_of(builder) == ("seat 0: there is no category 'B'",)


@pytest.mark.parametrize("bad", ["a b", "a:b", "a{b}", "a\n", "é", "x" * 81])
def test_build_refuses_an_id_that_is_not_a_place(bad: str) -> None:
    builder = LayoutBuilder()
    builder.add_category("c", LayoutCategory(id=bad, name="Stalls", price_minor=1))
    builder.add_section("s", bad, "Parquet")
    builder.add_row("r", bad, "1", [("seat", LayoutSeat(id=bad, number="1", category=bad))])
    builder.add_area("a", LayoutArea(id=bad, name="Floor", category=bad, capacity=1))
    problems = problems_of(builder)
    assert [problem.split(" id ")[0] for problem in problems if "letters" in problem] == [
        "c: the category",
        "s: the section",
        "seat: the seat",
        "a: the area",
    ]


@pytest.mark.parametrize("bad", ["", "a\nb", "\x00", "x" * 101, " ", "\u200b", "\u3164"])
def test_build_refuses_a_name_that_cannot_be_printed(bad: str) -> None:
    builder = LayoutBuilder()
    builder.add_category("c", LayoutCategory(id="A", name=bad, price_minor=1))
    builder.add_section("s", "P", bad)
    builder.add_row("r", "P", bad, [("seat", LayoutSeat(id="x", number=bad, category="A"))])
    builder.add_area("a", LayoutArea(id="floor", name=bad, category="A", capacity=1))
    assert [problem.split(" ")[0] for problem in problems_of(builder)] == [
        "c:",
        "s:",
        "r:",
        "seat:",
        "a:",
    ]


def test_build_refuses_sections_areas_and_categories_given_twice() -> None:
    builder = builder_with(seat("P-1-1"))
    builder.add_category("categories[1]", STALLS)
    builder.add_section("sections[1]", "P", "Parquet")
    for number in range(2):
        area = LayoutArea(id="floor", name="Floor", category="A", capacity=1)
        builder.add_area(f"areas[{number}]", area)
    assert problems_of(builder) == (
        "categories[1]: the category id 'A' is used before, at categories[0]",
        "sections[1]: the section id 'P' is used before, at sections[0]",
        "areas[1]: the area id 'floor' is used before, at areas[0]",
    )


def test_build_lets_a_row_be_two_runs_of_seats() -> None:
    builder = builder_with(seat("P-1-1"))
    add_row(builder, "1", [seat("P-1-2")])
    assert layouts.values_of(builder.build("EUR")).map == "a/a"


@pytest.mark.parametrize("price", [-1, PRICE_MINOR_MAX + 1])
def test_build_refuses_a_price_out_of_range(price: int) -> None:
    builder = builder_with(seat("P-1-1"))
    builder.add_category("c", LayoutCategory(id="B", name="B", price_minor=price))
    assert problems_of(builder) == ("c: the price must be 0 to 1000000000000 minor units",)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e7])
def test_build_refuses_a_coordinate_that_is_nowhere(bad: float) -> None:
    nowhere = LayoutSeat(id="P-1-1", number="1", category="A", x=0.0, y=bad)
    assert problems_of(builder_with(nowhere)) == ("seat 0: x and y must be within ±1000000",)


def test_build_refuses_half_a_position() -> None:
    half = LayoutSeat(id="P-1-1", number="1", category="A", x=0.0)
    assert problems_of(builder_with(half)) == ("seat 0: x and y go together, one is missing",)


def test_add_area_beyond_the_places_an_event_may_have_is_refused() -> None:
    builder = builder_with(seat("P-1-1"))
    area = LayoutArea(id="floor", name="Floor", category="A", capacity=PLACES_MAX)
    with pytest.raises(PlanError, match="more than 1000000 places"):
        builder.add_area("areas[0]", area)


def add_areas(builder: LayoutBuilder, numbers: range) -> None:
    for number in numbers:
        area = LayoutArea(id=f"floor{number}", name=f"Floor {number}", category="A", capacity=1)
        builder.add_area(f"areas[{number}]", area)


def add_categories(builder: LayoutBuilder, numbers: range) -> None:
    for number in numbers:
        category = LayoutCategory(id=f"c{number}", name="Floor", price_minor=1)
        builder.add_category(f"categories[{number}]", category)


def test_add_area_beyond_the_areas_an_event_may_have_is_refused_at_once() -> None:
    builder = builder_with()
    add_areas(builder, range(AREAS_MAX))
    most = builder.build("EUR")
    assert len(most.areas) == AREAS_MAX
    for full in (builder, LayoutBuilder(most)):
        with pytest.raises(PlanError) as caught:
            add_areas(full, range(AREAS_MAX, AREAS_MAX + 1))
        assert caught.value.problems == ("more than 1000 areas",)


def test_add_category_beyond_the_categories_an_event_may_have_is_refused_at_once() -> None:
    builder = builder_with(seat("P-1-1"))  # it has one category
    add_categories(builder, range(CATEGORIES_MAX - 1))
    most = builder.build("EUR")
    assert len(most.categories) == CATEGORIES_MAX
    for full in (builder, LayoutBuilder(most)):
        with pytest.raises(PlanError) as caught:
            add_categories(full, range(CATEGORIES_MAX, CATEGORIES_MAX + 1))
        assert caught.value.problems == ("more than 1000 categories",)


def test_add_category_the_full_base_has_is_no_new_one() -> None:
    builder = builder_with(seat("P-1-1"))
    add_categories(builder, range(CATEGORIES_MAX - 1))
    more = LayoutBuilder(builder.build("EUR"))
    more.add_category("categories[0]", STALLS)
    assert more.problems == []


def test_plan_error_lists_so_many_problems_and_counts_the_rest() -> None:
    error = PlanError([f"line {n}: bad" for n in range(LISTED_MAX + 50)])
    assert isinstance(error, EngineError)
    assert error.code == "plan_invalid"
    assert len(error.problems) == LISTED_MAX + 1
    assert error.problems[-1] == "and 50 more problems"
    assert str(error).startswith("the plan is not valid:\n  line 0: bad\n  line 1: bad\n")


def test_plan_error_with_one_problem_is_one_line() -> None:
    assert str(PlanError(["line 3: bad"])) == "the plan is not valid: line 3: bad"
