"""The rules of every call: a repeated request has one effect, every request has an id."""

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from api.http.calls import Route
from api.routes import ROUTES
from engine.errors import OutcomeUnknown
from engine.events import Events
from engine.idempotency import CLAIM_MS, KEEP_MS
from engine.ids import CustomerId, EventId
from engine.models import Event
from tests.api.case import Case
from tests.api.cases import CASES, PLAN
from tests.api.client import BOOKING, EVENT, Api, Headers, bearer
from tests.api.test_routes import UNKNOWN, _owner
from tests.support.factories import layout, terms

ANN, ORLA = bearer("ann"), bearer("orla", "organizer")
REPEATABLE = {
    "hold_seats": "the key is kept by its own script",
    "confirm_booking": "a confirmed booking stays as it is",
    "cancel_booking": "so does a cancelled one",
    "receive_notice": "the provider's id of the payment is the key",
    "receive_stripe_event": "the id of the payment is the key",
    "settle_refund": "a settled refund stays as it is",
    "add_permission": "a role has a permission once",
    "assign_role": "an account has one role",
}
"""POSTs that keep no answer, and why they need not."""

OTHER = {
    "create_event": {"name": "Another"},
    "create_webhook": {"url": "https://another.example/hook"},
}
"""What makes another request of one that has no id in its path."""


def _named(route: Route) -> str:
    return f"{route.method} {route.path}"


keyed = pytest.mark.parametrize("route", [r for r in ROUTES if r.keyed], ids=_named)


async def _case(api: Api, route: Route) -> Case:
    await api.office.open(owner_id="orla")
    return await CASES[route.name, route.path](api)


def _with_key(caller: Headers, key: str = "k-1") -> Headers:
    return {**caller, "idempotency-key": key}


def test_every_post_behind_a_permission_keeps_its_answer_or_says_why_not() -> None:
    posts = [route for route in ROUTES if route.method == "POST"]
    assert {route.name for route in posts if route.repeatable} == set(REPEATABLE)
    for route in posts:
        assert route.keyed or route.repeatable or route.permission is None, route.name


@keyed
async def test_post_repeated_with_its_key_has_one_effect_and_one_answer(
    api: Api, route: Route
) -> None:
    path, body = await _case(api, route)
    caller = _with_key(_owner(route))
    first = await api.call(route.method, path, caller, json=body)
    assert first.status_code == route.status, first.text
    before = await api.office.everything()
    again = await api.call(route.method, path, caller, json=body)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers.get("location") == first.headers.get("location")
    assert await api.office.everything() == before


