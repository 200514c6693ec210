"""Events over HTTP: created, listed, added to, opened and closed, by those who may."""

import copy
import json
from typing import Any
from urllib.parse import quote

import pytest

from engine.ids import EventId
from engine.plans.builder import PRICE_MINOR_MAX
from tests.api.cases import MORE, PLAN
from tests.api.client import EVENT, Api, bearer
from tests.support.factories import layout, terms

ORLA = bearer("orla", "organizer")
PRETIX: dict[str, Any] = {
    "name": "Small stage",
    "categories": [{"name": "Stalls", "color": "#ff0000"}],
    "zones": [
        {
            "name": "Parkett",
            "position": {"x": 0, "y": 0},
            "rows": [
                {
                    "row_number": "1",
                    "position": {"x": 0, "y": 0},
                    "seats": [
                        {
                            "seat_guid": f"g{number}",
                            "seat_number": str(number),
                            "category": "Stalls",
                            "position": {"x": number, "y": 0},
                        }
                        for number in (1, 2)
                    ],
                }
            ],
        }
    ],
}


async def test_create_event_from_our_own_json_can_be_sold_at_once(api: Api) -> None:
    answer = await api.call("POST", f"{EVENT}?id=recital", ORLA, json=PLAN)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{EVENT}/recital"
    assert answer.json()["counts"] == {"available": 1, "held": 0, "sold": 0, "blocked": 0}
    read = (await api.call("GET", f"{EVENT}/recital")).json()
    assert read | {"notes": []} == answer.json()
    held = await api.call("POST", "/api/v1/booking", ORLA, json={"seatId": "recital:B-9-1"})
    assert (held.status_code, held.json()["amountMinor"]) == (201, 500)


@pytest.mark.parametrize(
    ("stated", "limit"), [({}, 10), ({"customerMax": 0}, 0), ({"customerMax": 3}, 3)]
)
async def test_create_event_limits_a_customer_unless_the_plan_says_otherwise(
    api: Api, stated: dict[str, int], limit: int
) -> None:
    answer = await api.call("POST", f"{EVENT}?id=recital", ORLA, json=PLAN | stated)
    assert answer.json().get("customerMax", 0) == limit


async def test_create_event_from_a_pretix_plan_limits_a_customer(api: Api) -> None:
    answer = await api.call("POST", f"{EVENT}?prices=5000", ORLA, json=PRETIX)
    assert answer.json()["customerMax"] == 10


async def test_create_event_has_the_terms_of_its_plan(api: Api) -> None:
    plan = {"startsAt": "2030-06-01T19:30:00+02:00", "timeZone": "Europe/Berlin"}
    plan |= {"cancelUntil": "2030-05-31T12:00:00Z", "latePayment": "refund"}
    answer = await api.call(
        "POST", f"{EVENT}?id=recital", ORLA, json=PLAN | plan | {"paymentMaxMs": 900_000}
    )
    found = answer.json()
    assert found.pop("notes") == []
    assert (found["startsAt"], found["timeZone"]) == ("2030-06-01T17:30:00.000Z", "Europe/Berlin")
    assert (found["cancelUntil"], found["latePayment"]) == ("2030-05-31T12:00:00.000Z", "refund")
    assert found["paymentMaxMs"] == 900_000
    read = await api.call("GET", f"{EVENT}/recital")
    assert (read.json(), read.headers["etag"]) == (found, answer.headers["etag"])
    assert (await api.call("GET", EVENT)).json()["data"] == [found]


async def test_create_event_without_an_id_gets_one(api: Api) -> None:
    created = [(await api.call("POST", EVENT, ORLA, json=PLAN)).json() for _ in range(2)]
    assert len({event["id"] for event in created}) == 2
    assert all(event["id"] == event["id"].lower() for event in created)


