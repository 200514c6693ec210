"""Who confirms a booking, and who cancels one: the provider, the organiser, the customer."""

from collections.abc import AsyncIterator

import pytest
from httpx2 import ASGITransport, AsyncClient
from msgspec.structs import replace

from api.app import create_app
from api.http.permissions import ROLES
from api.stores import NoStores
from engine import Settings
from tests.api.client import BOOKING, NOTICE, PAYMENT, Api, bearer, token
from tests.api.payment_cases import notice
from tests.support.box_office import BoxOffice

CASH = {"boxOffice": True, "note": "cash, till 2"}


@pytest.fixture
async def checked(settings: Settings, office: BoxOffice) -> AsyncIterator[Api]:
    """The app with a payment provider and otherwise default settings."""
    app = create_app(replace(settings, payments="auto"), NoStores())
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://api") as http,
    ):
        await office.open(owner_id="orla")
        yield Api(http, office)


async def test_customers_do_not_confirm_where_a_provider_does(checked: Api) -> None:
    held = await checked.held("ann", "A-1-1")
    path = f"{PAYMENT}/{held['id']}/confirm"
    everything = {"authorization": f"Bearer {token('ann', ROLES['admin'])}"}
    for caller in (bearer("ann"), bearer("root", "admin"), everything):
        await checked.refused(403, "payment_by_provider", "POST", path, caller)
    await checked.refused(404, "booking_not_found", "POST", path, bearer("orla", "organizer"))
    answer = await checked.call("POST", NOTICE, json=notice(held["id"], paymentId="pi_1"))
    assert answer.json()["outcome"] == "confirmed"


@pytest.mark.parametrize("caller", [bearer("orla", "organizer"), bearer("root", "admin")])
async def test_organiser_confirms_what_was_paid_at_the_box_office(
    checked: Api, caller: dict[str, str]
) -> None:
    held = await checked.held("ann", "A-1-1")
    path = f"{PAYMENT}/{held['id']}/confirm"
    for stranger in (bearer("ann"), bearer("eve", "organizer")):
        await checked.refused(403, "not_owner", "POST", path, stranger, json=CASH)
    for _ in range(2):
        answer = await checked.call("POST", path, caller, json=CASH)
        assert (answer.status_code, answer.json()["status"]) == (200, "confirmed")
    (payment,) = (await checked.office.kept(held["id"])).payments
    assert (payment.source, payment.note) == ("box_office", CASH["note"])
    again = await checked.call("POST", NOTICE, json=notice(held["id"], paymentId="pi_1"))
    assert again.status_code == 503  # a second payment, and there is no Postgres to record it
    assert (await checked.office.kept(held["id"])).refund_minor == 1500


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"boxOffice": True}, "note"),
        ({"note": "cash"}, "note"),
        ({"boxOffice": True, "note": ""}, "note"),
        ({"boxOffice": True, "note": "a\nb"}, "note"),
        ({"boxOffice": "yes", "note": "cash"}, "boxOffice"),
        ({"amountMinor": 1}, "amountMinor"),
    ],
)
async def test_confirm_with_a_wrong_body_names_the_field(
    checked: Api, body: object, field: str
) -> None:
    held = await checked.held("ann", "A-1-1")
    path = f"{PAYMENT}/{held['id']}/confirm"
    problem = await checked.refused(422, "invalid", "POST", path, bearer("ann"), json=body)
    assert problem["field"] == field


async def test_customer_cancels_until_the_time_that_the_event_names(api: Api) -> None:
    await api.office.open(owner_id="orla", cancel_until_ms=1)
    held = await api.held("ann", "A-1-1")
    path = f"{BOOKING}/{held['id']}/cancel"
    await api.call("POST", f"{PAYMENT}/{held['id']}/confirm", bearer("ann"))
    problem = await api.refused(409, "cancel_closed", "POST", path, bearer("ann"))
    assert problem["cancelUntil"] == "1970-01-01T00:00:00.001Z"
    await api.refused(404, "booking_not_found", "POST", path, bearer("eve", "organizer"))
    answer = await api.call("POST", path, bearer("orla", "organizer"))
    assert (answer.status_code, answer.json()["refundMinor"]) == (200, 1500)


async def test_customer_of_an_event_without_the_term_does_not_cancel(api: Api) -> None:
    await api.office.open(owner_id="orla", cancel_until_ms=0)
    held = await api.held("ann", "A-1-1")
    await api.call("POST", f"{PAYMENT}/{held['id']}/confirm", bearer("ann"))
    problem = await api.refused(
        409, "cancel_closed", "POST", f"{BOOKING}/{held['id']}/cancel", bearer("ann")
    )
    assert "cancelUntil" not in problem
