"""S1: every route x every caller x own, foreign and absent id, as the route table declares it.

What must come out is worked out here from a row's permission and privilege alone. A row without a
permission must be named in OPEN: a forgotten line cannot open a route to all.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest
from starlette.routing import BaseRoute
from starlette.routing import Route as StarletteRoute

from api.app import create_app
from api.http.calls import Route
from api.http.permissions import ROLES, Role
from api.http.router import Resource
from api.routes import ROUTES
from engine import Settings
from tests.api.case import Case
from tests.api.cases import CASES
from tests.api.client import Api, Headers, bearer
from tests.api.test_routes import UNKNOWN

OPEN = {
    *("list_seats", "list_events", "read_event", "read_layout", "read_map"),
    *("read_health", "read_readiness", "read_metrics"),
    *("read_document", "read_page", "read_styles", "read_bundle", "read_start", "read_icon"),
    "read_problem",
    *("register", "show_verification", "verify", "log_in", "refresh", "log_out"),
    *("forgot_password", "show_reset", "reset_password"),
    "receive_notice",
    "receive_stripe_event",
}
"""Looking at a sale, operation, the documents, what one does before there is a token, and what the
payment provider signs."""

CALLERS: dict[str, Role | None] = {
    "nobody": None,
    "ann": "customer",
    "bob": "customer",
    "orla": "organizer",
    "root": "admin",
}
"""The bookings of the cases are ann's, the events orla's."""

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Cell(NamedTuple):
    """One call, and the status and code it must be answered with; code None is success."""

    path: str
    relation: str
    status: int
    code: str | None


def _cells(route: Route, caller: str, path: str) -> Iterator[Cell]:
    """The resource that is absent, for each id in the path, then the one that is there."""
    barred = _barred(route, caller)
    for name, absent in UNKNOWN.items():
        if f"{{{name}}}" in route.path:
            missing = f"{name.removesuffix('_id')}_not_found"
            absent_path = _replaced(route, path, name, absent)
            yield Cell(absent_path, "absent", *(barred or (404, missing)))
    relation = "own" if caller == _owner(route) else "foreign"
    strange = _stranger(route, caller) if relation == "foreign" else None
    yield Cell(path, relation, *(barred or strange or (route.status, None)))


def _replaced(route: Route, path: str, name: str, absent: str) -> str:
    parts = zip(route.path.split("/"), path.split("/"), strict=False)
    return "/".join(absent if part == f"{{{name}}}" else given for part, given in parts)


def _of_nothing(body: object) -> object:
    """The same body about the event that is not there."""
    told = msgspec.json.encode(body).replace(b"gala:", b"nothing:")
    return msgspec.json.decode(told)


def _barred(route: Route, caller: str) -> tuple[int, str] | None:
    """What the caller's role alone decides."""
    role = CALLERS[caller]
    if route.permission is None:
        return None
    if role is None:
        return 401, "unauthenticated"
    may = {route.permission, route.privilege} & ROLES[role]
    return None if may else (403, "forbidden")


def _stranger(route: Route, caller: str) -> tuple[int, str] | None:
    """What ownership decides: it counts where a privilege can lift it."""
    role = CALLERS[caller]
    if role is None or route.privilege is None or route.privilege in ROLES[role]:
        return None
    if route.name == "cancel_booking" and caller == "orla":
        return None  # the organiser of the event, too, may cancel
    if "not_owner" in route.refusals and route.name != "confirm_booking":  # there: of boxOffice
        return 403, "not_owner"
    hidden = [name for name in UNKNOWN if f"{{{name}}}" in route.path]
    return 404, f"{hidden[-1].removesuffix('_id')}_not_found"


def _owner(route: Route) -> str:
    return "ann" if "{booking_id}" in route.path else "orla"


def _named(route: Route) -> str:
    return f"{route.method} {route.path}"


ALLOWED = [
    pytest.param(route, caller, id=f"{_named(route)} {caller}")
    for route in ROUTES
    for caller in CALLERS
    if any(cell.code is None for cell in _cells(route, caller, route.path))
]


def _headers(caller: str) -> Headers:
    role = CALLERS[caller]
    return bearer(caller, role) if role else {}


def test_a_route_without_a_permission_is_meant_to_be_open() -> None:
    assert {route.name for route in ROUTES if route.permission is None} == OPEN
    assert all(route.privilege is None for route in ROUTES if route.permission is None)


def test_the_app_has_no_path_that_the_table_has_not(settings: Settings) -> None:
    served = {pair for route in create_app(settings).routes for pair in _served(route)}
    assert served == {(route.path, route.method) for route in ROUTES}


def _served(route: BaseRoute) -> set[tuple[str, str]]:
    """Path and methods, asked of what serves them."""
    assert isinstance(route, StarletteRoute)
    assert isinstance(route.app, Resource)
    methods = [method for method in METHODS if route.app.route_name(method)]
    return {(route.path, method) for method in methods}


def test_matrix_covers_every_route_and_caller() -> None:
    cells = [
        cell for route in ROUTES for caller in CALLERS for cell in _cells(route, caller, route.path)
    ]
    relations = {cell.relation for cell in cells}
    assert relations == {"own", "foreign", "absent"}
    print(f"S1: {len(ROUTES)} routes, {len(CALLERS)} callers, {len(cells)} cells as declared")


async def _case(api: Api, route: Route) -> Case:
    await api.office.open(owner_id="orla")
    return await CASES[route.name, route.path](api)


@pytest.mark.parametrize("route", ROUTES, ids=_named)
async def test_call_that_is_not_allowed_is_refused_as_declared(api: Api, route: Route) -> None:
    path, body = await _case(api, route)
    for caller in CALLERS:
        for cell in _cells(route, caller, path):
            if cell.code:
                about = body if cell.relation != "absent" else _of_nothing(body)
                request = (route.method, cell.path, _headers(caller))
                await api.refused(cell.status, cell.code, *request, json=about)


@pytest.mark.parametrize(("route", "caller"), ALLOWED)
async def test_call_that_is_allowed_succeeds(api: Api, route: Route, caller: str) -> None:
    path, body = await _case(api, route)
    answer = await api.call(route.method, path, _headers(caller), json=body)
    assert answer.status_code == route.status, answer.text
