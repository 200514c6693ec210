"""Bookings over HTTP: what the bodies mean, what is refused and how, and that a key repeats."""

import asyncio
import time
from datetime import datetime

import pytest

from tests.api.client import BOOKING, PAYMENT, Api, bearer

ANN = bearer("ann")


def _ms(text: str) -> int:
    assert len(text) == len("2030-06-01T19:30:00.000Z")
    return int(datetime.fromisoformat(text).timestamp() * 1000 + 0.5)


async def test_hold_seats_answers_the_pending_booking(api: Api) -> None:
    await api.office.open(areas={"pit": 5})
    body = {
        "eventId": "gala",
        "seatIds": ["gala:A-1-2", "gala:A-1-1"],
        "areas": [{"areaId": "pit", "quantity": 2}],
    }
    answer = await api.call("POST", BOOKING, ANN, json=body)
    booking = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{BOOKING}/{booking['id']}"
    held_ms, expires_ms = _ms(booking.pop("heldAt")), _ms(booking.pop("expiresAt"))
    assert expires_ms - held_ms == 60_000
    assert abs(held_ms - time.time() * 1000) < 5_000
    assert booking.pop("id").startswith("gala:")
    assert booking == {
        "eventId": "gala",
        "status": "pending",
        "seatIds": ["gala:A-1-2", "gala:A-1-1"],
        "areas": [{"areaId": "pit", "quantity": 2}],
        "amountMinor": 4800,
        "currency": "EUR",
        "late": False,
        "confirmedAt": None,
        "endedAt": None,
        "refundMinor": 0,
        "refundReason": None,
        "paymentProcessing": False,
        "together": None,
    }
    again = await api.call("GET", answer.headers["location"], ANN)
    assert again.json() == answer.json()


SEAT = "gala:A-1-1"
PIT = {"areaId": "pit", "quantity": 1}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "seatIds"),
        ({"eventId": "gala"}, "seatIds"),
        ({"seatIds": []}, "seatIds"),
        ({"eventId": "gala", "areas": []}, "areas"),
        ({"seatId": ""}, "seatId"),
        ({"seatId": None}, "seatId"),
        ({"seatId": 7}, "seatId"),
        ({"seatId": [SEAT]}, "seatId"),
        ({"seatIds": SEAT}, "seatIds"),
        ({"seatIds": [SEAT, 7]}, "seatIds[1]"),
        ({"seatId": SEAT, "seatIds": ["gala:A-1-2"]}, "seatIds"),
        ({"seatIds": [SEAT, SEAT]}, "seatIds"),
        ({"seatIds": [f"gala:A-1-{n}" for n in range(51)]}, "seatIds"),
        ({"seatIds": [SEAT, "opera:A-1-1"]}, "eventId"),
        ({"seatId": SEAT, "eventId": "opera"}, "eventId"),
        ({"seatId": SEAT, "customerId": "bob"}, "customerId"),
        ({"seatId": SEAT, "priceMinor": 1}, "priceMinor"),
        ({"seatId": SEAT, "status": "confirmed"}, "status"),
        ({"areas": [PIT]}, "eventId"),
        ({"eventId": "gala", "areas": [PIT, PIT]}, "areas"),
        ({"eventId": "gala", "areas": [{"areaId": "pit"}]}, "areas[0].quantity"),
        ({"eventId": "gala", "areas": [{"quantity": 1}]}, "areas[0].areaId"),
        ({"eventId": "gala", "areas": [PIT | {"price": 0}]}, "areas[0].price"),
        *(
            ({"eventId": "gala", "areas": [PIT | {"quantity": bad}]}, "areas[0].quantity")
            for bad in (0, -5, 2.5, 51, 10**30, "1", None, True)
        ),
        *(
            ({"eventId": "gala", "areas": [PIT | {"areaId": bad}]}, "areas[0].areaId")
            for bad in ("{}", "pit\n", "a:b", "é", "", "p" * 201, 7)
        ),
        *(
            ({"seatId": bad}, "seatId")
            for bad in (
                "A-1-1",
                "{}:A-1-1",
                "gala:{}",
                "gala:A-1-1\n",
                "gala:A:1",
                "\u0261ala:A-1-1",
            )
        ),
        *(
            ({"seatId": SEAT, "eventId": bad}, "eventId")
            for bad in ("{}", "gala:", "gala\n", "", "g" * 65)
        ),
    ],
)
async def test_hold_seats_with_an_invalid_body_names_the_field(
    api: Api, body: object, field: str
) -> None:
    await api.office.open(areas={"pit": 5})
    problem = await api.refused(422, "invalid", "POST", BOOKING, ANN, json=body)
    assert problem["field"] == field


