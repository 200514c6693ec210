"""The outermost layer: request id, metrics and the log of what went wrong, in one pass.

Every answer is counted, 401, 404 and 503 like 200. A path no route has is counted under one
label, so nobody can fill the metrics with paths. The size of a body is limited where the body is
read (`decoding.read_body`), as the limit is the route's.
"""

import itertools
import os
import re
from functools import partial
from time import perf_counter

from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.dispatch import Resource, too_many_headers
from api.http.drain_state import DRAINING
from api.http.responses import Header
from engine import logs
from engine.errors import Overloaded, Restoring
from engine.metrics import metrics
from engine.metrics.per_tick import PerTick

UNMATCHED = "unmatched"
HEADERS_MAX = 100
"""Of one request; how long they may be together is the server's to limit."""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_PROCESS = os.urandom(6).hex().encode()
_NUMBERS = itertools.count(1)
_Labels = tuple[str, str, str, int]

_log = logs.get("api")


class Edge:
    """Wraps the app. Keeps the series of each label set, as finding them costs more than adding."""

    def __init__(self, app: ASGIApp, always: tuple[Header, ...] = ()) -> None:
        self._app = app
        self._always = always
        self._series: dict[_Labels, PerTick] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and account for its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        request_id = _request_id(scope)
        # No reset: the task ends with the request.
        logs.within.set(partial(_ids, scope, request_id))
        scope["api.headers"] = ((b"x-request-id", request_id), *self._always, *DRAINING.headers)
        try:
            app = self._app if len(scope["headers"]) <= HEADERS_MAX else too_many_headers
            await app(scope, receive, send)
        finally:
            seconds, status = perf_counter() - began, scope.get("api.status", 500)
            self._record(scope, status, seconds)
            if logs.debugging:
                _log_answer(scope, status, seconds)
            if status >= 500 and "api.error" in scope:
                _log_failure(scope, status, request_id)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        resource = scope.get("endpoint")
        path = route = UNMATCHED
        if isinstance(resource, Resource):
            path, route = resource.path, resource.route_name(method) or UNMATCHED
        labels = (method, path, route, status)
        if labels not in self._series:
            self._series[labels] = PerTick(
                metrics.http_requests.labels(*labels), metrics.http_duration.labels(*labels)
            )
        self._series[labels].add(seconds)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return new_request_id()


def new_request_id() -> bytes:
    """An id that no other answer has."""
    return b"%s-%x" % (_PROCESS, next(_NUMBERS))


def _ids(scope: Scope, request_id: bytes) -> dict[str, str]:
    """What a line of the log says of the request it was made in."""
    path = scope.get("path_params", {})
    named = {name: path[name] for name in ("event_id", "booking_id") if name in path}
    return {"request_id": request_id.decode(), **named}


def _log_answer(scope: Scope, status: int, seconds: float) -> None:
    """The access log, at `debug` alone. No query: links of mails have a token there."""
    _log.debug(
        "answered",
        method=scope["method"],
        path=scope["path"],
        status=status,
        duration_ms=round(seconds * 1000, 2),
    )


def _log_failure(scope: Scope, status: int, request_id: bytes) -> None:
    """A 503 says why in one line; a 500 is a defect and brings its trace.

    What is turned away for load is counted and not logged: that would be work per call of a storm.
    So is what asks for an event that is being restored: who closed it has said so, in one line.
    """
    error = scope.get("api.error")
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
