"""The contract of every route, from the one table: its answers, with and without permission."""

import msgspec
import pytest

from api.http.calls import Route
from api.http.decoding import JsonBody, PlanBody, RawBody
from api.http.permissions import ROLES, Permission
from api.http.permissions import Permission as May
from api.http.problems import KINDS
from api.routes import ROUTES, refusals_of
from tests.api.case import Case
from tests.api.cases import CASES
from tests.api.client import Api, Headers, bearer, token

BAD_IDS = (
    *("%7B%7D", "gala:", ":A", "gala:A-1-1", "a:b:c", "gala%0A", "%7Bgala%7D:x", "gala%20", "%00"),
    *("gala:01JDTESTTESTTESTTESTTESTTE%0A", "g" * 65, "%C3%A9"),
)
UNKNOWN = {
    "event_id": "nothing",
    "booking_id": "gala:01JDTESTTESTTESTTESTTESTTE",
    "refund_id": "gala:01JDTESTTESTTESTTESTTESTTE",
    "webhook_id": "0" * 26,
    "role_id": "NOBODY",
    "permission": "nothing:at:all",
}


def _named(route: Route) -> str:
    return f"{route.method} {route.path}"


every_route = pytest.mark.parametrize("route", ROUTES, ids=_named)
guarded = pytest.mark.parametrize("route", [r for r in ROUTES if r.permission], ids=_named)
owned = pytest.mark.parametrize("route", [r for r in ROUTES if r.privilege], ids=_named)
with_id = pytest.mark.parametrize("route", [r for r in ROUTES if "{" in r.path], ids=_named)


def _owner(route: Route) -> Headers:
    if "/admin/" in route.path or route.permission == May.EVENT_UPDATE_ANY:
        return bearer("root", "admin")
    return (
        bearer("orla", "organizer") if route.permission == May.EVENT_CREATE_OWN else bearer("ann")
    )


async def _case(api: Api, route: Route) -> Case:
    await api.office.open(owner_id="orla")
    return await CASES[route.name, route.path](api)


def test_every_route_has_a_case() -> None:
    assert {(route.name, route.path) for route in ROUTES} == set(CASES)


def test_no_two_routes_share_method_and_path() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


@every_route
def test_refusals_of_a_route_are_codes_that_exist(route: Route) -> None:
    assert refusals_of(route) <= set(KINDS)


@every_route
async def test_route_called_by_its_owner_answers_as_declared(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    answer = await api.call(route.method, path, _owner(route), json=body)
    assert answer.status_code == route.status, answer.text
    if route.response is not str:
        decoded: object = msgspec.json.decode(answer.content, type=route.response)
        assert msgspec.json.encode(decoded) == answer.content  # nothing undeclared in it


@guarded
async def test_route_called_without_a_token_is_401(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    await api.refused(401, "unauthenticated", route.method, path, json=body)
    answer = await api.call(route.method, path, json=body)
    assert answer.headers["www-authenticate"] == "Bearer"


@guarded
async def test_route_without_its_permission_is_403_and_names_it(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    others = set(Permission) - {route.permission, route.privilege}
    caller = {"authorization": f"Bearer {token('ann', others)}"}
    problem = await api.refused(403, "forbidden", route.method, path, caller, json=body)
    assert problem["permission"] == route.permission


@owned
async def test_route_called_by_a_stranger_is_refused(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    stranger = bearer("eve", "organizer")
    hidden = [name for name in ("booking", "webhook") if f"{{{name}_id}}" in route.path]
    refusal = (404, f"{hidden[0]}_not_found") if hidden else (403, "not_owner")
    await api.refused(*refusal, route.method, path, stranger, json=body)


@owned
async def test_route_called_with_the_privilege_needs_no_ownership(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    caller = {"authorization": f"Bearer {token('eve', [str(route.privilege)])}"}
    answer = await api.call(route.method, path, caller, json=body)
    assert answer.status_code == route.status, answer.text


@with_id
async def test_route_with_a_bad_or_unknown_id_is_404(api: Api, route: Route) -> None:
    good, body = await _case(api, route)
    segments = good.partition("?")[0].split("/")
    for place, name in enumerate(part.strip("{}") for part in route.path.split("/")):
        for bad in (*BAD_IDS, UNKNOWN[name]) if name in UNKNOWN else ():
            path = "/".join([*segments[:place], bad, *segments[place + 1 :]])
            code = f"{name.removesuffix('_id')}_not_found"
            await api.refused(404, code, route.method, path, _owner(route), json=body)


@every_route
async def test_route_with_an_unknown_parameter_is_422(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    path += "&" if "?" in path else "?"
    problem = await api.refused(
        422, "invalid", route.method, f"{path}colour=red", _owner(route), json=body
    )
    assert problem["field"] == "colour"


@every_route
async def test_route_with_a_query_that_is_not_text_is_400(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    path += "&" if "?" in path else "?"
    for query in ("limit=%FF", "&".join("a" * n for n in range(1, 30))):
        await api.refused(
            400, "malformed", route.method, f"{path}{query}", _owner(route), json=body
        )


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.body and not isinstance(r.body, RawBody)], ids=_named
)
async def test_route_with_a_broken_body_is_refused(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    as_json = {"content-type": "application/json"}

    async def refused(status: int, code: str, content: bytes, **headers: str) -> None:
        sent = {**as_json, **_owner(route), **headers}
        await api.refused(status, code, route.method, path, sent, content=content)

    broken = (422, "plan_invalid") if isinstance(route.body, PlanBody) else (400, "malformed")
    optional = isinstance(route.body, JsonBody) and route.body.optional
    for content in (b"{", b"\xff", b"nonsense", *(() if optional else (b"",))):
        await refused(*broken, content)
    wrong = (422, "plan_invalid" if isinstance(route.body, PlanBody) else "invalid")
    for content in (b"[]", b"null", b"7", b'"x"', b'{"price": 1}', b'{"areas":' + b"[" * 50_000):
        await refused(*wrong, content)
    encoded = msgspec.json.encode(body)
    await refused(415, "unsupported_media_type", encoded, **{"content-type": "text/plain"})
    await refused(415, "unsupported_media_type", encoded, **{"content-encoding": "gzip"})


def test_roles_have_the_permissions_the_routes_ask_for() -> None:
    asked = {permission for route in ROUTES for permission in (route.permission, route.privilege)}
    assert asked - {None} <= ROLES["admin"]
    assert ROLES["customer"] < ROLES["organizer"] < ROLES["admin"]
