"""`GET /booking`: every free seat once over its pages, and customers spread over the house."""

from collections import Counter
from typing import Any

import pytest

from api import seat_picker
from api.seat_picker import Walk
from engine.ids import EventId
from engine.models import Layout, LayoutCategory, LayoutRow, LayoutSeat, LayoutSection
from engine.plans.layout import values_of, with_version
from tests.api.client import BOOKING, Api
from tests.support.factories import layout, terms


async def _pages(api: Api, query: str) -> list[list[dict[str, Any]]]:
    pages, cursor = [], ""
    while True:
        answer = await api.call("GET", f"{BOOKING}?{query}{cursor}")
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()["data"])
        if answer.json()["next"] is None:
            return pages
        cursor = f"&cursor={answer.json()['next']}"


async def test_list_seats_has_the_fields_of_the_seed_for_each_seat(api: Api) -> None:
    await api.office.open(seats=1)
    [[seat, _]] = await _pages(api, "eventId=gala")
    assert {**seat, "id": "", "row": ""} == {
        "id": "",
        "eventId": "gala",
        "section": "A",
        "row": "",
        "number": "1",
        "category": "seat",
        "priceMinor": 1500,
        "currency": "EUR",
        "accessible": False,
    }


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_list_seats_pages_show_every_free_seat_once(api: Api, limit: int) -> None:
    await api.office.open(blocked="A-2-5")
    await api.held("ann", "A-1-2", "A-1-3")
    for query in (f"eventId=gala&limit={limit}", f"limit={limit}"):
        pages = await _pages(api, query)
        seats = [seat["id"] for page in pages for seat in page]
        assert sorted(seats) == [
            f"gala:A-{seat}" for seat in ("1-1", "1-4", "1-5", "2-1", "2-2", "2-3", "2-4")
        ]
        assert all(len(page) == limit for page in pages[:-1])


async def test_list_seats_spreads_requests_over_the_house(api: Api) -> None:
    plan = layout(rows=20, seats=20)
    await api.office.engine.events.load_event(EventId("gala"), plan, terms())
    firsts: Counter[str] = Counter()
    seen: set[str] = set()
    for _ in range(200):
        seats = (await api.call("GET", f"{BOOKING}?eventId=gala")).json()["data"]
        assert len(seats) == 10
        firsts[seats[0]["id"]] += 1
        seen |= {seat["id"] for seat in seats}
        assert len({seat["row"] for seat in seats}) <= 2  # neighbours: one row, or its next
    assert max(firsts.values()) <= 8  # 200 throws over 400 seats
    assert len(seen) > 350


async def test_list_seats_of_a_section_or_category_shows_only_those(api: Api) -> None:
    await api.office.engine.events.load_event(EventId("gala"), _two_sections(), terms())
    for query, expected in (
        ("section=B", {"B-1-1", "B-1-2", "B-1-3"}),
        ("category=dear", {"A-1-1", "B-1-1"}),
        ("section=B&category=dear", {"B-1-1"}),
        ("section=Z", set()),
        ("category=Z", set()),
    ):
        for limit in (1, 100):
            pages = await _pages(api, f"eventId=gala&limit={limit}&{query}")
            assert {seat["id"][5:] for page in pages for seat in page} == expected


async def test_list_seats_without_an_event_shows_those_on_sale_only(api: Api) -> None:
    for event, over in (
        ("a", {"sales": "paused"}),
        ("b", {}),
        ("c", {"opens_at_ms": 4_000_000_000_000}),
        ("d", {"closes_at_ms": 1}),
        ("e", {}),
    ):
        plan = layout(rows=1, seats=2)
        await api.office.engine.events.load_event(EventId(event), plan, terms(**over))
    for limit in (1, 2, 3, 100):
        pages = await _pages(api, f"limit={limit}")
        seats = [seat["id"] for page in pages for seat in page]
        assert sorted(seats) == ["b:A-1-1", "b:A-1-2", "e:A-1-1", "e:A-1-2"]
    asked_for = await _pages(api, "eventId=a")
    assert len(asked_for[0]) == 2


async def test_list_seats_of_an_unknown_event_is_404(api: Api) -> None:
    await api.refused(404, "event_not_found", "GET", f"{BOOKING}?eventId=nothing")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"limit={bad}", "limit") for bad in ("0", "101", "-1", "x", "1e1000", "")),
        *((f"cursor={bad}", "cursor") for bad in ("x", "gala:x", "gala:1", "gala:1.-1", "g a:")),
        ("cursor=gala:1.%C2%B2", "cursor"),
        ("eventId=gala&cursor=opera:1.1", "cursor"),
        *((f"eventId={bad}", "eventId") for bad in ("%7B%7D", "a:b", "gala%0A", "")),
        ("section=", "section"),
        ("sections=A", "sections"),
    ],
)
async def test_list_seats_with_a_bad_parameter_names_it(api: Api, query: str, field: str) -> None:
    await api.office.open()
    problem = await api.refused(422, "invalid", "GET", f"{BOOKING}?{query}")
    assert problem["field"] == field


async def test_list_seats_with_a_cursor_far_off_the_map_still_ends(api: Api) -> None:
    await api.office.open()
    for cursor in ("gala:999999.0", "gala:0.999999", "gala:999999.999999"):
        answer = await api.call("GET", f"{BOOKING}?eventId=gala&cursor={cursor}")
        assert answer.status_code == 200


def test_begin_with_few_free_seats_finds_each_of_them() -> None:
    letters = "s" * 5_000 + "a" + "s" * 5_000 + "aa"
    found = {seat_picker.begin(letters, [(0, len(letters))]).start for _ in range(200)}
    assert found == {5_000, 10_001, 10_002}


def test_begin_with_no_free_seat_begins_at_the_start() -> None:
    assert seat_picker.begin("sss/sss", [(0, 7)]) == Walk(0, 0)
    assert seat_picker.begin("", []) == Walk(0, 0)


def test_page_of_a_walk_goes_once_around() -> None:
    letters, runs = "aaa/aaa", [(0, 7)]
    first, rest = seat_picker.page(letters, runs, Walk(5, 5), 3)
    assert (first, rest) == ([5, 6, 0], Walk(5, 1))
    assert rest is not None
    assert seat_picker.page(letters, runs, rest, 3) == ([1, 2, 4], None)


async def test_runs_of_a_whole_layout_are_one_run() -> None:
    plan = layout(rows=30, seats=7)
    assert await seat_picker.runs_of(plan, "", "") == [(0, len(values_of(plan).map))]


def _two_sections() -> Layout:
    def row(section: str, index: int) -> LayoutRow:
        kinds = ("dear", "cheap", "cheap")
        return LayoutRow(
            id="1",
            index=index,
            seats=tuple(
                LayoutSeat(id=f"{section}-1-{n}", number=str(n), category=kind)
                for n, kind in enumerate(kinds, 1)
            ),
        )

    return with_version(
        Layout(
            version="",
            currency="EUR",
            categories=(
                LayoutCategory(id="dear", name="Dear", price_minor=9000),
                LayoutCategory(id="cheap", name="Cheap", price_minor=100),
            ),
            sections=(
                LayoutSection(id="B", name="B", rows=(row("B", 4),)),
                LayoutSection(id="A", name="A", rows=(row("A", 0),)),
            ),
            areas=(),
        )
    )
