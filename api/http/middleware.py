"""The outermost layer: request id, metrics and the error log, in one pass.

Every response is counted, whatever its status. All paths without a route share one label, so a
client cannot fill the metrics with paths. The size of a body is limited where the body is read
(`decoding.body_reader`), because the limit depends on the route.
"""

import itertools
import os
import re
from functools import partial
from time import perf_counter

from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.drain_state import DRAINING
from api.http.problems import Problem, response_of
from api.http.responses import EDGE_HEADERS, ERROR, STATUS, Header, send_response
from api.http.router import Resource
from engine import logs
from engine.errors import Overloaded, Restoring
from engine.metrics import metrics
from engine.metrics.per_tick import PerTick

UNMATCHED = "unmatched"
HEADERS_MAX = 100
"""The most headers of one request. The server limits their total length."""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_PROCESS = os.urandom(6).hex().encode()
_NUMBERS = itertools.count(1)
_Call = tuple[object, str, int]
"""Resource, method and status of a response; the resource is not a Resource for unknown paths."""

_log = logs.get("api")


class Edge:
    """Wraps the app. Caches the series of each label set: a look-up costs more than counting."""

    def __init__(self, app: ASGIApp, always: tuple[Header, ...] = ()) -> None:
        self._app = app
        self._always = always
        self._series: dict[_Call, PerTick] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, then count its response and log its errors."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        request_id = _request_id(scope)
        # No reset: the task ends with the request.
        logs.within.set(partial(_ids, scope, request_id))
        scope[EDGE_HEADERS] = ((b"x-request-id", request_id), *self._always, *DRAINING.headers)
        try:
            app = self._app if len(scope["headers"]) <= HEADERS_MAX else _too_many_headers
            await app(scope, receive, send)
        finally:
            seconds, status = perf_counter() - began, scope.get(STATUS, 500)
            self._record(scope, status, seconds)
            if logs.debugging:
                _log_response(scope, status, seconds)
            if status >= 500 and ERROR in scope:
                _log_failure(scope, status, request_id)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        call = (scope.get("endpoint"), method, status)
        series = self._series.get(call) or self._series_of(*call)
        series.add(seconds)

    def _series_of(self, resource: object, method: str, status: int) -> PerTick:
        path = route = UNMATCHED
        if isinstance(resource, Resource):
            path, route = resource.path, resource.route_name(method) or UNMATCHED
        labels = (method, path, route, status)
        series = PerTick(
            metrics.http_requests.labels(*labels), metrics.http_duration.labels(*labels)
        )
        self._series[resource, method, status] = series
        return series


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return new_request_id()


async def _too_many_headers(scope: Scope, receive: Receive, send: Send) -> None:
    response = response_of(Problem("headers_too_large", f"more than {HEADERS_MAX} headers"))
    await send_response(scope, send, response, response.status)


def new_request_id() -> bytes:
    """An id that no other response has."""
    return b"%s-%x" % (_PROCESS, next(_NUMBERS))


def _ids(scope: Scope, request_id: bytes) -> dict[str, str]:
    """The fields that identify the request in every log line it causes."""
    path = scope.get("path_params", {})
    named = {name: path[name] for name in ("event_id", "booking_id") if name in path}
    return {"request_id": request_id.decode(), **named}


def _log_response(scope: Scope, status: int, seconds: float) -> None:
    """The access log, only at `debug`. Without the query: links in mails have a token there."""
    _log.debug(
        "answered",
        method=scope["method"],
        path=scope["path"],
        status=status,
        duration_ms=round(seconds * 1000, 2),
    )


def _log_failure(scope: Scope, status: int, request_id: bytes) -> None:
    """Log a 503 in one line, and a 500, which is a defect, with its traceback.

    A request rejected for load is only counted: logging would add work to each call of an overload.
    So is a request for an event that is being restored: the restore logs one line of its own.
    """
    error = scope.get(ERROR)
    if isinstance(error, (Overloaded, Restoring)):
        return
    _log.error(
        "request_failed",
        method=scope["method"],
        path=scope["path"],
        status=status,
        request_id=request_id.decode(),
        error=repr(error),
        exc_info=error if status == 500 else None,
    )
