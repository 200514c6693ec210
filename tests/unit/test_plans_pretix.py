"""pretix seating plans, with the flaws that real ones have."""

import json
from typing import Any

import msgspec
import pytest

from engine.models import LayoutSeat, Terms
from engine.plans import PlanError, PlanOptions, parse_event
from engine.plans import layout as layouts
from engine.plans.quality import Focus
from engine.plans.stage import is_stage

PRICED = PlanOptions(prices="Parkett vorne=5000,Balkon=3000")


def at(x: float, y: float) -> dict[str, float]:
    return {"x": x, "y": y}


def seats(row: str, count: int, category: str) -> list[dict[str, Any]]:
    """As editors write them: the guid is row and number, and says nothing of the zone."""
    return [
        {
            "seat_guid": f"{row}-{n}",
            "seat_number": f"{row}-{n}",
            "position": at(30 * n, 0),
            "category": category,
        }
        for n in range(1, count + 1)
    ]


def theatre(balcony_row: str = "3") -> dict[str, Any]:
    """Two zones; a balcony row named as one of the ground floor makes guids that clash."""
    return {
        "name": "Theatre",
        "categories": [{"name": "Parkett vorne", "color": "#7f4a91"}, {"name": "Balkon"}],
        "zones": [
            {
                "name": "Ground floor",
                "position": at(0, 0),
                "rows": [
                    {"row_number": r, "position": at(10, y), "seats": seats(r, 2, "Parkett vorne")}
                    for r, y in (("1", 85), ("2", 110))
                ],
                "areas": [{"text": {"text": "STAGE"}, "shape": "rectangle", "color": "#eee"}],
            },
            {
                "name": "Bälkon!",
                "position": at(0, 920),
                "rows": [
                    {
                        "row_number": balcony_row,
                        "position": at(10, 85.25),
                        "seats": seats(balcony_row, 2, "Balkon"),
                    }
                ],
            },
        ],
        "size": {"width": 1150, "height": 1150},
    }


def encoded(plan: object) -> bytes:
    return json.dumps(plan).encode()


def problems_of(plan: object, options: PlanOptions = PRICED) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        parse_event(encoded(plan), options)
    return caught.value.problems


def first_seat(plan: dict[str, Any]) -> dict[str, Any]:
    seat: dict[str, Any] = plan["zones"][0]["rows"][0]["seats"][0]
    return seat


def test_parse_pretix_makes_sections_of_zones_and_keeps_guids() -> None:
    layout = parse_event(encoded(theatre()), PRICED).layout
    assert [(s.id, s.name) for s in layout.sections] == [
        ("Ground_floor", "Ground floor"),
        ("Balkon_~skbk9v", "Bälkon!"),
    ]
    ids = list(layouts.values_of(layout).seats)
    assert ids == ["1-1", "1-2", "2-1", "2-2", "3-1", "3-2"]
    assert layouts.values_of(layout).map == "aa/aa/aa"
    assert layout.areas == ()


def test_parse_pretix_places_a_seat_at_zone_and_row_and_seat() -> None:
    layout = parse_event(encoded(theatre()), PRICED).layout
    assert layout.sections[1].rows[0].seats[1] == LayoutSeat(
        id="3-2", number="2", category="Balkon", x=70.0, y=1005.25
    )


def test_parse_pretix_prices_categories_by_their_names() -> None:
    layout = parse_event(encoded(theatre()), PRICED).layout
    assert [(c.id, c.name, c.price_minor, c.color) for c in layout.categories] == [
        ("Parkett_vorne", "Parkett vorne", 5000, "#7f4a91"),
        ("Balkon", "Balkon", 3000, None),
    ]


def test_parse_pretix_with_one_price_gives_it_to_every_category() -> None:
    layout = parse_event(encoded(theatre()), PlanOptions(prices="700")).layout
    assert {category.price_minor for category in layout.categories} == {700}


def test_parse_pretix_takes_its_name_and_the_usual_terms() -> None:
    assert parse_event(encoded(theatre()), PRICED).terms == Terms(name="Theatre")


def test_parse_pretix_with_guids_used_twice_is_refused_with_the_list() -> None:
    assert problems_of(theatre(balcony_row="2")) == (
        "2 seat_guids are used more than once; "
        "ids can be derived from zone, row and number instead (--derive-ids)",
        "zones[1].rows[0].seats[0]: the seat id '2-1' is used before, at zones[0].rows[1].seats[0]",
        "zones[1].rows[0].seats[1]: the seat id '2-2' is used before, at zones[0].rows[1].seats[1]",
    )


