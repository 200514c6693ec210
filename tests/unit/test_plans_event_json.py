"""Our own event JSON: what it states, what it refuses, and its JSON Schema."""

import copy
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from engine.models import LatePayment, LayoutSeat, Sales, Terms
from engine.plans import Plan, PlanError, PlanOptions, event_schema, parse_event
from engine.plans import layout as layouts
from engine.plans.event_json import parse_event_json

SCHEMA = Path(__file__).parents[2] / "docs" / "event.schema.json"
DOCUMENTATION = SCHEMA.with_name("plans.md")

GALA: dict[str, Any] = {
    "name": "Gala",
    "currency": "CHF",
    "categories": [
        {"id": "A", "name": "Stalls", "priceMinor": 4900, "color": "#cb4335"},
        {"id": "S", "name": "Standing", "priceMinor": 2500},
    ],
    "sections": [
        {
            "id": "PAR",
            "name": "Parquet",
            "category": "A",
            "rows": [
                {
                    "id": "1",
                    "seats": [
                        {"number": "1", "x": 0, "y": 0.5, "accessible": True},
                        {"number": "2", "blocked": True, "id": "corner"},
                    ],
                },
                {"id": "2", "category": "S", "seats": [{"number": "1"}]},
            ],
        }
    ],
    "areas": [{"id": "floor", "name": "Floor", "category": "S", "capacity": 300}],
    "sales": "paused",
    "opensAt": "2030-05-01T10:00:00+02:00",
    "closesAt": "2030-06-01T19:30:00.250Z",
    "seatsMax": 8,
    "customerMax": 12,
    "holdTtlS": 600,
    "startsAt": "2030-06-01T20:00:00.250Z",
    "timeZone": "Europe/Zurich",
    "cancelUntil": "2030-06-01T20:00:00.250Z",
    "latePayment": "refund",
    "paymentMaxMs": 600_000,
}


def changed(*path: str | int, to: object) -> bytes:
    """The gala with one thing changed."""
    event = copy.deepcopy(GALA)
    parent: Any = event
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = to
    return json.dumps(event).encode()


def parse(event: object) -> Plan:
    return parse_event(json.dumps(event).encode())


def problems_of(body: bytes) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        parse_event(body)
    return caught.value.problems


def test_parse_event_reads_the_terms() -> None:
    assert parse(GALA).terms == Terms(
        name="Gala",
        currency="CHF",
        sales=Sales.PAUSED,
        opens_at_ms=1_903_852_800_000,
        closes_at_ms=1_906_572_600_250,
        hold_ttl_ms=600_000,
        seats_max=8,
        customer_max=12,
        starts_at_ms=1_906_574_400_250,
        time_zone="Europe/Zurich",
        cancel_until_ms=1_906_574_400_250,
        late_payment=LatePayment.REFUND,
        payment_max_ms=600_000,
    )


def test_parse_event_of_a_name_alone_has_the_usual_terms_and_no_seats() -> None:
    plan = parse({"name": "Gala"})
    assert plan.terms == Terms(name="Gala")
    assert layouts.capacity(plan.layout) == 0


def test_parse_event_reads_seats_with_their_ids_and_categories() -> None:
    layout = parse(GALA).layout
    assert [seat for row in layouts.rows_of(layout) for seat in row.seats] == [
        LayoutSeat(id="PAR-1-1", number="1", category="A", x=0.0, y=0.5, accessible=True),
        LayoutSeat(id="corner", number="2", category="A", blocked=True),
        LayoutSeat(id="PAR-2-1", number="1", category="S"),
    ]
    assert layouts.values_of(layout).map == "ab/a"


def test_parse_event_reads_categories_sections_and_areas() -> None:
    layout = parse(GALA).layout
    assert layout.currency == "CHF"
    assert [(c.id, c.price_minor, c.color) for c in layout.categories] == [
        ("A", 4900, "#cb4335"),
        ("S", 2500, None),
    ]
    assert [(section.id, section.name) for section in layout.sections] == [("PAR", "Parquet")]
    assert [(area.id, area.capacity) for area in layout.areas] == [("floor", 300)]


def test_parse_event_names_a_section_without_a_name_by_its_id() -> None:
    event = copy.deepcopy(GALA)
    del event["sections"][0]["name"]
    assert parse(event).layout.sections[0].name == "PAR"


def test_parse_event_with_a_byte_order_mark_reads_it() -> None:
    assert parse_event(b"\xef\xbb\xbf" + json.dumps(GALA).encode()).terms.name == "Gala"


def test_parse_event_lets_options_win() -> None:
    plan = parse_event(json.dumps(GALA).encode(), PlanOptions(name="Encore", currency="EUR"))
    assert (plan.terms.name, plan.terms.currency, plan.layout.currency) == ("Encore", "EUR", "EUR")


def test_parse_event_json_without_places_is_refused_where_they_are_needed() -> None:
    with pytest.raises(PlanError, match="no seats and no standing areas"):
        parse_event_json(b'{"name": "Gala"}')