@keyed
async def test_key_of_another_request_is_422(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    caller = _with_key(_owner(route))
    first = await api.call(route.method, path, caller, json=body)
    assert first.status_code == route.status, first.text
    other = {**body, **OTHER.get(route.name, {})} if isinstance(body, dict) else body
    for name, absent in UNKNOWN.items():
        if f"{{{name}}}" in route.path:
            path = route.path.replace(f"{{{name}}}", absent)
    await api.refused(422, "request_reused", route.method, path, caller, json=other)


async def test_key_of_another_caller_is_another_key(api: Api) -> None:
    for name in ("orla", "olga"):
        caller = _with_key(bearer(name, "organizer"))
        answer = await api.call("POST", f"{EVENT}?id={name}", caller, json=PLAN)
        assert (answer.status_code, answer.json()["id"]) == (201, name)


async def test_key_of_a_hold_of_another_event_is_another_key(api: Api) -> None:
    """The hold script keeps it in the slot of its event, where it is free."""
    await api.office.open()
    await api.office.engine.events.load_event(EventId("opera"), layout(), terms())
    held = [
        await api.call("POST", BOOKING, _with_key(ANN), json={"seatId": f"{event}:A-1-1"})
        for event in ("gala", "opera", "gala", "opera")
    ]
    assert [answer.status_code for answer in held] == [201] * 4
    ids = [answer.json()["id"] for answer in held]
    assert ids[:2] == ids[2:]
    assert [booking_id.partition(":")[0] for booking_id in ids[:2]] == ["gala", "opera"]


async def test_request_under_way_is_409_until_it_is_done(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, finish = asyncio.Event(), asyncio.Event()
    load_event = Events.load_event

    async def slowly(*args: Any, **more: Any) -> Event:
        started.set()
        await finish.wait()
        return await load_event(*args, **more)

    monkeypatch.setattr(Events, "load_event", slowly)
    caller = _with_key(ORLA)
    first = asyncio.create_task(api.call("POST", EVENT, caller, json=PLAN))
    await started.wait()
    answer = await api.call("POST", EVENT, caller, json=PLAN)
    assert (answer.status_code, answer.json()["code"]) == (409, "request_in_progress")
    assert answer.headers["retry-after"] == "1"
    await api.refused(422, "request_reused", "POST", EVENT, caller, json={**PLAN, "name": "Other"})
    finish.set()
    created = await first
    assert created.status_code == 201
    again = await api.call("POST", EVENT, caller, json=PLAN)
    assert (again.status_code, again.content) == (201, created.content)


async def test_many_at_once_with_one_key_make_one_event(api: Api) -> None:
    caller = _with_key(ORLA)
    calls = [api.call("POST", EVENT, caller, json=PLAN) for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} <= {201, 409}
    created = {answer.content for answer in answers if answer.status_code == 201}
    assert len(created) == 1
    assert len((await api.call("GET", EVENT)).json()["data"]) == 1


async def test_refused_request_may_be_tried_again_with_its_key(api: Api) -> None:
    await api.office.open(owner_id="orla")
    caller = _with_key(ORLA)
    path = f"{EVENT}?id=gala"
    await api.refused(409, "event_exists", "POST", path, caller, json=PLAN)
    await api.refused(409, "event_exists", "POST", path, caller, json=PLAN)
    fixed = await api.call("POST", f"{EVENT}?id=recital", caller, json=PLAN)
    assert fixed.status_code == 201


async def test_lost_answer_does_not_make_a_second_event(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_event = Events.load_event

    async def unheard(*args: Any, **more: Any) -> Event:
        await load_event(*args, **more)
        raise OutcomeUnknown("the answer was lost")

    monkeypatch.setattr(Events, "load_event", unheard)
    caller = _with_key(ORLA)
    lost = await api.call("POST", EVENT, caller, json=PLAN)
    assert (lost.status_code, lost.json()["code"]) == (503, "outcome_unknown")
    monkeypatch.undo()
    await api.refused(409, "event_exists", "POST", EVENT, caller, json=PLAN)
    assert len((await api.call("GET", EVENT)).json()["data"]) == 1


async def test_extend_with_one_key_moves_the_deadline_once(api: Api) -> None:
    await api.office.open(hold_ttl_ms=60_000, hold_max_ms=600_000)
    api.office.now_ms = int(time.time() * 1000) - 30_000
    path = f"{BOOKING}/{(await api.office.hold('ann', 'A-1-1')).id}/extend"
    first = await api.call("POST", path, _with_key(ANN))
    again = await api.call("POST", path, _with_key(ANN))
    assert first.json()["expiresAt"] == again.json()["expiresAt"]
    other = await api.call("POST", path, _with_key(ANN, "k-2"))
    assert other.json()["expiresAt"] > first.json()["expiresAt"]


async def test_kept_answer_lives_a_day_and_a_claim_a_minute(api: Api, redis: Redis) -> None:
    ann = CustomerId("ann")
    assert await api.office.engine.idempotency.begin(ann, "k-1", b"d" * 16) is None
    [claim] = await redis.keys("answered:*")
    assert 0 < await redis.pttl(claim) <= CLAIM_MS
    await api.office.engine.idempotency.keep(ann, "k-1", b"d" * 16, b"answer")
    assert CLAIM_MS < await redis.pttl(claim) <= KEEP_MS
    assert await api.office.engine.idempotency.begin(ann, "k-1", b"d" * 16) == b"answer"


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "caf\u00e9", "a\tb"])
@keyed
async def test_key_that_is_none_is_400(api: Api, route: Route, key: str) -> None:
    path, body = await _case(api, route)
    sent = {
        name.encode(): value.encode("latin-1")
        for name, value in _with_key(_owner(route), key).items()
    }
    problem = await api.refused(400, "malformed", route.method, path, json=body, headers=sent)
    assert problem["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("status", "method", "path", "caller"),
    [
        (401, "POST", BOOKING, {}),
        (403, "POST", EVENT, ANN),
        (404, "GET", f"{EVENT}/nothing", {}),
        (404, "GET", "/nothing", {}),
        (405, "PUT", BOOKING, ANN),
        (415, "POST", BOOKING, {**ANN, "content-type": "text/plain"}),
        (422, "GET", f"{EVENT}?limit=0", {}),
        (431, "GET", EVENT, {f"x-{number}": "x" for number in range(120)}),
    ],
)
async def test_refusal_has_the_id_of_its_request(
    api: Api, status: int, method: str, path: str, caller: Headers
) -> None:
    body = {} if method == "GET" else {"content": b"x"}
    answer = await api.call(method, path, {**caller, "x-request-id": "r-1"}, **body)
    assert (answer.status_code, answer.headers["x-request-id"]) == (status, "r-1")


async def test_event_has_a_tag_that_changes_with_it(api: Api) -> None:
    await api.office.open(owner_id="orla")
    path = f"{EVENT}/gala"
    tag = (await api.call("GET", path)).headers["etag"]
    known = {"if-none-match": tag}
    again = await api.call("GET", path, known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    await api.office.hold("ann", "A-1-1")
    changed = await api.call("GET", path, known)
    assert (changed.status_code, changed.json()["counts"]["held"]) == (200, 1)
    assert changed.headers["etag"] != tag