def test_parse_pretix_with_84_guids_used_twice_lists_all_84() -> None:
    plan = theatre(balcony_row="2")
    for zone in plan["zones"]:
        zone["rows"][-1]["seats"] = seats("2", 84, "Balkon")
    assert sum("is used before" in problem for problem in problems_of(plan)) == 84


def test_parse_pretix_deriving_ids_takes_zone_row_and_number() -> None:
    options = PlanOptions(prices="1", derive_ids=True)
    layout = parse_event(encoded(theatre(balcony_row="2")), options).layout
    assert list(layouts.values_of(layout).seats) == [
        "Ground_floor-1-1",
        "Ground_floor-1-2",
        "Ground_floor-2-1",
        "Ground_floor-2-2",
        "Balkon_~skbk9v-2-1",
        "Balkon_~skbk9v-2-2",
    ]


def test_parse_pretix_deriving_the_same_id_twice_is_refused() -> None:
    plan = theatre()
    first_seat(plan)["seat_number"] = "2"
    (problem,) = problems_of(plan, PlanOptions(prices="1", derive_ids=True))
    assert "section 'Ground floor', row '1', seat '2' is used before" in problem


@pytest.mark.parametrize(
    ("row", "number", "shown"),
    [("17", "17-3", "3"), ("17", "3", "3"), ("17", "17-", "17-"), ("1", "17-3", "17-3")],
)
def test_parse_pretix_shows_what_is_printed_on_the_seat(row: str, number: str, shown: str) -> None:
    plan = theatre()
    plan["zones"][0]["rows"][0]["row_number"] = row
    first_seat(plan)["seat_number"] = number
    layout = parse_event(encoded(plan), PRICED).layout
    assert layout.sections[0].rows[0].seats[0].number == shown


def test_parse_pretix_makes_valid_ids_of_any_guid() -> None:
    plan = theatre()
    first_seat(plan)["seat_guid"] = "Säl: 1/{a}"
    layout = parse_event(encoded(plan), PRICED).layout
    assert layout.sections[0].rows[0].seats[0].id == "Sal__1__a_~vheugq"


def test_parse_pretix_takes_zones_of_one_name_as_one_section() -> None:
    plan = theatre()
    for zone, name in zip(plan["zones"], ("Régie", " Re\u0301gie"), strict=True):
        zone["name"] = name
    layout = parse_event(encoded(plan), PRICED).layout
    assert [section.name for section in layout.sections] == ["Régie"]
    assert layouts.values_of(layout).map == "aa/aa/aa"
    plan["zones"][1]["rows"][0]["row_number"] = "2"
    plan["zones"][1]["rows"][0]["seats"][0]["seat_number"] = "2-1"
    assert problems_of(plan) == (
        "zones[1].rows[0].seats[0]: section 'Régie', row '2', seat '1' "
        "is used before, at zones[0].rows[1].seats[0]",
    )


def test_parse_pretix_without_zone_names_and_row_numbers_names_them() -> None:
    plan = theatre()
    del plan["zones"][0]["name"]
    plan["zones"][0]["rows"][1]["row_number"] = ""
    section = parse_event(encoded(plan), PRICED).layout.sections[0]
    assert (section.id, section.name, section.rows[1].id) == ("_", "_", "row2")


def test_parse_pretix_passes_over_unknown_fields_and_empty_rows() -> None:
    plan = theatre()
    first_seat(plan)["radius"] = 12
    plan["version"] = "2"
    plan["zones"][0]["rows"].append({"row_number": "9", "seats": []})
    layout = parse_event(encoded(plan), PRICED).layout
    assert layouts.capacity(layout) == 6


def test_parse_pretix_without_prices_names_every_category() -> None:
    problems = problems_of(theatre(), PlanOptions())
    assert problems == ("no price for 'Parkett vorne', 'Balkon'",)


def test_parse_pretix_with_a_price_for_no_category_names_it() -> None:
    problems = problems_of(theatre(), PlanOptions(prices="Parkett vorne=1,Balkn=2"))
    assert problems == ("no price for 'Balkon'", "prices for unknown 'Balkn'")


def test_parse_pretix_with_an_unlisted_category_names_it_once() -> None:
    plan = theatre()
    for seat in plan["zones"][0]["rows"][1]["seats"]:
        seat["category"] = "Loge"
    assert problems_of(plan) == ("zones[0].rows[1].seats[0].category: there is no category 'Loge'",)


