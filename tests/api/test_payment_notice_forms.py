"""The form of the payment provider's notices: the problem names the wrong field."""

import pytest

from tests.api.client import NOTICE, Api


async def _open(api: Api) -> str:
    """The gala, and a booking of ann's that is pending. Its id."""
    await api.office.open(owner_id="orla")
    return (await api.office.hold("ann", "A-1-1")).id


@pytest.mark.parametrize("data", [None, 7, [], {"object": {"id": "ch_1"}}, "text"])
async def test_notice_of_another_kind_is_ignored_whatever_it_holds(api: Api, data: object) -> None:
    await _open(api)
    told = {"id": "evt_1", "type": "charge.dispute.created", "data": data}
    for ignored in (told, {"id": "evt_1", "type": "ping"}):
        answer = await api.call("POST", NOTICE, json=ignored)
        assert (answer.status_code, answer.json()["outcome"]) == (200, "ignored")


GOOD = {"bookingId": "gala:01JDTESTTESTTESTTESTTESTTE"}


def _told(**over: object) -> dict[str, object]:
    return {"id": "evt_1", "type": "payment.succeeded", "data": GOOD, **over}


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"type": "payment.succeeded", "data": GOOD}, "id"),
        *(
            (_told(id=bad), "id")
            for bad in (7, None, "", "a\0b", "a\n", "a b", "\u00e9", "x" * 256)
        ),
        *((_told(type=bad), "type") for bad in (7, None, "", ["payment.succeeded"], "x" * 101)),
        ({"id": "evt_1", "type": "payment.succeeded"}, "data"),
        *((_told(data=bad), "data") for bad in (None, 7, "text", [GOOD])),
        (_told(data={}), "data.bookingId"),
        *(
            (_told(data={"bookingId": bad}), "data.bookingId")
            for bad in (7, None, "", "a\0", "a\n", "\u00e9", "x" * 201, ["gala"])
        ),
        (_told(type="payment.failed", data={"bookingId": 7}), "data.bookingId"),
        *(
            (_told(data={**GOOD, "amountMinor": bad}), "data.amountMinor")
            for bad in (-1, 1.5, "1500.5", "-1", " 1500", "1e3", "", None, 10**14, 10**30, True)
        ),
        *(
            (_told(data={**GOOD, "paymentId": bad}), "data.paymentId")
            for bad in ("", "a b", "x" * 256, 7, None)
        ),
        *(
            (_told(data={**GOOD, "currency": bad}), "data.currency")
            for bad in ("", "EU", "EURO", "E1R", "EU\n", "EUR\n", 7, None)
        ),
    ],
)
async def test_notice_with_a_wrong_field_names_it(api: Api, told: object, field: str) -> None:
    await _open(api)
    problem = await api.refused(422, "invalid", "POST", NOTICE, json=told)
    assert problem["field"] == field


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"nonsense", b"[]", b"7", b"null"])
async def test_notice_that_is_no_object_is_refused_though_signed(api: Api, body: bytes) -> None:
    await _open(api)
    answer = await api.call("POST", NOTICE, content=body)
    assert answer.status_code in (400, 422)
