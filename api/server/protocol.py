"""uvicorn's HTTP protocol with the bounds it lacks: slow clients, stuck clients, endless headers.

uvicorn waits without limit for headers or a body, and reads headers of any length. Each such
connection keeps a socket, and one with a body also counts as in flight. One timer per connection
runs every REQUEST_READ_S: if it sees the same unread request as last time, or the same unsent
bytes, it closes the connection. So a request has at least that long, and at most twice as long. The
same timer closes idle connections; uvicorn would set a new timer after each response. Requests and
connections over the limits of the process are rejected here (`load_shedding`).

What uvicorn leaves open of RFC 9112 is closed here: a request needs one well-formed Host, an
Upgrade is ignored and its body read, and trailer fields never become headers.
"""

import re
from asyncio import TimerHandle, Transport
from functools import cache, lru_cache
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from api.http.drain_state import DRAINING
from api.http.middleware import new_request_id
from api.http.problems import Problem, response_of
from api.http.responses import NO_STORE, SAFE, Header, OnePiece
from api.server.load_shedding import BACKOFF_S, CLOSE, SURPLUS_IDLE_S, LoadShedder
from engine.settings import settings

_COPIED_BYTES_MAX = 16_384
"""A longer body is written by itself, not copied behind its headers."""

HEAD_BYTES_MAX = 65_536
"""The limit of headers that arrive in pieces; within one read, the size of the read limits them."""

_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?"
)
"""`uri-host [ ":" port ]` of RFC 9110, without later IP versions and without the comma, by which a
proxy joins two Hosts."""
_UPGRADE_HEADERS = (b"upgrade", b"http2-settings")


@cache
def _read_s() -> int:
    return settings.load().request_read_s


@cache
def _load_shedder() -> LoadShedder:
    return LoadShedder(settings.load())


@lru_cache(256)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


class Cycle(RequestResponseCycle, OnePiece):
    """One request and its response, each in one piece where possible."""

    def take_body(self) -> bytes | None:
        """The body, unless more of it is to come, or the client waits for 100-continue."""
        if (
            self.more_body
            or self.waiting_for_100_continue
            or self.flow.read_paused
            or self.disconnected
            or self.response_complete
        ):
            return None
        body, self.body = bytes(self.body), bytearray()
        self.message_event.clear()
        return body

    def send_whole(self, status: int, head: bytes, body: bytes) -> bool:
        """Send a response; not to HEAD, and not as the last one of a connection."""
        if self.waiting_for_100_continue and self.more_body:
            # Its client may send the body or the next request: nothing tells the two apart.
            self.keep_alive = False
        if (
            self.response_started
            or self.disconnected
            or self.access_log
            or not self.keep_alive
            or self.flow.write_paused
            or DRAINING.begun
            or self.scope["method"] == "HEAD"
        ):
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        start = STATUS_LINE[status] + _lines_of(self.default_headers) + head + b"\r\n"
        if len(body) > _COPIED_BYTES_MAX:
            self.transport.write(start)
            self.transport.write(body)
        else:
            self.transport.write(start + body)
        self.message_event.set()
        self.on_response()
        return True


# uvicorn has no setting for its class: https://github.com/encode/uvicorn/blob/master/uvicorn/protocols/http/httptools_impl.py
httptools_impl.RequestResponseCycle = Cycle  # type: ignore[misc]


def _lines_of(headers: list[Header]) -> bytes:
    """The server's own header lines; uvicorn makes a new list when the date changes."""
    global _own
    if _own[0] is not headers:
        _own = headers, b"".join([b"%b: %b\r\n" % header for header in headers])
    return _own[1]


