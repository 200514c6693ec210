"""How good seats are: the order of the rows in the map, and what may not contradict it."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.models import Layout, LayoutRow, QualityBy
from engine.plans import Plan, PlanError, PlanOptions, add_sections, parse_event
from engine.plans import layout as layouts
from engine.plans.event_json import parse_event_json
from engine.plans.quality import (
    PLAIN,
    QUALITY_MAX,
    Focus,
    best_rows,
    kind_of,
    qualities,
    quality_by,
    search_keys,
)

Json = dict[str, Any]


def row(name: str, *seats: Json | None, **more: object) -> Json:
    """A row of seats 1, 2, …, each with what it has beside its number."""
    numbered = [{"number": str(n), **(seat or {})} for n, seat in enumerate(seats, 1)]
    return {"id": name, "seats": numbered, **more}


def at(x: float, y: float, **more: object) -> Json:
    return {"x": x, "y": y, **more}


def event(*rows: Json, **more: object) -> Json:
    """An event of one section `P`, its rows in category A unless they say B."""
    categories = [{"id": c, "name": c, "priceMinor": 100} for c in "AB"]
    section = {"id": "P", "name": "Parquet", "category": "A", "rows": list(rows)}
    return {"name": "Gala", "categories": categories, "sections": [section], **more}


def parse(plan: Json, **options: Any) -> Plan:
    return parse_event_json(json.dumps(plan).encode(), PlanOptions(**options))


def problems_of(plan: Json, **options: Any) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        parse(plan, **options)
    return caught.value.problems


def names(layout: Layout) -> list[str]:
    """The rows in the order of the map."""
    rows = sorted(layouts.rows_of(layout), key=lambda each: each.index)
    return [each.id for each in rows]


def test_map_has_the_rows_by_category_then_the_best_first() -> None:
    plan = event(
        row("far", at(0, 90), at(10, 90)),
        row("other", at(0, 1), category="B"),
        row("mixed", at(0, 0, category="A"), at(10, 0, category="B")),
        row("near", at(0, 10), at(10, 10)),
        focus=at(0, 0),
    )
    layout = parse(plan).layout
    assert names(layout) == ["near", "far", "other", "mixed"]
    assert [each.row.id for each in best_rows(layout)] == ["near", "far", "other", "mixed"]
    assert [each.id for each in layout.sections[0].rows] == ["far", "other", "mixed", "near"]


def test_quality_is_the_distance_to_the_focal_point_and_leaves_room_for_farther_seats() -> None:
    layout = parse(event(row("1", at(0, 0), at(3, 4), at(0, 10)), focus=at(0, 0))).layout
    near, middle, far = qualities(quality_by(layout), layout.sections[0].rows[0])
    assert near == 0
    assert far == QUALITY_MAX // 2
    assert middle == pytest.approx(far / 2, abs=1)


def test_plan_without_a_focal_point_takes_the_middle_of_the_first_row_with_all_its_runs() -> None:
    right = row("1", at(30, 5, number="3"), at(40, 5, number="4"))
    plan = event(row("1", at(0, 5), at(10, 5)), right, row("2", at(0, 50)))
    quality = quality_by(parse(plan).layout)
    assert (quality.by, quality.x, quality.y) == (QualityBy.FOCUS, 20, 5)


def test_option_focus_replaces_that_of_the_plan() -> None:
    plan = event(row("1", at(0, 0)), row("2", at(0, 50)), focus=at(0, 0))
    layout = parse(plan, focus=Focus(0, 60)).layout
    assert (quality_by(layout).y, names(layout)) == (60, ["2", "1"])


def test_plan_without_coordinates_has_its_rows_in_their_order() -> None:
    layout = parse(event(row("b", None), row("x", None, category="B"), row("a", None))).layout
    assert quality_by(layout).by is QualityBy.ROW
    assert names(layout) == ["b", "a", "x"]
    best = [each.best for each in best_rows(layout)]
    assert best[0] < best[1] < best[2]


def test_ranks_of_rows_and_seats_make_the_order() -> None:
    plan = event(
        row("bad", None, None, rank=9),
        row("good", {"rank": 7}, {"rank": 1}),
        row("bad", {"number": "3"}, rank=9),
        focus=at(0, 0),
    )
    layout = parse(plan).layout
    assert quality_by(layout).by is QualityBy.RANK
    assert names(layout) == ["good", "bad", "bad"]
    good, bad = (qualities(quality_by(layout), layout.sections[0].rows[at]) for at in (1, 0))
    assert good[1] < good[0] < bad[0] == bad[1]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (
            [row("1", {"rank": 1}, {"rank": 2}), row("2", {"rank": 3}, {"rank": 2})],
            "sections[0].rows[1].seats[1]: the rank 2 is used before, "
            "at sections[0].rows[0].seats[1]",
        ),
        (
            [row("1", None, rank=1), row("2", None, None, rank=1)],
            "sections[0].rows[1]: the rank 1 is used before, at sections[0].rows[0]",
        ),
        (
            [row("1", {"rank": 1}, None), row("2", None)],
            "sections[0].rows[0].seats[1]: there is no rank, and other seats have one (2)",
        ),
    ],
)
def test_plan_whose_ranks_repeat_or_miss_seats_is_refused_with_the_place(
    rows: list[Json], problem: str
) -> None:
    assert problems_of(event(*rows)) == (problem,)


def test_focal_point_with_seats_that_have_no_coordinates_is_refused() -> None:
    plan = event(row("1", at(0, 0), None), row("2", None), focus=at(0, 0))
    assert problems_of(plan) == (
        "sections[0].rows[0].seats[1]: there are no x and y, but focus needs them (2)",
    )
    assert problems_of(plan, focus=Focus(1, 1))[0].endswith("but the option focus needs them (2)")


@pytest.mark.parametrize("x", [float("nan"), float("inf"), 1e7])
def test_option_focus_out_of_range_is_refused(x: float) -> None:
    assert problems_of(event(row("1", at(0, 0))), focus=Focus(x, 0)) == (
        "the option focus: x and y must be within ±1000000",
    )


def test_option_focus_for_seats_with_ranks_is_refused() -> None:
    assert problems_of(event(row("1", None, rank=1)), focus=Focus(0, 0)) == (
        "the option focus: the seats have ranks, which come first",
    )


def test_companion_of_another_seat_than_a_wheelchair_place_is_refused() -> None:
    plan = event(row("1", {"companionOf": "P-1-2"}, None))
    assert problems_of(plan) == ("seat 'P-1-1': companionOf 'P-1-2' is no wheelchair place",)
    own = event(row("1", {"companionOf": "P-1-2", "accessible": True}, {"accessible": True}))
    assert problems_of(own) == ("seat 'P-1-1': a wheelchair place is not a companion's seat",)


def test_records_tell_the_kind_of_each_seat() -> None:
    plan = event(
        row("1", {"accessible": True}, {"companionOf": "P-1-1"}, {"restrictedView": True}, None)
    )
    layout = parse(plan).layout
    assert "".join(map(kind_of, layout.sections[0].rows[0].seats)) == "wcr-"
    record = search_keys(layout).rows["0"]
    assert record.startswith(b"4,0,0,0,0*\n")
    assert record.endswith(b"wcr-P-1-1 P-1-2 P-1-3 P-1-4")
    assert search_keys(layout).order["accessible"] == "0"


def test_rows_without_a_plain_seat_are_stretches_of_their_own() -> None:
    plan = event(row("1", None), row("2", {"accessible": True}), row("3", {"restrictedView": True}))
    layout = parse(plan).layout
    assert search_keys(layout).order["category:A"] == "0 0-0 2-4*"


def more(*rows: Json) -> bytes:
    return json.dumps({"sections": [{"id": "P", "category": "A", "rows": list(rows)}]}).encode()


def test_added_seats_keep_the_indexes_and_the_quality_of_the_event() -> None:
    known = parse(event(row("1", at(0, 20)), row("2", at(0, 10)), focus=at(0, 0))).layout
    grown = add_sections(known, more(row("4", at(0, 5)), row("3", at(0, 1))))
    assert grown.quality == known.quality
    assert names(grown) == ["2", "1", "3", "4"]
    assert layouts.values_of(known).seats.items() < layouts.values_of(grown).seats.items()
    assert [each.row.id for each in best_rows(grown)] == ["3", "4", "2", "1"]
    assert search_keys(grown).order["category:A"] == "0 0-2 4-6"
    assert search_keys(known).rows.items() < search_keys(grown).rows.items()


def test_seats_added_far_away_or_without_a_place_are_the_worst() -> None:
    known = parse(event(row("1", at(0, 10)), focus=at(0, 0))).layout
    grown = add_sections(known, more(row("2", at(0, 1000)), row("3", None)))
    assert [each.best for each in best_rows(grown)][1:] == [QUALITY_MAX, QUALITY_MAX]


def test_ranks_of_added_seats_fit_those_of_the_event() -> None:
    ranked = parse(event(row("1", None, rank=3))).layout
    grown = add_sections(ranked, more(row("1", {"rank": 3, "number": "9"}), row("2", None, rank=1)))
    assert [each.row.id for each in best_rows(grown)] == ["2", "1", "1"]
    with pytest.raises(PlanError, match=r"rows\[0\]: the rank 3 is used before, in the event"):
        add_sections(ranked, more(row("2", None, rank=3)))
    plain = parse(event(row("1", None))).layout
    with pytest.raises(PlanError, match=r"rows\[0\]: the seats of the event have no ranks"):
        add_sections(plain, more(row("2", None, rank=3)))


def test_event_without_seats_keeps_its_focal_point_for_those_that_are_added() -> None:
    empty = parse_event(json.dumps({"name": "Gala", "focus": at(7, 9)}).encode()).layout
    category = {"id": "A", "name": "A", "priceMinor": 1}
    section = {"id": "P", "category": "A", "rows": [row("1", at(0, 0)), row("2", at(7, 9))]}
    body = {"categories": [category], "sections": [section]}
    grown = add_sections(empty, json.dumps(body).encode())
    assert (quality_by(grown).x, quality_by(grown).y, names(grown)) == (7, 9, ["2", "1"])
    section["rows"] = [row("1", None)]
    with pytest.raises(PlanError, match="the focal point of the event needs them"):
        add_sections(empty, json.dumps(body).encode())


def test_seats_added_to_an_event_of_an_older_release_are_behind_its_rows() -> None:
    known = parse(event(row("1", at(0, 50)), row("2", at(0, 90)))).layout
    old = layouts.with_version(Layout(**{
        name: getattr(known, name) for name in known.__struct_fields__ if name != "quality"
    }))  # fmt: skip
    grown = add_sections(old, more(row("3", at(0, 1))))
    assert quality_by(grown).by is QualityBy.ROW
    assert search_keys(old).rows.items() < search_keys(grown).rows.items()


@st.composite
def plans(draw: st.DrawFn) -> Json:
    """Rows of one or two categories, with ranks, with coordinates, with some or with none."""
    placed = draw(st.sampled_from(["all", "some", "none"]))
    ranked = draw(st.booleans())
    rows = []
    for number in range(draw(st.integers(1, 12))):
        seats: list[Json] = []
        for _ in range(draw(st.integers(1, 5))):
            seat: Json = {"category": draw(st.sampled_from("AB"))} if draw(st.booleans()) else {}
            seat |= draw(st.sampled_from([{}, {}, {"accessible": True}, {"restrictedView": True}]))
            if placed == "all" or (placed == "some" and draw(st.booleans())):
                seat |= at(draw(st.integers(-50, 50)), draw(st.integers(-50, 50)))
            seats.append(seat)
        rank = {"rank": draw(st.integers(0, 99)) * 100 + number} if ranked else {}
        rows.append(row(str(number), *seats, category=draw(st.sampled_from("AB")), **rank))
    return event(*rows)


def check_order(layout: Layout) -> None:
    """The rows tile the map, and the stretches of each category have its rows, none better."""
    rows = sorted(layouts.rows_of(layout), key=lambda each: each.index)
    assert rows[0].index == 0
    for one, other in pairwise(rows):
        assert other.index == one.index + len(one.seats) + 1
    by_index = {each.index: each for each in rows}
    keys = search_keys(layout)
    assert set(keys.rows) == {str(index) for index in by_index}
    for category in layout.categories:
        _, *stretches = keys.order[f"category:{category.id}"].split()
        found: list[LayoutRow] = []
        for stretch in stretches:
            start, end = map(int, stretch.removesuffix("*").split("-"))
            within = [each for each in rows if start <= each.index <= end]
            assert (within[0].index, end) == (start, within[-1].index + len(within[-1].seats) - 1)
            lowest = [min(qualities(quality_by(layout), each)) for each in within]
            assert lowest == sorted(lowest)
            plain = [any(kind_of(seat) == PLAIN for seat in each.seats) for each in within]
            assert set(plain) == {not stretch.endswith("*")}
            found += within
        of_category = [each for each in rows if category.id in {s.category for s in each.seats}]
        assert sorted(each.index for each in found) == [each.index for each in of_category]


@settings(deadline=None)
@given(plans())
def test_stretches_cover_each_seat_of_a_category_once_and_do_not_get_better(plan: Json) -> None:
    layout = parse(plan).layout
    assert {seat.id for each in layouts.rows_of(layout) for seat in each.seats} == {
        f"P-{each['id']}-{seat['number']}"
        for each in plan["sections"][0]["rows"]
        for seat in each["seats"]
    }
    check_order(layout)
    assert [each.row.index for each in best_rows(layout)] == sorted(
        each.index for each in layouts.rows_of(layout)
    )


@settings(deadline=None)
@given(plans(), plans())
def test_stretches_of_added_seats_do_so_too(plan: Json, added: Json) -> None:
    known = parse(plan).layout
    section = {**added["sections"][0], "id": "Q", "name": "Q"}
    for each in section["rows"]:
        each.pop("rank", None)
    grown = add_sections(known, json.dumps({"sections": [section]}).encode())
    check_order(grown)
    assert layouts.values_of(known).seats.items() < layouts.values_of(grown).seats.items()
