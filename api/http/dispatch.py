"""From ASGI to a checked call, and from its answer back: what every route has in common.

One `Resource` a path, so that 405 and OPTIONS know all its methods. It is an ASGI app of its own
rather than a Starlette endpoint: no Request and Response are made on the way of a hold. Checked in
this order: token, permission, ids in the path, query, body.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from api.accounts.payloads import permission, role_id
from api.http.calls import Call, Route, Services
from api.http.decoding import (
    FORM,
    decode_body,
    decode_query,
    may_have_body,
    media_of,
    read_body,
    refuse_twins,
)
from api.http.idempotency import answering_once
from api.http.limits import RIDING, LimitClass, PendingLimitCheck, refusal, with_headers
from api.http.payloads import NoQuery
from api.http.problems import Problem, answer_of
from api.http.responses import NO_STORE, SAFE, Response, send_answer
from api.http.tokens import NOBODY, Caller, KeyUnknown
from api.refunds import refund_id, refund_not_found
from api.webhooks import webhook_id, webhook_not_found
from engine import ids
from engine.errors import BookingNotFound, EventNotFound, Overloaded, RateLimited
from engine.ids import InvalidId
from engine.limits import LimitCheck

LONG_BYTES = 65_536
"""A longer body is looked through in a thread: others are waiting for this one."""
PAYING_FACTOR = 2
"""Who holds may pay when others may not hold any more: so many times the places."""
PLAN_FACTOR = 256
"""How many times larger than others a body that is a plan may be."""

_PATH_IDS: dict[str, tuple[Callable[[str], object], Callable[[str], Exception]]] = {
    "event_id": (ids.event_id, EventNotFound),
    "booking_id": (ids.split_booking, BookingNotFound),
    "refund_id": (refund_id, refund_not_found),
    "webhook_id": (webhook_id, webhook_not_found),
    "role_id": (role_id, lambda text: Problem("role_not_found", f"there is no role {text!r}")),
    "permission": (
        permission,
        lambda text: Problem("permission_not_found", f"there is no permission {text!r}"),
    ),
}


class Operation:
    """One route, ready to be called."""

    def __init__(self, route: Route, services: Services) -> None:
        self.route = route
        self._services = services
        factor = {LimitClass.PAY: PAYING_FACTOR, LimitClass.NONE: math.inf}
        self._places = services.in_flight_max * factor.get(route.limit_class, 1)
        self._endpoint = answering_once(route) if route.keyed else route.endpoint
        self.always = (*SAFE, NO_STORE) if route.permission or route.method != "GET" else SAFE
        needed = any(field.required for field in msgspec.structs.fields(route.query))
        self._no_query = None if needed else decode_query(b"", route.query)
        self._decode: Callable[[bytes], object] = (
            bytes
            if route.plan or route.raw or not route.body
            else msgspec.json.Decoder(route.body).decode
        )
        self._bytes_max = services.body_bytes_max * (PLAN_FACTOR if route.plan else 1)

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """Check the request and call the endpoint. Raises Problem and the engine's errors."""
        route, services = self.route, self._services
        if services.in_flight_count > self._places:
            raise Overloaded(f"{services.in_flight_max} requests are under way")
        headers = dict(scope["headers"])
        try:
            caller, privileged = self._authorized(headers.get(b"authorization"))
        except KeyUnknown:
            await services.tokens.learn_keys()
            caller, privileged = self._authorized(headers.get(b"authorization"))
        path = scope["path_params"]
        for name, text in path.items():
            _check_id(name, text)
        query = self._no_query
        if scope["query_string"] or query is None:
            query = decode_query(scope["query_string"], route.query)
        body = None
        if route.body:
            services.in_flight_count -= 1  # it waits for its client, and costs nothing meanwhile
            try:
                body = await self._read(receive, headers)
            finally:
                services.in_flight_count += 1
        meter = services.limits.meter(route.limit_class, caller.customer_id, scope)
        call = Call(
            services=services,
            caller=caller,
            privileged=privileged,
            path=path,
            headers=headers,
            query=query,
            body=body,
            meter=meter,
        )
        if meter is None:
            return await self._endpoint(call)
        return await self._within_limits(call, meter)

    async def _read(self, receive: Receive, headers: Mapping[bytes, bytes]) -> Any:
        route = self.route
        if route.form and media_of(headers) == FORM:
            body = await read_body(receive, headers, self._bytes_max, FORM)
            return decode_query(body, route.body or NoQuery)
        if route.bare and b"content-type" not in headers and not may_have_body(headers):
            return self._decode(b"{}")
        raw = await read_body(receive, headers, self._bytes_max)
        if len(raw) > LONG_BYTES:
            await asyncio.to_thread(refuse_twins, raw)
        elif not route.raw:
            refuse_twins(raw)
        return decode_body(raw, self._decode)

    async def _within_limits(self, call: Call[Any, Any], meter: LimitCheck) -> Response:
        route, limits = self.route, self._services.limits
        try:
            if route.limit_class in RIDING:
                answer = await self._endpoint(call)
            elif route.method == "GET":
                async with PendingLimitCheck(call.engine.limits, meter):
                    answer = await self._endpoint(call)
            else:
                await call.engine.limits.take_limits(meter)
                answer = await self._endpoint(call)
        except RateLimited as error:
            raise refusal(error, limits.headers(route.limit_class, meter)) from error
        return with_headers(answer, limits.headers(route.limit_class, meter))

    def _authorized(self, authorization: bytes | None) -> tuple[Caller, bool]:
        route = self.route
        if not route.permission:
            return NOBODY, False
        caller = self._services.tokens.caller(authorization)
        privileged = route.privilege in caller.permissions
        if not privileged and route.permission not in caller.permissions:
            detail = f"the permission {route.permission} is needed"
            raise Problem("forbidden", detail, {"permission": route.permission})
        return caller, privileged