async def test_create_event_from_a_pretix_plan_takes_its_prices_from_the_query(api: Api) -> None:
    path = f"{EVENT}?id=stage&prices=Stalls=2500&currency=CHF&name=Stage%20night"
    answer = await api.call("POST", path, ORLA, json=PRETIX)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["name"], answer.json()["currency"]) == ("Stage night", "CHF")
    seats = (await api.call("GET", "/api/v1/booking?eventId=stage")).json()["data"]
    assert {seat["id"] for seat in seats} == {"stage:g1", "stage:g2"}
    assert {seat["priceMinor"] for seat in seats} == {2500}


@pytest.mark.parametrize("where", ["query", "body"])
async def test_create_event_takes_prices_of_any_category_name(api: Api, where: str) -> None:
    name = "Parkett, Reihe 1-5=A"
    plan = copy.deepcopy(PRETIX) | {"categories": [{"name": name}], "version": 3}
    for seat in plan["zones"][0]["rows"][0]["seats"]:
        seat["category"] = name
    prices = {name: 4500}
    path = f"{EVENT}?id=stage"
    if where == "query":
        path += f"&prices={quote(json.dumps(prices))}"
    else:
        plan["prices"] = prices
    answer = await api.call("POST", path, ORLA, json=plan)
    assert answer.status_code == 201, answer.text
    assert answer.json()["notes"] == ["ignored: version (1)"]
    seats = (await api.call("GET", "/api/v1/booking?eventId=stage")).json()["data"]
    assert {seat["priceMinor"] for seat in seats} == {4500}


async def test_add_seats_that_read_as_a_seat_of_the_event_is_refused(api: Api) -> None:
    await api.office.open(owner_id="orla")
    path = f"{EVENT}/gala/seats"
    seats = [{"number": "1\u200b", "id": "other"}]
    body = {"sections": [{"id": "A", "category": "seat", "rows": [{"id": "1", "seats": seats}]}]}
    problem = await api.refused(422, "plan_invalid", "POST", path, ORLA, json=body)
    assert "is used before, at seat 'A-1-1' of the event" in problem["problems"][0]
    del seats[0]["id"]
    problem = await api.refused(409, "seat_exists", "POST", path, ORLA, json=body)
    assert problem["seatIds"] == ["gala:A-1-1"]


async def test_hold_50_places_at_the_highest_price_has_the_exact_amount(api: Api) -> None:
    rows = [{"id": "1", "seats": [{"number": str(n)} for n in range(50)]}]
    top, odd = PRICE_MINOR_MAX, PRICE_MINOR_MAX - 1
    for event, price in (("top", top), ("odd", odd), ("rupiah", 1_100_000_000)):
        plan = PLAN | {
            "currency": "IDR",
            "seatsMax": 50,
            "customerMax": 0,
            "categories": [{"id": "one", "name": "One", "priceMinor": price}],
            "sections": [{"id": "B", "category": "one", "rows": rows}],
        }
        created = await api.call("POST", f"{EVENT}?id={event}", ORLA, json=plan)
        assert created.status_code == 201, created.text
        body = {"seatIds": [f"{event}:B-1-{n}" for n in range(50)]}
        held = await api.call("POST", "/api/v1/booking", ORLA, json=body)
        assert held.json()["amountMinor"] == 50 * price
        booking = await api.call("GET", f"/api/v1/booking/{held.json()['id']}", ORLA)
        assert booking.json()["amountMinor"] == 50 * price


async def test_create_event_twice_is_409(api: Api) -> None:
    await api.call("POST", f"{EVENT}?id=recital", ORLA, json=PLAN)
    await api.refused(409, "event_exists", "POST", f"{EVENT}?id=recital", ORLA, json=PLAN)


TWO_SEATS = [{"id": "9", "seats": [{"number": "1"}, {"number": "1"}]}]


