"""The three calls of the seed's README, one after the other, exactly as it shows them."""

from tests.api.client import Api, bearer


async def test_seed_calls_find_hold_and_pay_a_seat(api: Api) -> None:
    await api.office.open()
    ann = bearer("ann")

    found = await api.call("GET", "/api/v1/booking")
    seat = found.json()["data"][0]
    assert (found.status_code, seat["priceMinor"], seat["currency"]) == (200, 1500, "EUR")

    held = await api.call("POST", "/api/v1/booking", ann, json={"seatId": seat["id"]})
    booking = held.json()
    assert (held.status_code, booking["status"]) == (201, "pending")
    assert booking["seatIds"] == [seat["id"]]

    paid = await api.call("POST", f"/api/v1/payment/{booking['id']}/confirm", ann)
    assert (paid.status_code, paid.json()["status"]) == (200, "confirmed")

    left = await api.call("GET", "/api/v1/booking?limit=100")
    assert seat["id"] not in [other["id"] for other in left.json()["data"]]
