"""The best seats together over HTTP: what may be asked for, and what is answered."""

from typing import Any

import pytest

from engine.ids import CustomerId
from engine.models import BestSelection, SingleSeats
from tests.api.client import BOOKING, EVENT, Api, bearer
from tests.support.factories import GALA

ANN, BOB = bearer("ann"), bearer("bob")


def _body(quantity: int = 2, **more: Any) -> dict[str, Any]:
    return {"eventId": "gala", "bestAvailable": {"quantity": quantity, **more}}


async def test_best_available_answers_the_booking_and_how_the_party_sits(api: Api) -> None:
    await api.office.open(rows=2, seats=6)
    answer = await api.call("POST", BOOKING, ANN, json=_body(2))
    booking = answer.json()
    assert answer.status_code == 201
    assert booking["seatIds"] == ["gala:A-1-3", "gala:A-1-4"]
    assert (booking["together"], booking["amountMinor"]) == ("row", 3000)
    again = await api.call("GET", answer.headers["location"], ANN)
    assert again.json() == booking


async def test_best_available_with_a_key_answers_the_same_again(api: Api) -> None:
    await api.office.open(rows=2, seats=6)
    headers = ANN | {"Idempotency-Key": "k1"}
    first = await api.call("POST", BOOKING, headers, json=_body(2))
    again = await api.call("POST", BOOKING, headers, json=_body(2))
    assert (again.status_code, again.json()) == (201, first.json())
    await api.refused(422, "request_reused", "POST", BOOKING, headers, json=_body(3))


async def test_no_seats_together_says_what_is_left(api: Api) -> None:
    await api.office.open(rows=2, seats=5, areas={"pit": 7})
    await api.office.hold("zoe", "A-1-3", "A-2-2")
    problem = await api.refused(409, "no_seats_together", "POST", BOOKING, ANN, json=_body(4))
    assert problem["largest"] == 3
    assert problem["freeByCategory"] == {"seat": 8, "standing": 7}


async def test_best_available_in_parts_or_standing(api: Api) -> None:
    await api.office.open(rows=2, seats=3, areas={"pit": 7})
    parted = await api.call("POST", BOOKING, ANN, json=_body(4, fallback=["rows"]))
    assert (parted.status_code, parted.json()["together"]) == (201, "rows")
    await api.refused(409, "no_seats_together", "POST", BOOKING, ANN, json=_body(4))
    standing = await api.call("POST", BOOKING, BOB, json=_body(7, fallback=["standing"]))
    assert standing.json()["together"] == "standing"
    assert standing.json()["areas"] == [{"areaId": "pit", "quantity": 7}]


async def test_best_available_beside_a_hold_of_the_customer(api: Api) -> None:
    await api.office.open(rows=1, seats=6)
    own = await api.held("ann", "A-1-3")
    answer = await api.call("POST", BOOKING, ANN, json=_body(1, beside=own["id"]))
    assert answer.json()["seatIds"] in (["gala:A-1-2"], ["gala:A-1-4"])
    body = _body(1, beside=own["id"])
    await api.refused(404, "booking_not_found", "POST", BOOKING, BOB, json=body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"bestAvailable": {"quantity": 2}}, "eventId"),
        (_body(0), "bestAvailable.quantity"),
        (_body(51), "bestAvailable.quantity"),
        (_body() | {"seatIds": ["gala:A-1-1"]}, "bestAvailable"),
        (_body() | {"areas": [{"areaId": "pit", "quantity": 1}]}, "bestAvailable"),
        (_body(categoryIds=["a b"]), "bestAvailable.categoryIds"),
        (_body(categoryIds=["a", "a"]), "bestAvailable.categoryIds"),
        (_body(sectionIds=["A", "A"]), "bestAvailable.sectionIds"),
        (_body(priceMaxMinor=-1), "bestAvailable.priceMaxMinor"),
        (_body(fallback=["row"]), "bestAvailable.fallback[0]"),
        (_body(accessible={"wheelchair": 1}), "bestAvailable.accessible"),
        (_body(accessible={"wheelchair": 2, "companions": 1}), "bestAvailable.accessible"),
        (_body(accessible={"wheelchair": 0}), "bestAvailable.accessible.wheelchair"),
        (_body(accessible={"wheelchair": 2}, fallback=["rows"]), "bestAvailable.fallback"),
        (_body(beside="other:01JDTESTTESTTESTTESTTESTTE"), "bestAvailable.beside"),
        (_body(beside="nothing"), "bestAvailable.beside"),
        (_body(color="red"), None),
    ],
)
async def test_best_available_of_what_makes_no_sense_is_422_and_names_the_field(
    api: Api, body: dict[str, Any], field: str | None
) -> None:
    await api.office.open()
    problem = await api.refused(422, "invalid", "POST", BOOKING, ANN, json=body)
    if field:
        assert problem["field"] == field
    assert (await api.office.map()).count("h") == 0


