"""Routing: from a path to its resource, and from a method to the operation.

There is one `Resource` per path, so that 405 and OPTIONS know all methods of the path. A resource
is an ASGI app of its own, not a Starlette endpoint. Starlette's router gets only the paths that
the table does not have.
"""

from collections.abc import Awaitable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.calls import Route
from api.http.dispatch import Operation, PathIds
from api.http.problems import Problem, response_of
from api.http.responses import ERROR, SAFE, Response, send_response
from api.services import Services


class Resource:
    """One path with all its methods, as an ASGI app."""

    def __init__(
        self, path: str, routes: Sequence[Route], path_ids: PathIds, services: Services
    ) -> None:
        self.path = path
        self._services = services
        self._operations = {route.method: Operation(route, path_ids, services) for route in routes}
        if "GET" in self._operations:
            self._operations["HEAD"] = self._operations["GET"]
        self._allowed = (b"allow", ", ".join(sorted({*self._operations, "OPTIONS"})).encode())

    def route_name(self, method: str) -> str:
        """The name of the route for a method; empty if there is none."""
        operation = self._operations.get(method)
        return operation.route.name if operation else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request; every error becomes a problem."""
        method = scope["method"]
        operation = self._operations.get(method)
        self._services.in_flight_count += 1
        try:
            response = (
                await operation.respond(scope, receive) if operation else self._without(method)
            )
        except Exception as error:
            response = response_of(error)
            if response.status >= 500:  # only for the log: a kept error is a reference cycle
                scope[ERROR] = error
        finally:
            self._services.in_flight_count -= 1
        success, always = (operation.route.status, operation.always) if operation else (204, SAFE)
        await send_response(scope, send, response, response.status or success, always)

    def _without(self, method: str) -> Response:
        """The response to OPTIONS. Raises `method_not_allowed` for any other method."""
        if method == "OPTIONS":
            return Response(b"", (self._allowed,))
        detail = f"{self.path} has no {method}"
        raise Problem("method_not_allowed", detail, headers=(self._allowed,))


class _Segment:
    """A node of the path tree: the segments below it, and the resource of the path up to it."""

    def __init__(self) -> None:
        self.named: dict[str, _Segment] = {}
        self.any: _Segment | None = None
        self.resource: Resource | None = None
        self.parameters: tuple[str, ...] = ()

    def add(self, resource: Resource) -> None:
        """Add the path of a resource below this segment."""
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
    """Finds the resource of a path with one look-up per segment; Starlette tries every pattern.

    A path that it does not find goes on to `app`.
    """

    def __init__(self, app: ASGIApp, resources: Sequence[Resource]) -> None:
        self._app = app
        self._root = _Segment()
        for resource in resources:
            self._root.add(resource)
        self._without_ids = {found.path: found for found in resources if "{" not in found.path}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass a request to its resource, or on to the app."""
        resource = self._find(scope) if scope["type"] == "http" else None
        return (resource or self._app)(scope, receive, send)

    def _find(self, scope: Scope) -> Resource | None:
        found = self._without_ids.get(scope["path"])
        if found is not None:
            scope["endpoint"], scope["path_params"] = found, {}
            return found
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
    """Respond 404 to a path without a route; close a websocket."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000, "reason": ""})
        return
    response = response_of(Problem("not_found", "there is no such path"))
    await send_response(scope, send, response, response.status)
