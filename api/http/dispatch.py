"""The pipeline of one call: from an ASGI request to the endpoint, and to its response.

The checks run in this order: load, token, permission, ids in the path, query, body, rate limits; of
a plan, which may be large, the rate limits come before the body.
An `Operation` does what does not depend on the request once, when the app starts: no Starlette
Request or Response is made on the path of a hold.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from starlette.types import Receive, Scope

from api.http.calls import Call, Route
from api.http.decoding import PLAN_FACTOR, PlanBody, body_reader, decode_query, may_have_body
from api.http.idempotency import replaying
from api.http.limits import (
    IN_SCRIPT,
    LimitClass,
    PendingLimitCheck,
    rate_limited,
    with_headers,
)
from api.http.problems import Problem
from api.http.responses import NO_STORE, SAFE, Header, Response
from api.http.tokens import ANONYMOUS, Caller, KeyUnknown
from api.services import Services
from engine.errors import Overloaded, RateLimited
from engine.ids import InvalidId
from engine.limits import LimitCheck

PAYING_FACTOR = 2
"""Payment routes get this many times the in-flight limit, so customers who hold seats can still
pay under overload."""


def joined(headers: Iterable[Header]) -> dict[bytes, bytes]:
    """Headers by name; several lines of one name are one list (RFC 9110, 5.2)."""
    by_name: dict[bytes, bytes] = {}
    for name, value in headers:
        by_name[name] = by_name[name] + b", " + value if name in by_name else value
    return by_name


class PathId(NamedTuple):
    """An id in a path: its syntax check, and the error for a text that cannot be such an id."""

    check: Callable[[str], object]
    not_found: Callable[[str], Exception]


PathIds = Mapping[str, PathId]
"""The ids by the names that paths give them."""


class Operation:
    """One route, ready to be called."""

    def __init__(self, route: Route, path_ids: PathIds, services: Services) -> None:
        self.route = route
        self._services = services
        factor = {LimitClass.PAY: PAYING_FACTOR, LimitClass.NONE: math.inf}
        self._in_flight_max = services.in_flight_max * factor.get(route.limit_class, 1)
        self._endpoint = replaying(route) if route.keyed else route.endpoint
        self._headers_of = joined if "If-Match" in route.request_headers else dict
        self.always = (*SAFE, NO_STORE) if route.permission or route.method != "GET" else SAFE
        names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
        self._path_ids = [(name, *path_ids[name]) for name in names]
        required = any(field.required for field in msgspec.structs.fields(route.query))
        self._no_query = None if required else decode_query(b"", route.query)
        bytes_max = services.settings.body_bytes_max
        self._read_body = body_reader(route.body, bytes_max, services.waiting_for_client)
        self._is_plan = isinstance(route.body, PlanBody)

    async def respond(self, scope: Scope, receive: Receive) -> Response:
        """Check the request and call the endpoint. Raises Problem and the engine's errors."""
        route, services = self.route, self._services
        if services.in_flight_count > self._in_flight_max:
            raise Overloaded(f"{services.in_flight_max} requests are in flight")
        headers = self._headers_of(scope["headers"])
        try:
            caller, privileged = self._authorize(headers.get(b"authorization"))
        except KeyUnknown:
            await services.tokens.learn_keys()
            caller, privileged = self._authorize(headers.get(b"authorization"))
        path = scope["path_params"]
        for name, check, not_found in self._path_ids:
            try:
                check(path[name])
            except InvalidId as error:
                raise not_found(path[name]) from error
        query = self._no_query
        if scope["query_string"] or query is None:
            query = decode_query(scope["query_string"], route.query)
        body = None
        if not self._is_plan and (route.body or may_have_body(headers)):
            body = await self._read_body(receive, headers)
        limit_check = services.limits.check_of(route.limit_class, caller.customer_id, scope)
        call = Call(
            services=services,
            caller=caller,
            privileged=privileged,
            path=path,
            headers=headers,
            query=query,
            body=body,
            scope=scope,
            limit_check=limit_check,
        )
        if self._is_plan:
            return await self._respond_to_plan(call, receive)
        if limit_check is None:
            return await self._endpoint(call)
        return await self._within_limits(call, limit_check)

    async def _respond_to_plan(self, call: Call[Any, Any], receive: Receive) -> Response:
        """Limits before the body: a caller over its limit, or its budget, has sent it in vain."""
        route, services = self.route, self._services
        headers: tuple[Header, ...] = ()
        if call.limit_check is not None:
            try:
                await call.engine.take_limits(call.limit_check)
            except RateLimited as error:
                headers = services.limits.headers(route.limit_class, call.limit_check)
                raise rate_limited(error, headers) from error
        declared = call.headers.get(b"content-length", b"")
        bytes_max = services.settings.body_bytes_max * PLAN_FACTOR
        size = min(int(declared), bytes_max) if declared.isdigit() else bytes_max
        with services.plan_budget.taken(call.caller.customer_id, size):
            body = await self._read_body(receive, call.headers)
            response = await self._endpoint(msgspec.structs.replace(call, body=body))
        if call.limit_check is not None:
            headers = services.limits.headers(route.limit_class, call.limit_check)
        return with_headers(response, headers)

    async def _within_limits(self, call: Call[Any, Any], limit_check: LimitCheck) -> Response:
        route, limits = self.route, self._services.limits
        try:
            if route.limit_class in IN_SCRIPT:
                response = await self._endpoint(call)
            elif route.method == "GET":
                async with PendingLimitCheck(call.engine, limit_check):
                    response = await self._endpoint(call)
            else:
                await call.engine.take_limits(limit_check)
                response = await self._endpoint(call)
        except RateLimited as error:
            raise rate_limited(error, limits.headers(route.limit_class, limit_check)) from error
        return with_headers(response, limits.headers(route.limit_class, limit_check))

    def _authorize(self, authorization: bytes | None) -> tuple[Caller, bool]:
        """The caller, and whether it has the route's privilege."""
        route = self.route
        if not route.permission:
            return ANONYMOUS, False
        caller = self._services.tokens.caller(authorization)
        privileged = route.privilege in caller.permissions
        if not privileged and route.permission not in caller.permissions:
            detail = f"the permission {route.permission} is needed"
            raise Problem("forbidden", detail, {"permission": route.permission})
        return caller, privileged
