"""Refund obligations: permissions to list and settle them; each is settled once."""

import pytest

from engine.models import Booking
from persistence.journal.tables import Store
from tests.api.client import BOOKING, EVENT, REFUND, Api, bearer
from tests.api.payment_cases import OWED, eve, orla, owe, pool_of, root
from tests.persistence.entries import booking, entry
from tests.persistence.sale import Sale
from tests.support.raw_redis import raw

pytestmark = pytest.mark.usefixtures("database_url")

REFUNDS = f"{EVENT}/gala/refunds"


def _owed(n: int) -> Booking:
    return booking(n, "cancelled", 1, refund_minor=100 * n, refund_reason="cancelled")


async def _open(api: Api, *owed: Booking) -> None:
    await api.office.open(owner_id="orla")
    await Store(await pool_of(api)).write([entry(10 + n, one) for n, one in enumerate(owed)])


async def test_refund_is_shown_and_settled_once_by_whoever_says_so_first(api: Api) -> None:
    await _open(api)
    booking_id = await owe(api)
    (shown,) = (await api.call("GET", REFUNDS, orla())).json()["data"]
    assert shown.pop("id").startswith("ref_")
    assert shown == {
        "paymentId": f"unchecked:{booking_id[5:]}",
        "bookingId": booking_id,
        "eventId": "gala",
        "customerId": "customer-1",
        "amountMinor": 1500,
        "currency": "EUR",
        "reason": "cancelled",
        "dueAt": "1970-01-01T00:00:00.010Z",
        "settledAt": None,
        "settledBy": None,
        "reference": None,
    }
    path = f"{REFUND}/{booking_id}/settle"
    first = await api.call("POST", path, orla(), json={"reference": "bank 77"})
    assert first.status_code == 200
    assert (first.json()["settledBy"], first.json()["reference"]) == ("orla", "bank 77")
    for caller, body in ((orla(), {"reference": "bank 78"}), (root(), {}), (orla(), None)):
        again = await api.call("POST", path, caller, json=body)
        assert again.json() == first.json()
    assert (await api.call("GET", REFUNDS, orla())).json()["data"] == [first.json()]


async def test_refund_is_settled_without_a_body(api: Api) -> None:
    await _open(api)
    answer = await api.call("POST", f"{REFUND}/{await owe(api)}/settle", orla())
    assert answer.status_code == 200
    assert answer.json()["settledBy"] == "orla"
    assert answer.json()["reference"] is None


async def test_settled_refund_stays_so_when_the_writer_comes_again(api: Api) -> None:
    await _open(api)
    settled = await api.call("POST", f"{REFUND}/{await owe(api)}/settle", orla())
    await owe(api)
    assert (await api.call("GET", REFUNDS, orla())).json()["data"] == [settled.json()]


async def test_refunds_are_listed_by_pages_the_oldest_first(api: Api) -> None:
    await _open(api, *(_owed(n) for n in (3, 1, 2, 5, 4)))
    for n in (1, 5):
        await api.call("POST", f"{REFUND}/{_owed(n).id}/settle", orla())

    async def listed(**query: str) -> list[int]:
        seen: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            more = {"cursor": cursor} if cursor else {}
            answer = await api.call("GET", REFUNDS, orla(), params={"limit": "2", **query, **more})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            seen += [one["amountMinor"] // 100 for one in page["data"]]
            cursor = page["next"]
        return seen

    assert await listed() == [3, 1, 2, 5, 4]
    assert await listed(settled="true") == [1, 5]
    assert await listed(settled="false") == [3, 2, 4]


async def test_refunds_of_a_stranger_are_refused(api: Api) -> None:
    await _open(api)
    booking_id = await owe(api)
    await api.refused(403, "not_owner", "GET", REFUNDS, eve())
    await api.refused(403, "not_owner", "POST", f"{REFUND}/{booking_id}/settle", eve(), json={})
    await api.refused(403, "forbidden", "GET", REFUNDS, bearer("ann"))
    pool = await pool_of(api)
    assert await pool.fetchval("SELECT settled_at_ms FROM refund_obligations") is None
    assert (await api.call("GET", REFUNDS, root())).status_code == 200


async def test_money_of_an_event_that_redis_lost_is_shown_and_settled(api: Api) -> None:
    redis = raw(api.office.engine)
    sale = Sale(api.office.engine, await pool_of(api), redis)
    await _open(api)
    await sale.write()
    booking_id = await owe(api)
    await redis.flushall()
    settle, notices = f"{REFUND}/{booking_id}/settle", f"{EVENT}/gala/payments"
    for method, path in (("GET", REFUNDS), ("GET", notices), ("POST", settle)):
        await api.refused(403, "not_owner", method, path, eve())
        for caller in (orla(), root()):
            assert (await api.call(method, path, caller)).status_code == 200, path
    assert (await api.call("GET", REFUNDS, orla())).json()["data"][0]["settledBy"] == "orla"
    await api.refused(404, "event_not_found", "GET", f"{EVENT}/other/refunds", orla())


async def test_settle_where_nothing_is_owed_is_404(api: Api) -> None:
    await _open(api)
    await api.refused(
        404, "refund_not_found", "POST", f"{REFUND}/{OWED.id}/settle", orla(), json={}
    )
    other = OWED.id.replace("gala", "other")
    await api.refused(404, "event_not_found", "POST", f"{REFUND}/{other}/settle", orla(), json={})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        *(
            ({"reference": bad}, "reference")
            for bad in ("", 7, None, "x" * 201, "a\0", "a\n", ["a"])
        ),
        *(({name: 1}, name) for name in ("amountMinor", "settledBy", "settledAt", "bookingId")),
    ],
)
async def test_settle_with_a_wrong_body_names_the_field(api: Api, body: object, field: str) -> None:
    await _open(api)
    path = f"{REFUND}/{await owe(api)}/settle"
    problem = await api.refused(422, "invalid", "POST", path, orla(), json=body)
    assert problem["field"] == field


async def test_settle_with_a_reference_in_any_script(api: Api) -> None:
    await _open(api)
    reference = "Überweisung №7 — 返金"
    body = {"reference": reference}
    answer = await api.call("POST", f"{REFUND}/{await owe(api)}/settle", orla(), json=body)
    assert answer.json()["reference"] == reference


@pytest.mark.parametrize(
    "cursor", ["x", "1", "1.x", "1.01J", ".", "9" * 99, "1.01JDTESTTESTTESTTESTTESTTE "]
)
async def test_refunds_from_a_cursor_that_is_none_is_422(api: Api, cursor: str) -> None:
    await _open(api)
    problem = await api.refused(422, "invalid", "GET", REFUNDS, orla(), params={"cursor": cursor})
    assert problem["field"] == "cursor"


async def test_refund_of_a_cancellation_reaches_its_organiser(api: Api) -> None:
    await _open(api)
    held = await api.held("ann", "A-1-1")
    await api.call("POST", f"/api/v1/payment/{held['id']}/confirm", bearer("ann"))
    await api.call("POST", f"{BOOKING}/{held['id']}/cancel", bearer("ann"))
    journal = api.office.engine.journal
    await journal.create_group("gala")  # type: ignore[arg-type]
    entries = await journal.read(["gala"], "test", count=100, block_ms=0)  # type: ignore[list-item]
    await Store(await pool_of(api)).write(entries)
    (shown,) = (await api.call("GET", REFUNDS, orla())).json()["data"]
    assert (shown["bookingId"], shown["customerId"]) == (held["id"], "ann")