_own: tuple[list[Header], bytes] = [], b""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    scope: Any  # None until the first request begins
    cycle: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shedder = _load_shedder()
        self._check_timer: TimerHandle | None = None
        self._head_bytes = 0
        self._unread = self._surplus = False
        self._active_s = 0.0
        self._retry_at_s = 0.0  # the time of its Retry-After, if it was ever rejected
        self._read: object = None
        self._unread_before: object = None
        self._unsent_before = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Start the timer; a connection over the limit gets one rejection, or is closed."""
        super().connection_made(transport)
        surplus_count = len(self.connections) - self._shedder.connections_max
        if surplus_count > self._shedder.connections_max:
            transport.abort()
        elif surplus_count > 0:  # rejected at its first request: a client reads no earlier response
            self._surplus = True
            self._check_timer = self.loop.call_later(SURPLUS_IDLE_S, transport.close)
        else:
            self._schedule_check()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        if self._check_timer:
            self._check_timer.cancel()
        self._note_unread(False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reject or read the data; counts the bytes of headers that are not complete."""
        if self._surplus:
            self._reject(ending=CLOSE)
            return
        self._active_s = self.loop.time()
        in_flight_count = len(self.tasks) - self._shedder.unread_count
        if in_flight_count >= self._shedder.in_flight_max and self._rejects(data, in_flight_count):
            return
        self._feed(data)
        if self.scope is None or "method" in self.scope:
            self._head_bytes = 0
            if self.scope is not self._read or self._unread:
                reading = self.scope is not self._read and not self.cycle.response_complete
                self._note_unread(reading)
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            self._fail(Problem("headers_too_large", f"at most {HEAD_BYTES_MAX} bytes"))

    def on_headers_complete(self) -> None:
        """Start the request, unless it is rejected for its Host or fed again without its Upgrade.

        Raises the problem `malformed`, which the parser passes on to `_feed`.
        """
        if self.parser.should_upgrade():
            return
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 and (hosts or self.parser.get_http_version() != "1.0"):
            raise Problem("malformed", f"a request has one Host, this one has {len(hosts)}")
        if hosts and not _is_host(hosts[0]):
            raise Problem("malformed", "the Host is not a host with an optional port")
        super().on_headers_complete()
        self.headers = []  # what follows are trailer fields: they must not become headers

    def on_message_complete(self) -> None:
        """Remember which request was read completely."""
        if self.parser.should_upgrade():
            return
        self._read = self.scope
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, without its timer. A request with a response no longer counts as unread."""
        if self._unread:
            self._note_unread(False)
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._active_s = self.loop.time()

    def _feed(self, data: bytes) -> None:
        """Parse the data; reject what is not HTTP."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    self._fail(Problem("malformed", "the server is not a proxy"))
                    return
                data = self._without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
                continue
            except httptools.HttpParserError as error:
                known = error.__context__
                not_http = Problem("malformed", "the request is not valid HTTP")
                self._fail(known if isinstance(known, Problem) else not_http)
            return

    def _without_upgrade(self) -> bytes:
        """The head of the request without its Upgrade, which a server may ignore (RFC 9110, 7.8).

        The parser skips the body of a request with an Upgrade, so the request is fed again.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            kept = value
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                kept = b", ".join(one for one in options if one.lower() not in _UPGRADE_HEADERS)
            if kept and name not in _UPGRADE_HEADERS:
                lines.append(b"%b: %b" % (name, kept))
        return b"\r\n".join((*lines, b"", b""))

    def _rejects(self, data: bytes, in_flight_count: int) -> bool:
        """Reject a request that begins here and is over the limit. Returns whether it did."""
        between = self.scope is None or self._is_idle()
        if not between or DRAINING.begun or self.transport.is_closing():
            return False
        if not self._shedder.may_reject(data, in_flight_count):
            return False
        crowded = len(self.connections) > self._shedder.connections_max // 2
        self._reject(ending=CLOSE if crowded else b"")
        return True

    def _reject(self, ending: bytes) -> None:
        now_s = self.loop.time()
        early = self._shedder.may_back_off and now_s < self._retry_at_s
        booked_s = max(self._retry_at_s - now_s, 2 * BACKOFF_S) if early else 0
        answered_count = self.server_state.total_requests
        rejection, after_s = self._shedder.reject(answered_count, booked_s, ending)
        self._retry_at_s = now_s + after_s
        self.transport.write(rejection)
        if ending:
            self.transport.close()
        elif early:
            self.flow.pause_reading()
            self.loop.call_later(BACKOFF_S, self._resume)

    def _resume(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _note_unread(self, unread: bool) -> None:
        """Count whether the request of this connection is still being read."""
        self._shedder.unread_count += unread - self._unread
        self._unread = unread

    def _check(self) -> None:
        unread = None if self.scope is self._read else self.scope
        if self.scope is None and not self._retry_at_s:
            unread = self  # no request has begun
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent == self._unsent_before:
            self.transport.abort()
        elif unread is not None and unread is self._unread_before:
            self._fail(Problem("request_timeout", f"not received within {_read_s()} s"))
        elif self._is_idle() and self.loop.time() - self._active_s >= self.timeout_keep_alive:
            self.transport.close()
        else:
            self._unread_before, self._unsent_before = unread, unsent
            self._schedule_check()

    def _is_idle(self) -> bool:
        answered = self.cycle.response_complete if self.cycle else self._retry_at_s > 0
        return self.scope is self._read and answered

    def _schedule_check(self) -> None:
        self._check_timer = self.loop.call_later(_read_s(), self._check)

    def _fail(self, problem: Problem) -> None:
        """Send a problem, unless a response has started, and close."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        responding = cycle is not None and cycle.response_started and not cycle.response_complete
        if self.scope is not None and not responding and not self.pipeline:
            response = response_of(problem)
            headers = (
                *self.server_state.default_headers,
                *SAFE,
                NO_STORE,
                (b"x-request-id", new_request_id()),
                (b"content-security-policy", response.policy),
                (b"content-type", response.content_type),
                (b"content-length", b"%d" % len(response.body)),
                (b"connection", b"close"),
            )
            head = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}".encode()]
            head += [b"%b: %b" % header for header in headers]
            self.transport.write(b"\r\n".join((*head, b"", response.body)))
        self.transport.close()