def test_parse_pretix_with_an_empty_guid_names_the_seat() -> None:
    plan = theatre()
    first_seat(plan)["seat_guid"] = ""
    plan["zones"][1]["rows"][0]["seats"][1]["seat_guid"] = ""
    assert problems_of(plan) == (
        "zones[0].rows[0].seats[0].seat_guid: is empty",
        "zones[1].rows[0].seats[1].seat_guid: is empty",
    )


def test_parse_pretix_deriving_ids_needs_no_guid() -> None:
    plan = theatre()
    first_seat(plan)["seat_guid"] = ""
    layout = parse_event(encoded(plan), PlanOptions(prices="1", derive_ids=True)).layout
    assert layout.sections[0].rows[0].seats[0].id == "Ground_floor-1-1"


def test_parse_pretix_with_a_category_listed_twice_takes_it_as_one() -> None:
    plan = theatre()
    plan["categories"].append({"name": "Balkon"})
    layout = parse_event(encoded(plan), PRICED).layout
    assert [category.id for category in layout.categories] == ["Parkett_vorne", "Balkon"]


def test_parse_pretix_gives_categories_of_like_names_distinct_ids() -> None:
    plan = theatre()
    plan["categories"].append({"name": "Parkett-vorne"})
    plan["categories"].append({"name": "Parkett/vorne"})
    layout = parse_event(encoded(plan), PlanOptions(prices="1")).layout
    assert [c.id for c in layout.categories] == [
        "Parkett_vorne",
        "Balkon",
        "Parkett-vorne",
        "Parkett_vorne~gtmi4j",
    ]


@pytest.mark.parametrize("field", ["seat_guid", "seat_number", "position"])
def test_parse_pretix_with_a_seat_that_misses_a_field_names_it(field: str) -> None:
    plan = theatre()
    del first_seat(plan)[field]
    assert problems_of(plan) == (
        f"zones[0].rows[0].seats[0]: Object missing required field `{field}`",
    )


@pytest.mark.parametrize("named", ["", " ", None])
@pytest.mark.parametrize("listed", [[], [{"name": ""}], None])
def test_parse_pretix_without_categories_has_one_default_category(
    listed: list[object] | None, named: str | None
) -> None:
    plan = theatre()
    plan["categories"] = listed
    for zone in plan["zones"]:
        for seat in (seat for row in zone["rows"] for seat in row["seats"]):
            seat["category"] = named
            if named is None:
                del seat["category"]
    if listed is None:
        del plan["categories"]
    for prices in ("5000", "Standard=5000"):
        read = parse_event(encoded(plan), PlanOptions(prices=prices))
        (category,) = read.layout.categories
        assert (category.id, category.price_minor) == ("Standard", 5000)
        assert layouts.capacity(read.layout) == 6
        assert "seats without a category (6): in 'Standard'" in read.notes
    assert problems_of(plan, PlanOptions()) == ("no price for 'Standard'",)


def test_parse_pretix_with_one_seat_without_category_needs_a_price_for_it() -> None:
    plan = theatre()
    first_seat(plan)["category"] = ""
    assert problems_of(plan) == ("no price for 'Standard'",)


def test_parse_pretix_reads_wheelchair_places_of_seats_and_rows() -> None:
    plan = theatre()
    first_seat(plan)["wheelchair"] = True
    plan["zones"][1]["rows"][0]["wheelchair"] = True
    layout = parse_event(encoded(plan), PRICED).layout
    accessible = [
        seat.id for row in layouts.rows_of(layout) for seat in row.seats if seat.accessible
    ]
    assert accessible == ["1-1", "3-1", "3-2"]


def test_parse_pretix_reports_what_it_ignores() -> None:
    plan = theatre()
    for row in plan["zones"][0]["rows"]:
        row["fill"] = "#eee"
    first_seat(plan)["position"]["z"] = 1e400
    plan["categories"][0]["color"] = "purple"
    plan["zones"][1]["rows"].append({"row_number": "9", "seats": []})
    assert set(parse_event(encoded(plan).replace(b"Infinity", b"1e400"), PRICED).notes) == {
        "ignored: zones[].rows[].fill (2)",
        "ignored: zones[].rows[].seats[].position.z (1)",
        "ignored: zones[].areas (1)",
        "ignored: size (1)",
        "ignored: rows without seats (1)",
        "category 'Parkett vorne': ignored color 'purple'",
    }


def test_parse_pretix_bounds_what_it_reports() -> None:
    plan = theatre() | {f"field{number}": "x" * 1000 for number in range(1000)}
    notes = parse_event(encoded(plan), PRICED).notes
    assert len(notes) == 101
    assert max(map(len, notes)) < 200