@pytest.mark.parametrize(
    ("query", "change"),
    [
        ("", {"colour": "red"}),
        ("", {"name": ""}),
        ("", {"name": "n" * 201}),
        ("", {"name": 7}),
        ("", {"name": "Ga\0la"}),
        ("", {"name": "Gala\n"}),
        ("", {"currency": "euro"}),
        ("", {"opensAt": "tomorrow"}),
        ("", {"opensAt": "2030-01-01T00:00:00"}),
        ("", {"opensAt": "9999-12-31T23:59:59Z"}),
        ("", {"closesAt": "9999-12-31T23:59:59Z"}),
        ("", {"opensAt": "2030-01-02T00:00:00Z", "closesAt": "2030-01-02T00:00:00Z"}),
        ("", {"opensAt": "2030-01-02T00:00:00Z", "startsAt": "2030-01-01T00:00:00Z"}),
        ("", {"startsAt": "2030-01-01T00:00:00Z", "cancelUntil": "2030-01-01T00:00:01Z"}),
        ("", {"paymentMaxMs": 899_999}),
        ("", {"paymentMaxMs": 14 * 86_400_000 + 1}),
        ("", {"latePayment": "keep"}),
        ("", {"timeZone": "Europe/Atlantis"}),
        ("", {"timeZone": ""}),
        ("", {"seatsMax": -5}),
        ("", {"seatsMax": 2.5}),
        ("", {"holdTtlS": 0}),
        ("", {"sections": [{"id": "B", "category": "one", "rows": TWO_SEATS}]}),
        ("", {"sections": [{"id": "B", "category": "none", "rows": TWO_SEATS[:1]}]}),
        ("", {"sections": [{"id": "{}", "category": "one", "rows": TWO_SEATS[:1]}]}),
        ("", {"ownerId": "eve"}),
        ("", {"zones": 7}),
        ("&prices=5", {}),
        ("&currency=euro", {}),
    ],
)
async def test_create_event_from_a_bad_plan_lists_its_problems(
    api: Api, query: str, change: dict[str, object]
) -> None:
    problem = await api.refused(
        422, "plan_invalid", "POST", f"{EVENT}?id=recital{query}", ORLA, json=PLAN | change
    )
    assert problem["problems"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("id=%7B%7D", "id"),
        ("id=a:b", "id"),
        ("id=x%0A", "id"),
        ("id=", "id"),
        ("deriveIds=maybe", "deriveIds"),
        ("owner=eve", "owner"),
        ("name=Ga%00la", "name"),
        ("name=Gala%0A", "name"),
    ],
)
async def test_create_event_with_a_bad_parameter_names_it(api: Api, query: str, field: str) -> None:
    problem = await api.refused(422, "invalid", "POST", f"{EVENT}?{query}", ORLA, json=PLAN)
    assert problem["field"] == field


async def test_add_seats_twice_is_409_and_names_them(api: Api) -> None:
    await api.office.open(owner_id="orla")
    path = f"{EVENT}/gala/seats"
    assert (await api.call("POST", path, ORLA, json=MORE)).status_code == 200
    problem = await api.refused(409, "seat_exists", "POST", path, ORLA, json=MORE)
    assert problem["seatIds"] == ["gala:A-9-1"]


async def test_add_seats_beyond_the_most_of_one_call_is_422(api: Api) -> None:
    await api.office.open(owner_id="orla")
    rows = [{"id": "9", "seats": [{"number": str(n)} for n in range(2001)]}]
    body = {"sections": [{"id": "A", "category": "seat", "rows": rows}]}
    await api.refused(422, "plan_invalid", "POST", f"{EVENT}/gala/seats", ORLA, json=body)


async def test_list_events_pages_in_order_with_counts(api: Api) -> None:
    for number in range(5):
        await api.office.engine.events.load_event(
            EventId(f"show-{number}"), layout(rows=1), terms()
        )
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await api.call("GET", f"{EVENT}?limit=2{cursor}")).json()
        found += page["data"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert [event["id"] for event in found] == [f"show-{number}" for number in range(5)]
    assert {event["counts"]["available"] for event in found} == {5}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=%7B%7D", "cursor="])
async def test_list_events_with_a_bad_parameter_names_it(api: Api, query: str) -> None:
    problem = await api.refused(422, "invalid", "GET", f"{EVENT}?{query}")
    assert problem["field"] == query.partition("=")[0]