@pytest.mark.parametrize(
    ("more", "code", "extras"),
    [
        ({"categoryIds": ["seat", "gold"]}, "category_not_found", {"categoryIds": ["gold"]}),
        ({"sectionIds": ["Z"]}, "section_not_found", {"sectionIds": ["Z"]}),
    ],
)
async def test_best_available_of_a_category_or_section_that_is_not_there_is_404(
    api: Api, more: dict[str, Any], code: str, extras: dict[str, Any]
) -> None:
    await api.office.open()
    problem = await api.refused(404, code, "POST", BOOKING, ANN, json=_body(**more))
    assert extras.items() <= problem.items()


async def test_seats_that_leave_one_alone_are_refused_with_others_in_their_place(
    api: Api,
) -> None:
    await api.office.open(rows=1, seats=6, single_seats=SingleSeats.REFUSE)
    body = {"seatIds": ["gala:A-1-2", "gala:A-1-3"]}
    problem = await api.refused(409, "leaves_single", "POST", BOOKING, ANN, json=body)
    assert problem["seatIds"] == ["gala:A-1-1"]
    assert problem["suggestions"] == [
        ["gala:A-1-1", "gala:A-1-2"],
        ["gala:A-1-3", "gala:A-1-4"],
    ]
    for seats in problem["suggestions"]:
        held = await api.call("POST", BOOKING, ANN, json={"seatIds": seats})
        assert held.status_code == 201


async def test_terms_of_single_seats_and_wheelchair_places_change(api: Api) -> None:
    await api.office.open(owner_id="orla")
    orla = bearer("orla", "organizer")
    change = {"singleSeats": "refuse", "accessibleReleaseAt": "2030-06-08T19:30:00+02:00"}
    answer = await api.call("PATCH", f"{EVENT}/gala", orla, json=change)
    assert answer.json()["singleSeats"] == "refuse"
    assert answer.json()["accessibleReleaseAt"] == "2030-06-08T17:30:00.000Z"
    unset = await api.call("PATCH", f"{EVENT}/gala", orla, json=dict.fromkeys(change))
    assert unset.json()["singleSeats"] == "avoid"
    assert unset.json()["accessibleReleaseAt"] is None


async def test_best_available_is_limited_as_a_hold_is(api: Api) -> None:
    await api.office.open(rows=5, seats=10, customer_max=2)
    assert (await api.call("POST", BOOKING, ANN, json=_body(2))).status_code == 201
    problem = await api.refused(409, "limit_reached", "POST", BOOKING, ANN, json=_body(1))
    assert (problem["limit"], problem["count"]) == (2, 2)


def test_a_party_without_a_place_or_of_too_many_wheelchairs_is_no_selection() -> None:
    for quantity, wheelchair in ((0, 0), (1, 2), (1, -1)):
        with pytest.raises(ValueError, match="party"):
            BestSelection(
                event_id=GALA,
                customer_id=CustomerId("ann"),
                quantity=quantity,
                wheelchair=wheelchair,
            )
