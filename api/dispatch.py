"""From ASGI to a checked call, and from its answer back: what every route has in common.

One `Resource` a path, so that 405 and OPTIONS know all its methods. It is an ASGI app of its own
rather than a Starlette endpoint: no Request and Response are made on the way of a hold. Checked in
this order: token, permission, ids in the path, query, body.
"""

from collections.abc import Callable, Sequence

import msgspec
from starlette.types import Receive, Scope, Send

from api.answers import Answer, send_answer
from api.auth import NOBODY, Caller
from api.calls import Call, Route, Services
from api.decoding import decode_body, decode_query, read_body
from api.problems import Problem, answer_of
from engine import ids
from engine.errors import BookingNotFound, EventNotFound, Refused
from engine.ids import InvalidId

PLAN_FACTOR = 256
"""How many times larger than others a body that is a plan may be."""

_PATH_IDS: dict[str, tuple[Callable[[str], object], type[Refused]]] = {
    "event_id": (ids.event_id, EventNotFound),
    "booking_id": (ids.split_booking, BookingNotFound),
}


class Operation:
    """One route, ready to be called."""

    def __init__(self, route: Route, services: Services) -> None:
        self.route = route
        self._services = services
        self._no_query = decode_query(b"", route.query)
        self._decode: Callable[[bytes], object] = (
            bytes if route.plan or not route.body else msgspec.json.Decoder(route.body).decode
        )
        self._bytes_max = services.body_bytes_max * (PLAN_FACTOR if route.plan else 1)

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Check the request and call the endpoint. Raises Problem and the engine's errors."""
        route, services = self.route, self._services
        headers = dict(scope["headers"])
        caller, privileged = self._authorized(headers.get(b"authorization"))
        path = scope["path_params"]
        for name, text in path.items():
            _check_id(name, text)
        query = self._no_query
        if scope["query_string"]:
            query = decode_query(scope["query_string"], route.query)
        body = None
        if route.body:
            body = decode_body(await read_body(receive, headers, self._bytes_max), self._decode)
        return await route.endpoint(
            Call(
                services=services,
                caller=caller,
                privileged=privileged,
                path=path,
                headers=headers,
                query=query,
                body=body,
            )
        )

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
        try:
            answer = await operation.answer(scope, receive) if operation else self._other(method)
        except Exception as error:
            scope["api.error"] = error
            answer = answer_of(error)
        success = operation.route.status if operation else 204
        await send_answer(send, answer, answer.status or success, head=method == "HEAD")

    def _other(self, method: str) -> Answer:
        if method == "OPTIONS":
            return Answer(b"", (self._allowed,))
        detail = f"{self.path} has no {method}"
        raise Problem("method_not_allowed", detail, headers=(self._allowed,))


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a path no route has; a websocket is closed."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000, "reason": ""})
        return
    answer = answer_of(Problem("not_found", "there is no such path"))
    await send_answer(send, answer, answer.status, head=scope["method"] == "HEAD")


def _check_id(name: str, text: str) -> None:
    check, missing = _PATH_IDS[name]
    try:
        check(text)
    except InvalidId as error:
        raise missing(text) from error