@pytest.mark.parametrize(
    ("body", "status", "code", "found"),
    [
        ({"seatId": "opera:A-1-1"}, 404, "event_not_found", {}),
        ({"seatIds": [SEAT, "gala:Z"]}, 404, "seat_not_found", {"seatIds": ["gala:Z"]}),
        (
            {"eventId": "gala", "areas": [PIT | {"areaId": "roof"}]},
            *(404, "area_not_found", {"areaIds": ["roof"]}),
        ),
        (
            {"seatIds": [SEAT, "gala:A-2-1"]},
            *(409, "seat_taken", {"seatIds": ["gala:A-2-1"]}),
        ),
        (
            {"eventId": "gala", "areas": [PIT | {"quantity": 3}]},
            *(409, "area_full", {"areaIds": ["pit"]}),
        ),
        (
            {"seatIds": [f"gala:A-1-{n}" for n in range(1, 6)]},
            *(422, "too_many_seats", {"limit": 4}),
        ),
        (
            {"seatIds": [f"gala:A-1-{n}" for n in range(1, 5)]},
            *(409, "limit_reached", {"limit": 3, "count": 0}),
        ),
    ],
)
async def test_hold_seats_that_is_refused_says_what_was_found(
    api: Api, body: object, status: int, code: str, found: dict[str, object]
) -> None:
    await api.office.open(areas={"pit": 2}, seats_max=4, customer_max=3)
    await api.held("bob", "A-2-1")
    problem = await api.refused(status, code, "POST", BOOKING, ANN, json=body)
    assert {name: problem[name] for name in found} == found


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"sales": "paused"}, "paused"),
        ({"sales": "closed"}, "closed"),
        ({"opens_at_ms": 4_000_000_000_000}, "not_yet"),
        ({"closes_at_ms": 1}, "ended"),
    ],
)
async def test_hold_seats_while_not_on_sale_says_why(
    api: Api, terms: dict[str, object], reason: str
) -> None:
    await api.office.open(**terms)
    body = {"seatId": SEAT}
    problem = await api.refused(409, "sales_closed", "POST", BOOKING, ANN, json=body)
    assert problem["reason"] == reason


async def test_hold_seats_repeated_with_its_key_has_one_effect(api: Api) -> None:
    await api.office.open()
    key = {"idempotency-key": "order 17"}
    first, *others = await asyncio.gather(
        *(api.hold("ann", "A-1-1", headers=key) for _ in range(9))
    )
    assert {answer.status_code for answer in (first, *others)} == {201}
    assert {answer.text for answer in others} == {first.text}
    assert await api.office.map() == "haaaa/aaaaa"
    same_key_of_bob = await api.hold("bob", "A-1-2", headers=key)
    assert same_key_of_bob.status_code == 201


async def test_hold_seats_with_the_key_of_another_body_is_422(api: Api) -> None:
    await api.office.open()
    key = {"idempotency-key": "k"}
    await api.hold("ann", "A-1-1", headers=key)
    body = {"seatId": "gala:A-1-2"}
    await api.refused(422, "request_reused", "POST", BOOKING, ANN | key, json=body)


@pytest.mark.parametrize("key", ["", " ", "k" * 256, "a\tb", "caf\u00e9"])
async def test_hold_seats_with_a_bad_key_is_400(api: Api, key: str) -> None:
    await api.office.open()
    headers = {**ANN, "idempotency-key": key.encode("latin-1")}
    problem = await api.refused(400, "malformed", "POST", BOOKING, headers, json={"seatId": SEAT})
    assert problem["field"] == "Idempotency-Key"


