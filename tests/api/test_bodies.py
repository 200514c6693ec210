"""S3: unknown keys, in every body and at every depth: refused, nothing changed."""

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from api.http import decoding
from api.http.calls import Route
from api.http.decoding import FormBody, JsonBody
from api.http.problems import Problem
from api.routes import ROUTES
from tests.api.case import Case
from tests.api.cases import CASES
from tests.api.client import BOOKING, Api, bearer
from tests.api.test_routes import _owner

SMUGGLED: dict[str, object] = {
    "customerId": "eve",
    "customer_id": "eve",
    "ownerId": "eve",
    "owner_id": "eve",
    "role": "ADMIN",
    "permissions": ["role:assign"],
    "verified": True,
    "status": "confirmed",
    "amountMinor": 0,
    "price": 0,
    "price_minor": 0,
    "expiresAt": "2099-01-01T00:00:00Z",
    "holdTtlMs": 1,
    "epoch": 0,
    "__proto__": {"role": "ADMIN"},
    "constructor": {"prototype": {"role": "ADMIN"}},
    "$ref": "#/",
    "": "",
    "seatid": "gala:A-1-2",
    "seatId ": "gala:A-1-2",
    "seatId\u200b": "gala:A-1-2",
    "\u0455eatId": "gala:A-1-2",
}
FOREIGN = {"receive_notice", "receive_stripe_event"}
"""A body in a foreign format, which may have more keys; it is signed, see S8."""

with_body = pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.body and route.name not in FOREIGN],
    ids=lambda route: f"{route.method} {route.path}",
)


without_body = pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if not route.body],
    ids=lambda route: f"{route.method} {route.path}",
)
FORM_MEDIA = {"content-type": "application/x-www-form-urlencoded"}
UNREAD: tuple[tuple[bytes, dict[str, str], str | None], ...] = (
    (b'{"seatIds": ["gala:A-1-1"]}', {"content-type": "application/json"}, "seatIds"),
    (b'{"amountMinor": 1}', FORM_MEDIA, "amountMinor"),
    (b'{"": 1}', {}, ""),
    (b"amount%4dinor=1&x=2", FORM_MEDIA, "amountMinor"),
    (b"[]", {"content-type": "application/json"}, None),
    (b"null", {"content-type": "application/json"}, None),
    (b"{", {"content-type": "application/json"}, None),
    (b"\xff", {"content-type": "text/plain"}, None),
    (gzip.compress(b'{"a": 1}'), {"content-encoding": "gzip"}, None),
    (b"x" * 65_537, {"content-type": "text/plain"}, None),
)
"""Bodies that no call without one reads: content, headers, and the field that is named."""


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@without_body
async def test_body_of_a_call_that_takes_none_is_refused(api: Api, route: Route) -> None:
    path, _ = await _case(api, route)
    before = await api.office.everything()
    for content, headers, field in UNREAD:
        for sent in (content, _pieces(content[:1], content[1:])):
            caller = {**_owner(route), **headers}
            answer = await api.call(route.method, path, caller, content=sent)
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (422, "invalid"), (
                content[:40],
                problem,
            )
            assert problem.get("field") == field
            assert problem["detail"] == decoding.NO_BODY
    assert await api.office.everything() == before


@without_body
@pytest.mark.parametrize("empty", [b"", b"{}", b" { }\r\n", "streamed"], ids=str)
async def test_empty_body_is_no_body(api: Api, route: Route, empty: bytes | str) -> None:
    path, _ = await _case(api, route)
    content = _pieces(b"{", b"}") if isinstance(empty, str) else empty
    caller = {**_owner(route), "content-type": "application/json"}
    answer = await api.call(route.method, path, caller, content=content)
    assert answer.status_code == route.status, answer.text


async def test_cancellation_of_some_seats_cancels_none(api: Api) -> None:
    """It cancelled all of them: the seats that the body named were never read."""
    await api.office.open()
    booking = await api.office.confirm(await api.office.hold("ann", "A-1-1", "A-1-2"))
    some = {"seatIds": ["gala:A-1-1"]}
    path = f"{BOOKING}/{booking.id}/cancel"
    problem = await api.refused(422, "invalid", "POST", path, bearer("ann"), json=some)
    assert problem["field"] == "seatIds"


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if isinstance(route.body, FormBody)],
    ids=lambda route: f"{route.method} {route.path}",
)
async def test_form_with_an_unknown_field_is_refused(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    assert isinstance(body, dict)
    form = {**FORM_MEDIA, "accept": "application/json"}
    for more, field in (("role=ADMIN", "role"), (urlencode(body), next(iter(body)))):
        content = f"{urlencode(body)}&{more}".encode()
        answer = await api.call(route.method, path, form, content=content)
        assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if isinstance(route.body, JsonBody) and route.body.optional],
    ids=lambda route: f"{route.method} {route.path}",
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_optional_body_may_be_empty_whatever_is_said_of_it(
    api: Api, route: Route, streamed: bool
) -> None:
    path, _ = await _case(api, route)
    caller = {**_owner(route), "content-type": "application/json"}
    content = _pieces() if streamed else b""
    answer = await api.call(route.method, path, caller, content=content)
    assert answer.status_code in (route.status, 401, 409), answer.text
    assert answer.json().get("code") not in ("invalid", "malformed")