class Resource:
    """One path with all its methods, as an ASGI app."""

    def __init__(self, path: str, routes: Sequence[Route], services: Services) -> None:
        self.path = path
        self._services = services
        self._operations = {route.method: Operation(route, services) for route in routes}
        if "GET" in self._operations:
            self._operations["HEAD"] = self._operations["GET"]
        self._allowed = (b"allow", ", ".join(sorted({*self._operations, "OPTIONS"})).encode())

    def route_name(self, method: str) -> str:
        """The name of the route for a method; empty if there is none."""
        operation = self._operations.get(method)
        return operation.route.name if operation else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong is answered as a problem."""
        method = scope["method"]
        operation = self._operations.get(method)
        self._services.in_flight_count += 1
        try:
            answer = await operation.answer(scope, receive) if operation else self._other(method)
        except Exception as error:
            answer = answer_of(error)
            if answer.status >= 500:  # for the log; else a ring of frames is left to the collector
                scope["api.error"] = error
        finally:
            self._services.in_flight_count -= 1
        success, always = (operation.route.status, operation.always) if operation else (204, SAFE)
        status = answer.status or success
        await send_answer(scope, send, answer, status, always)

    def _other(self, method: str) -> Response:
        if method == "OPTIONS":
            return Response(b"", (self._allowed,))
        detail = f"{self.path} has no {method}"
        raise Problem("method_not_allowed", detail, headers=(self._allowed,))


class _Segment:
    """Where a path has come to: what may follow, and whose it is if it ends here."""

    def __init__(self) -> None:
        self.named: dict[str, _Segment] = {}
        self.any: _Segment | None = None
        self.resource: Resource | None = None
        self.parameters: tuple[str, ...] = ()

    def add(self, resource: "Resource") -> None:
        """Put the path of a resource below this one."""
        segment, parameters = self, []
        for name in resource.path.split("/"):
            if name.startswith("{"):
                parameters.append(name[1:-1])
                segment.any = segment.any or _Segment()
                segment = segment.any
            else:
                segment = segment.named.setdefault(name, _Segment())
        segment.resource, segment.parameters = resource, tuple(parameters)


class PathTable:
    """Finds the resource of a path by one look-up a segment, where the router tries all patterns.

    What it does not find goes to the router.
    """

    def __init__(self, app: ASGIApp, resources: Sequence[Resource]) -> None:
        self._app = app
        self._root = _Segment()
        for resource in resources:
            self._root.add(resource)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to its resource, or to the router."""
        resource = self._find(scope) if scope["type"] == "http" else None
        if resource is None:
            await self._app(scope, receive, send)
        else:
            await resource(scope, receive, send)

    def _find(self, scope: Scope) -> Resource | None:
        segment = self._root
        values: list[str] = []
        for name in scope["path"].split("/"):
            below = segment.named.get(name)
            if below is None and name:
                below = segment.any
                values.append(name)
            if below is None:
                return None
            segment = below
        if segment.resource is None:
            return None
        scope["endpoint"] = segment.resource
        scope["path_params"] = dict(zip(segment.parameters, values, strict=True))
        return segment.resource


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a path no route has; a websocket is closed."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000, "reason": ""})
        return
    answer = answer_of(Problem("not_found", "there is no such path"))
    await send_answer(scope, send, answer, answer.status)


async def too_many_headers(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with more headers than anybody needs."""
    answer = answer_of(Problem("headers_too_large", "too many headers"))
    await send_answer(scope, send, answer, answer.status)


def _check_id(name: str, text: str) -> None:
    check, missing = _PATH_IDS[name]
    try:
        check(text)
    except InvalidId as error:
        raise missing(text) from error
