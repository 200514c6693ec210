"""Webhooks of organisers over HTTP: made, seen, replayed and deleted, each by its owner alone."""

import base64
from typing import Any

import msgspec
import pytest
from httpx2 import ASGITransport, AsyncClient

from api.app import create_app
from api.webhooks import WEBHOOKS_MAX
from engine import Settings
from engine.models import Booking
from persistence.delivery.deliveries import Deliveries
from persistence.journal.tables import Store
from tests.api.client import WEBHOOK, Api, Headers
from tests.api.payment_cases import HOOK, NEW, URL, eve, hook, orla, pool_of, root
from tests.persistence.entries import booking, entry, loaded
from tests.support.factories import layout
from tests.support.raw_redis import raw

pytestmark = pytest.mark.usefixtures("database_url")


async def _create(api: Api, caller: Headers | None = None, **over: object) -> dict[str, Any]:
    answer = await api.call("POST", WEBHOOK, caller or orla(), json={**NEW, **over})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _sold(api: Api, *bookings: Booking) -> None:
    """Let Postgres know the gala and what was sold, and make the deliveries."""
    store = Store(await pool_of(api))
    told = loaded(1, layout())
    event = {**(told.event or {}), "owner_id": "orla"}
    await store.write([msgspec.structs.replace(told, event=event)])
    await store.write([entry(10 + n, one) for n, one in enumerate(bookings)])
    await Deliveries(await pool_of(api)).make(100)


async def test_webhook_is_made_with_a_secret_that_is_shown_once(api: Api) -> None:
    await api.office.open(owner_id="orla")
    made = await _create(api)
    assert len(base64.b64decode(made.pop("secret").removeprefix("whsec_"))) == 32
    assert (made["url"], made["kinds"], made["eventId"]) == (URL, ["booking.confirmed"], "gala")
    read = await api.call("GET", f"{WEBHOOK}/{made['id']}", orla())
    assert read.json() == made
    assert (await api.call("GET", WEBHOOK, orla())).json() == {"data": [made], "next": None}


async def test_webhook_for_every_event_of_the_caller_needs_no_event(api: Api) -> None:
    body = {"url": URL, "kinds": ["booking.expired", "refund.due", "booking.expired"]}
    answer = await api.call("POST", WEBHOOK, eve(), json=body)
    assert answer.status_code == 201
    assert answer.json()["eventId"] is None
    assert answer.json()["kinds"] == ["booking.expired", "refund.due"]
    assert answer.headers["location"] == f"{WEBHOOK}/{answer.json()['id']}"


async def test_webhook_made_again_with_the_same_key_is_one(api: Api) -> None:
    await api.office.open(owner_id="orla")
    key = {"idempotency-key": "once"}
    first = await api.call("POST", WEBHOOK, orla(), json=NEW, headers=key)
    again = await api.call("POST", WEBHOOK, orla(), json=NEW, headers=key)
    assert first.json() == again.json()
    await raw(api.office.engine).flushall()  # the kept answer is lost
    await api.office.open(owner_id="orla")
    again = await api.call("POST", WEBHOOK, orla(), json=NEW, headers=key)
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["secret"] != first.json()["secret"]
    assert len((await api.call("GET", WEBHOOK, orla())).json()["data"]) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        *(
            ({**NEW, "url": url}, "url")
            for url in (
                *("", 7, None, "nonsense", "http://example.org/", "ftp://example.org/"),
                *("https://127.0.0.1/", "https://[::1]/", "https://10.1.2.3/", "https://"),
                *("https://169.254.169.254/latest/meta-data", "https://u:p@example.org/"),
                *("https://ex\u00e4mple.org/", "https://example.org/\0", "https://a\r\nb: c/"),
                *("https://example.org:0/", "https://example.org:x/", "javascript:alert(1)"),
                "https://example.org/" + "x" * 2000,
            )
        ),
        ({**NEW, "kinds": []}, "kinds"),
        *(({**NEW, "kinds": kinds}, "kinds") for kinds in ("booking.confirmed", None, 7)),
        ({**NEW, "kinds": ["booking.held"]}, "kinds[0]"),
        ({**NEW, "kinds": ["refund.due"] * 5}, "kinds"),
        ({**NEW, "eventId": "{gala}"}, "eventId"),
        ({**NEW, "eventId": "gala\n"}, "eventId"),
        ({"url": URL}, "kinds"),
        ({"kinds": ["refund.due"]}, "url"),
        *(({**NEW, name: "x"}, name) for name in ("secret", "ownerId", "id", "anyOwner")),
    ],
)
async def test_webhook_with_a_wrong_body_names_the_field(
    api: Api, body: object, field: str
) -> None:
    await api.office.open(owner_id="orla")
    problem = await api.refused(422, "invalid", "POST", WEBHOOK, orla(), json=body)
    assert problem["field"] == field
    assert await (await pool_of(api)).fetchval("SELECT count(*) FROM webhooks") == 0