async def test_confirm_booking_repeats_and_refuses_what_ended(api: Api) -> None:
    await api.office.open()
    booking = await api.held("ann", "A-1-1")
    path = f"{PAYMENT}/{booking['id']}/confirm"
    answers = await asyncio.gather(*(api.call("POST", path, ANN) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert (await api.office.kinds()).count("booking_confirmed") == 1
    assert "confirmedAt" in answers[0].json()
    await api.refused(409, "already_confirmed", "DELETE", f"{BOOKING}/{booking['id']}", ANN)
    cancelled = await api.call("POST", f"{BOOKING}/{booking['id']}/cancel", ANN)
    assert cancelled.json()["refundMinor"] == 1500
    assert cancelled.json()["refundReason"] == "cancelled"
    await api.refused(410, "booking_cancelled", "POST", path, ANN)


async def test_release_booking_frees_its_seats_and_repeats(api: Api) -> None:
    await api.office.open()
    booking = await api.held("ann", "A-1-1")
    path = f"{BOOKING}/{booking['id']}"
    for _ in range(2):
        released = await api.call("DELETE", path, ANN)
        assert (released.status_code, released.json()["status"]) == (200, "released")
    assert await api.office.map() == "aaaaa/aaaaa"
    await api.refused(410, "booking_released", "POST", f"{path}/extend", ANN)
    await api.refused(410, "booking_released", "POST", f"{path}/cancel", ANN)


async def test_extend_booking_moves_the_deadline_until_the_cap(api: Api) -> None:
    await api.office.open(hold_max_ms=60_001)
    api.office.now_ms = int(time.time() * 1000) - 30_000
    booking = await api.office.hold("ann", "A-1-1")
    path = f"{BOOKING}/{booking.id}/extend"
    extended = await api.call("POST", path, ANN)
    assert _ms(extended.json()["expiresAt"]) == booking.expires_at_ms + 1
    problem = await api.refused(409, "extend_limit", "POST", path, ANN)
    assert problem["expiresAt"] == extended.json()["expiresAt"]


async def test_cancel_booking_that_is_pending_is_409(api: Api) -> None:
    await api.office.open()
    booking = await api.held("ann", "A-1-1")
    await api.refused(409, "not_confirmed", "POST", f"{BOOKING}/{booking['id']}/cancel", ANN)


async def test_booking_past_its_deadline_is_gone_and_pays_late(api: Api) -> None:
    await api.office.open()
    api.office.now_ms = int(time.time() * 1000) - 120_000
    overdue = (await api.office.hold("ann", "A-1-1", "A-1-2")).id
    beaten = (await api.office.hold("ann", "A-2-1")).id
    await api.refused(410, "booking_expired", "POST", f"{BOOKING}/{overdue}/extend", ANN)
    late = await api.call("POST", f"{PAYMENT}/{overdue}/confirm", ANN)
    assert (late.status_code, late.json()["late"]) == (200, True)
    assert (await api.hold("bob", "A-2-1")).status_code == 201
    refunded = await api.call("POST", f"{PAYMENT}/{beaten}/confirm", ANN)
    assert refunded.status_code == 409
    assert refunded.json() | {"type": ""} == {
        "type": "",
        "title": "Refund due",
        "status": 409,
        "detail": "the payment came too late and a refund is recorded",
        "code": "refund_due",
        "refundMinor": 1500,
        "refundReason": "seat_taken",
    }


async def test_list_bookings_pages_over_every_event_and_shows_only_ones_own(api: Api) -> None:
    await api.office.open()
    mine = [(await api.held("ann", f"A-1-{n}"))["id"] for n in range(1, 4)]
    await api.held("bob", "A-2-1")
    for path in (f"{BOOKING}/mine?eventId=gala", f"{BOOKING}/mine?limit=2"):
        found, cursor = [], ""
        while True:
            page = (await api.call("GET", f"{path}{cursor}", ANN)).json()
            found += [booking["id"] for booking in page["data"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert found == mine[::-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"limit={bad}", "limit") for bad in ("0", "101", "-1", "x", "2.5", "")),
        *((f"cursor={bad}", "cursor") for bad in ("x", "gala:x", ":", "%7B%7D:", "")),
        ("eventId=gala&cursor=opera:", "cursor"),
        ("eventId=%7B%7D", "eventId"),
        ("limit=1&limit=2", "limit"),
    ],
)
async def test_list_bookings_with_a_bad_parameter_names_it(
    api: Api, query: str, field: str
) -> None:
    await api.office.open()
    problem = await api.refused(422, "invalid", "GET", f"{BOOKING}/mine?{query}", ANN)
    assert problem["field"] == field