SEAT = ("sections", 0, "rows", 0, "seats", 0)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (changed("seatMax", to=3), "Object contains unknown field `seatMax`"),
        (
            changed(*SEAT, "acessible", to=True),
            "sections[0].rows[0].seats[0]: Object contains unknown field `acessible`",
        ),
        (
            changed(*SEAT, "number", to=5),
            "sections[0].rows[0].seats[0].number: Expected `str`, got `int`",
        ),
        (
            changed(*SEAT, "x", to=1e7),
            "sections[0].rows[0].seats[0].x: Expected `float` <= 1000000",
        ),
        (changed(*SEAT, "category", to="Z"), "sections[0].rows[0].seats[0]: there is no category"),
        (changed("sections", 0, "category", to=None), "no category is named"),
        (changed(*SEAT, "id", to="corner"), "the seat id 'corner' is used before, at sections[0]"),
        (
            changed(*SEAT, "id", to="a:b"),
            "sections[0].rows[0].seats[0].id: Expected `str` matching",
        ),
        (changed(*SEAT, "id", to="a\n"), "the seat id 'a\\n' is not 1 to 80 letters"),
        (
            changed("sections", 0, "rows", to=[]),
            "sections[0].rows: Expected `array` of length >= 1",
        ),
        (
            changed("sections", 0, "rows", 1, "seats", to=[]),
            "sections[0].rows[1].seats: Expected `array` of length >= 1",
        ),
        (changed("areas", 0, "capacity", to=0), "areas[0].capacity: Expected `int` >= 1"),
        (changed("areas", 0, "category", to="Z"), "areas[0]: there is no category 'Z'"),
        (changed("categories", to=[]), "there is no category 'A'"),
        (changed("categories", 0, "priceMinor", to=-1), "categories[0].priceMinor: Expected `int`"),
        (
            changed("categories", 0, "priceMinor", to=4.5),
            "categories[0].priceMinor: Expected `int`",
        ),
        (changed("categories", 0, "color", to="red"), "categories[0].color"),
        (changed("currency", to="euro"), "currency: Expected"),
        (changed("currency", to="EUR\n"), "currency: Expected"),
        (changed("name", to=""), "name: Expected `str` of length >= 1"),
        (changed("name", to="Ga\0la"), "name: Expected `str` matching"),
        (changed("name", to="Gala\n"), "name: Expected `str` matching"),
        (changed("name", to="\x1fGala"), "name: Expected `str` matching"),
        (changed("name", to="Gala\x7f"), "name: Expected `str` matching"),
        (changed("sales", to="maybe"), "sales: Invalid enum value 'maybe'"),
        (
            changed("opensAt", to="2030-05-01T10:00:00"),
            "opensAt: Expected `datetime` with a timezone",
        ),
        (changed("opensAt", to="soon"), "opensAt: Invalid RFC3339"),
        (changed("opensAt", to="1960-01-01T00:00:00Z"), "opens_at_ms: Expected `int` >= 0"),
        (changed("opensAt", to="9999-12-31T23:59:59Z"), "opens_at_ms: Expected `int` <= 1"),
        (changed("closesAt", to="9999-12-31T23:59:59Z"), "closes_at_ms: Expected `int` <= 1"),
        (changed("closesAt", to=GALA["opensAt"]), "the sale closes before it opens"),
        (changed("opensAt", to="2030-06-01T20:00:00.249Z"), "the sale closes before it opens"),
        (changed("cancelUntil", to="2030-06-01T20:00:00.251Z"), "cancelled after the event starts"),
        (changed("paymentMaxMs", to=599_999), "a payment gets less time than a hold lasts"),
        (changed("paymentMaxMs", to=1_209_600_001), "paymentMaxMs: Expected `int` <= 1209600000"),
        (changed("latePayment", to="keep"), "latePayment: Invalid enum value 'keep'"),
        (changed("timeZone", to="Mars/Base"), "'Mars/Base' is no time zone"),
        (changed("timeZone", to="posix/UTC"), "'posix/UTC' is no time zone"),
        (changed("seatsMax", to=51), "seatsMax: Expected `int` <= 50"),
        (changed("holdTtlS", to=0), "holdTtlS: Expected `int` >= 1"),
    ],
)
def test_parse_event_with_a_flaw_names_it_and_its_place(body: bytes, problem: str) -> None:
    assert any(problem in found for found in problems_of(body))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not JSON: Input data was truncated"),
        (b"{", "not JSON: Input data was truncated"),
        (b"section,row", "not JSON: JSON is malformed"),
        (b'{"name": "Gala"} {}', "not JSON: JSON is malformed: trailing characters"),
        (b'{"name": NaN}', "not JSON: JSON is malformed"),
        (b'{"name": "\xff"}', "not UTF-8: byte 10"),
        (b'["name"]', "Expected `object`, got `array`"),
        (b'"name"', "Expected `object`, got `str`"),
        (b'{"name": "\\ud800"}', "not JSON"),
        (b'{"name": "Gala", "sections": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"name": "Gala", "seatsMax": ' + b"9" * 5000 + b"}", "seatsMax: Integer value out of"),
    ],
)
def test_parse_event_of_what_is_no_event_is_refused(body: bytes, problem: str) -> None:
    assert problem in problems_of(body)[0]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 400])
def test_parse_event_with_a_number_too_large_for_a_coordinate_is_refused(number: str) -> None:
    body = changed(*SEAT, "x", to="HERE").replace(b'"HERE"', number.encode())
    assert problems_of(body) == ("sections[0].rows[0].seats[0].x: Number out of range",)


def test_event_schema_is_the_file_in_docs() -> None:
    assert SCHEMA.read_text() == event_schema()


def test_event_schema_agrees_with_the_reader() -> None:
    schema = importlib.import_module("jsonschema").Draft202012Validator(json.loads(event_schema()))
    assert schema.is_valid(GALA)
    for wrong in (
        changed("seatMax", to=3),
        changed(*SEAT, "number", to=5),
        changed("currency", to="euro"),
        changed("name", to="Gala\n"),
        changed("areas", 0, "capacity", to=0),
    ):
        assert not schema.is_valid(json.loads(wrong))


def test_the_example_in_the_documentation_is_an_event() -> None:
    example = DOCUMENTATION.read_text().split("```json\n")[1].split("```")[0]
    assert layouts.values_of(parse_event_json(example.encode()).layout).map == "aab"