def test_parse_pretix_orders_seats_by_position_and_finds_aisles() -> None:
    plan = theatre()
    row = plan["zones"][0]["rows"][0]
    row["seats"] = [
        {
            "seat_guid": f"g{number}",
            "seat_number": str(number),
            "position": at(30 * number + (30 if number > 4 else 0), 0),
            "category": "Balkon",
        }
        for number in (1, 10, 2, 3, 4, 5, 6, 7, 8, 9)
    ]
    layout = parse_event(encoded(plan), PRICED).layout
    runs = [[seat.number for seat in run.seats] for run in layout.sections[0].rows[:2]]
    assert runs == [["1", "2", "3", "4"], ["5", "6", "7", "8", "9", "10"]]


def test_parse_pretix_takes_prices_of_its_body() -> None:
    plan = theatre() | {"prices": {"Parkett vorne": 700, "Balkon": 300}}
    layout = parse_event(encoded(plan), PlanOptions()).layout
    assert [category.price_minor for category in layout.categories] == [700, 300]
    assert problems_of(plan | {"prices": {"Balkon": -1}}, PlanOptions()) == (
        "price of 'Balkon': '-1' is not a price in minor units",
    )


def test_parse_pretix_with_positions_that_add_up_to_nowhere_is_refused() -> None:
    plan = theatre()
    plan["zones"][0]["position"] = at(1e308, 0)
    plan["zones"][0]["rows"][0]["position"] = at(1e308, 0)
    assert problems_of(plan)[0] == "zones[0].rows[0].seats[0]: x and y must be within ±1000000"


def drawing(text: str, x: float, y: float, **shape: Any) -> dict[str, Any]:
    return {"shape": "text", "position": at(x, y), "text": {"text": text}, **shape}


def with_drawings(*drawings: object) -> dict[str, Any]:
    """The theatre, with drawings in its second zone."""
    plan = theatre()
    del plan["zones"][0]["areas"]
    plan["zones"][1]["areas"] = list(drawings)
    return plan


def test_parse_pretix_takes_the_stage_as_the_focal_point() -> None:
    stage = drawing("BÜHNE", 10, -900, shape="rectangle", rectangle={"width": 60, "height": 20})
    plan = parse_event(encoded(with_drawings(drawing("Bar", 0, 0), stage)), PRICED)
    assert plan.layout.quality
    assert (plan.layout.quality.x, plan.layout.quality.y) == (40, 30)
    assert "focal point: the drawing 'BÜHNE' at 40,30" in plan.notes


def test_parse_pretix_takes_the_place_of_the_text_of_another_shape() -> None:
    text = {"text": "Stage", "position": at(3, 4)}
    plan = parse_event(encoded(with_drawings(drawing("", 1, 2) | {"text": text})), PRICED)
    assert plan.layout.quality
    assert (plan.layout.quality.x, plan.layout.quality.y) == (4, 926)


def test_parse_pretix_without_a_stage_takes_the_middle_of_the_first_row() -> None:
    broken = ["Stage", {"text": {"text": "Stage"}}, drawing("Stage", 0, 0) | {"position": "here"}]
    broken.append(drawing("Stage", 0, 1e7))
    for plan in (with_drawings(drawing("Bar", 0, 0)), with_drawings(*broken), theatre()):
        read = parse_event(encoded(plan), PRICED)
        assert read.layout.quality
        assert (read.layout.quality.x, read.layout.quality.y) == (55, 85)
        assert not any("focal point" in note for note in read.notes)
    plan = theatre()
    plan["zones"][0]["areas"] = "none"
    assert parse_event(encoded(plan), PRICED).layout.quality == read.layout.quality


def test_parse_pretix_with_the_option_focus_leaves_the_stage_alone() -> None:
    plan = with_drawings(drawing("Stage", 0, 0))
    options = msgspec.structs.replace(PRICED, focus=Focus(1, 2))
    read = parse_event(encoded(plan), options)
    assert read.layout.quality
    assert (read.layout.quality.x, read.layout.quality.y) == (1, 2)
    assert not any("focal point" in note for note in read.notes)


@pytest.mark.parametrize(
    "text",
    ["STAGE", "Main stage", "Bu\u0308hne / Stage", "Scène", "escenario", "Palco", "Сцена", "舞台"],
)
def test_is_stage_knows_a_stage_in_many_languages(text: str) -> None:
    assert is_stage(text)


@pytest.mark.parametrize(
    "text", ["", "Main", "Stage door", "Backstage", "Palco 3", "ORCHESTRA", "stage" * 50]
)
def test_is_stage_of_other_drawings_is_false(text: str) -> None:
    assert not is_stage(text)