async def test_webhook_into_our_own_network_is_made_only_if_a_setting_says_so(
    api: Api, settings: Settings
) -> None:
    await api.office.open(owner_id="orla")
    app = create_app(msgspec.structs.replace(settings, webhook_allow_insecure=True), api.stores)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://api") as http,
    ):
        body = {**NEW, "url": "http://127.0.0.1:8000/hook"}
        assert (await http.post(WEBHOOK, headers=orla(), json=body)).status_code == 201


async def test_webhook_for_a_strangers_event_is_refused_and_for_an_admin_made(api: Api) -> None:
    await api.office.open(owner_id="orla")
    await api.refused(403, "not_owner", "POST", WEBHOOK, eve(), json=NEW)
    unknown = {**NEW, "eventId": "other"}
    await api.refused(404, "event_not_found", "POST", WEBHOOK, root(), json=unknown)
    made = await _create(api, root())
    await _create(api)
    await _sold(api, booking(1, "confirmed", 1))
    found = (await api.call("GET", f"{WEBHOOK}/{made['id']}/deliveries", root())).json()["data"]
    assert [one["bookingId"] for one in found] == [booking(1, "confirmed", 1).id]


async def _listed(api: Api, caller: Headers) -> list[str]:
    answer = await api.call("GET", WEBHOOK, caller, params={"eventId": "gala"})
    assert answer.status_code == 200
    return [one["ownerId"] for one in answer.json()["data"]]


async def test_owner_of_an_event_and_admins_see_and_end_every_webhook_of_it(api: Api) -> None:
    await api.office.open(owner_id="orla")
    made = await _create(api, root())
    await hook(api)  # orla's, for all her events
    await hook(api, "0" * 26, "eve")  # eve's, for all of hers
    await _sold(api, booking(1, "confirmed", 1))
    path = f"{WEBHOOK}/{made['id']}"
    for caller in (orla(), root()):
        assert sorted(await _listed(api, caller)) == ["orla", "root"]
        assert (await api.call("GET", path, caller)).json()["ownerId"] == "root"
        found = (await api.call("GET", f"{path}/deliveries", caller)).json()["data"]
        assert len(found) == 1
    query = {"eventId": "gala"}
    await api.refused(403, "not_owner", "GET", WEBHOOK, eve(), params=query)
    await api.refused(404, "event_not_found", "GET", WEBHOOK, orla(), params={"eventId": "x"})
    await api.refused(404, "webhook_not_found", "DELETE", path, eve())

    assert (await api.call("DELETE", path, orla())).status_code == 200
    assert await _listed(api, root()) == ["orla"]
    assert (await api.call("DELETE", f"{WEBHOOK}/{HOOK}", root())).status_code == 200
    assert await _listed(api, orla()) == []


async def test_webhooks_of_one_owner_are_bounded_and_listed_by_pages(api: Api) -> None:
    await api.office.open(owner_id="orla")
    await _create(api, root())
    ids = [(await _create(api))["id"] for _ in range(WEBHOOKS_MAX)]
    problem = await api.refused(409, "webhook_limit", "POST", WEBHOOK, orla(), json=NEW)
    assert problem["limit"] == WEBHOOKS_MAX
    first = (await api.call("GET", WEBHOOK, orla(), params={"limit": 15})).json()
    query = {"limit": 15, "cursor": first["next"]}
    rest = (await api.call("GET", WEBHOOK, orla(), params=query)).json()
    assert [one["id"] for one in first["data"] + rest["data"]] == sorted(ids)
    assert rest["next"] is None
    bad = {"cursor": "a\0b"}
    await api.refused(422, "invalid", "GET", WEBHOOK, orla(), params=bad)


async def test_deleted_webhook_is_gone_with_its_deliveries(api: Api) -> None:
    await api.office.open(owner_id="orla")
    path = f"{WEBHOOK}/{await hook(api)}"
    await _sold(api, booking(1, "confirmed", 1))
    deleted = await api.call("DELETE", path, orla())
    assert (deleted.status_code, deleted.json()["url"]) == (200, URL)
    await api.refused(404, "webhook_not_found", "GET", path, orla())
    await api.refused(404, "webhook_not_found", "DELETE", path, orla())
    pool = await pool_of(api)
    assert await pool.fetchval("SELECT count(*) FROM webhook_deliveries") == 0