async def _case(api: Api, route: Route) -> Case:
    await api.office.open(owner_id="orla", areas={"floor": 5})
    return await CASES[route.name, route.path](api)


def _with_more(value: Any, key: str, more: object) -> Iterator[Any]:
    """The value with one key more, in each object of it in turn."""
    if isinstance(value, dict):
        yield {**value, key: more}
        for name, item in value.items():
            yield from ({**value, name: changed} for changed in _with_more(item, key, more))
    if isinstance(value, list):
        for index, item in enumerate(value):
            for changed in _with_more(item, key, more):
                yield [*value[:index], changed, *value[index + 1 :]]


def _with_twin(value: Any) -> Iterator[str]:
    """The value as JSON with one key given twice, each in turn; the second spelled by escapes."""
    if isinstance(value, dict):
        for name, item in value.items():
            rest = json.dumps(value)[1:]
            escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
            yield f'{{"{name}": {json.dumps(item)}, {rest}'
            yield f'{{"{escaped}": {json.dumps(item)}, {rest}'
            for changed in _with_twin(item):
                others = json.dumps({key: other for key, other in value.items() if key != name})
                yield f'{{"{name}": {changed}{", " if len(value) > 1 else ""}{others[1:]}'
    if isinstance(value, list):
        for index, item in enumerate(value):
            for changed in _with_twin(item):
                texts = [json.dumps(other) for other in value]
                yield "[" + ", ".join([*texts[:index], changed, *texts[index + 1 :]]) + "]"


async def _all_refused(api: Api, route: Route, path: str, bodies: list[str]) -> None:
    caller = {**_owner(route), "content-type": "application/json"}
    before = await api.office.everything()
    for body in bodies:
        answer = await api.call(route.method, path, caller, content=body.encode())
        assert answer.status_code == 422, (body, answer.text)
        assert answer.json()["code"] in ("invalid", "plan_invalid")
    assert await api.office.everything() == before


@with_body
async def test_unknown_key_is_refused_at_every_depth(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    bodies = [
        json.dumps(changed)
        for key, more in SMUGGLED.items()
        if key not in _names(body)
        for changed in _with_more(body or {}, key, more)
    ]
    assert len(bodies) >= len(SMUGGLED) - 2
    await _all_refused(api, route, path, bodies)
    print(f"S3: {route.method} {route.path}: {len(bodies)} bodies with one key more, all 422")


@with_body
async def test_key_given_twice_is_refused_at_every_depth(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    bodies = list(_with_twin(body or {}))
    assert bodies or (isinstance(route.body, JsonBody) and route.body.optional)
    await _all_refused(api, route, path, bodies)
    print(f"S3: {route.method} {route.path}: {len(bodies)} bodies with a key twice, all 422")


async def test_twin_behind_thousands_of_fields_is_named(api: Api) -> None:
    fields = ", ".join(f'"f{number}": 0' for number in range(5300))
    body = f'{{{fields}, "f5299": 1}}'.encode()
    assert 60_000 < len(body) < 65_536
    caller = {**bearer("ann"), "content-type": "application/json"}
    problem = await api.refused(422, "invalid", "POST", BOOKING, caller, content=body)
    assert (problem["field"], problem["detail"]) == ("f5299", "given twice")


def test_refuse_duplicates_of_many_fields_looks_at_each_name_once() -> None:
    """Counting each name among all kept a core busy for seconds with one body of 60 KB."""
    compared = 0

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    pairs = [(Name(f"f{number}"), 0) for number in (*range(1000), 999)]
    with pytest.raises(Problem, match="given twice"):
        decoding._refuse_duplicates(list[tuple[str, object]](pairs))
    assert compared < 10


@with_body
async def test_body_wrapped_into_another_is_refused(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    wrapped = [{"body": body}, {"data": body}, [body], {"0": body}]
    await _all_refused(api, route, path, [json.dumps(one) for one in wrapped])


async def test_holder_is_the_subject_of_the_token_whatever_the_headers_say(api: Api) -> None:
    await api.office.open()
    said = {"x-customer-id": "eve", "x-user": "eve", "x-forwarded-user": "eve", "customerid": "eve"}
    booking = (
        await api.call("POST", BOOKING, {**bearer("ann"), **said}, json={"seatId": "gala:A-1-1"})
    ).json()
    kept = await api.office.kept(booking["id"])
    assert kept.customer_id == "ann"
    assert (await api.call("GET", f"{BOOKING}/{booking['id']}", bearer("eve"))).status_code == 404


def _names(value: Any) -> set[str]:
    """Every key of a value, each of which can be in the wrong place only by mistake."""
    if isinstance(value, dict):
        return set(value).union(*map(_names, value.values()))
    return set().union(*map(_names, value)) if isinstance(value, list) else set()