async def test_deliveries_are_listed_by_state_and_by_pages(api: Api) -> None:
    path = f"{WEBHOOK}/{await hook(api)}/deliveries"
    await _sold(api, *(booking(n, "confirmed", n) for n in range(1, 6)))
    pool = await pool_of(api)
    dead = "UPDATE webhook_deliveries SET state = 'dead', status = 500, done_at_ms = 1"
    await pool.execute(f"{dead} WHERE booking_id = $1", booking(2, "confirmed", 2).id)
    seen: list[str] = []
    query: dict[str, str] = {"limit": "2"}
    while query["limit"]:
        page = (await api.call("GET", path, orla(), params=query)).json()
        seen += [one["bookingId"] for one in page["data"]]
        query = {"limit": "2", "cursor": page["next"]} if page["next"] else {"limit": ""}
    assert seen == [booking(n, "confirmed", n).id for n in (5, 4, 3, 2, 1)]
    (given_up,) = (await api.call("GET", path, orla(), params={"state": "dead"})).json()["data"]
    assert (given_up["state"], given_up["status"]) == ("dead", 500)
    assert given_up["kind"] == "booking.confirmed"
    assert given_up["nextAttemptAt"] is None
    assert given_up["doneAt"]
    problem = await api.refused(422, "invalid", "GET", path, orla(), params={"state": "lost"})
    assert problem["field"] == "state"


async def test_replay_one_delivery_or_all_from_a_time(api: Api) -> None:
    webhook = f"{WEBHOOK}/{await hook(api)}"
    await _sold(api, booking(1, "confirmed", 1), booking(2, "expired", 2))
    pool = await pool_of(api)
    await pool.execute("UPDATE webhook_deliveries SET state = 'dead', attempt_count = 10")
    found = (await api.call("GET", f"{webhook}/deliveries", orla())).json()["data"]

    one = {"deliveryId": found[0]["id"]}
    assert (await api.call("POST", f"{webhook}/replay", orla(), json=one)).json()["count"] == 1
    states = (await api.call("GET", f"{webhook}/deliveries", orla())).json()["data"]
    assert [(d["state"], d["attemptCount"]) for d in states] == [("pending", 0), ("dead", 10)]

    since = {"from": "1970-01-01T00:00:00Z"}
    assert (await api.call("POST", f"{webhook}/replay", orla(), json=since)).json()["count"] == 2
    for edge, count in (("0001-01-01T00:00:00+14:00", 2), ("9999-12-31T23:59:59-14:00", 0)):
        answer = await api.call("POST", f"{webhook}/replay", orla(), json={"from": edge})
        assert answer.json() == {"count": count, "nextFrom": None}


@pytest.mark.parametrize(
    ("status", "code", "body"),
    [
        (422, "invalid", {}),
        (422, "invalid", {"from": "2030-01-01T00:00:00Z", "deliveryId": "msg_" + "0" * 32}),
        (422, "invalid", {"from": "yesterday"}),
        (422, "invalid", {"from": "2030-01-01T00:00:00"}),
        (422, "invalid", {"from": 7}),
        (422, "invalid", {"from_": "2030-01-01T00:00:00Z"}),
        (422, "invalid", {"deliveryId": None}),
        (404, "delivery_not_found", {"deliveryId": "msg_" + "0" * 32}),
        (404, "delivery_not_found", {"deliveryId": "\0"}),
        (404, "delivery_not_found", {"deliveryId": "' OR 1=1 --"}),
    ],
)
async def test_replay_of_what_is_not_there_is_refused(
    api: Api, status: int, code: str, body: object
) -> None:
    path = f"{WEBHOOK}/{await hook(api)}/replay"
    await api.refused(status, code, "POST", path, orla(), json=body)


async def test_webhook_of_a_stranger_is_not_found_and_its_list_is_empty(api: Api) -> None:
    path = f"{WEBHOOK}/{await hook(api)}"
    assert (await api.call("GET", WEBHOOK, eve())).json() == {"data": [], "next": None}
    for method, way, body in (
        *(("GET", path, None), ("DELETE", path, None), ("GET", f"{path}/deliveries", None)),
        ("POST", f"{path}/replay", {"from": "2030-01-01T00:00:00Z"}),
    ):
        await api.refused(404, "webhook_not_found", method, way, eve(), json=body)
    assert (await api.call("GET", path, orla())).status_code == 200


async def test_webhooks_without_postgres_are_503(settings: Settings, api: Api) -> None:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://api") as http,
    ):
        answer = await http.get(WEBHOOK, headers=orla())
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
