"""uvicorn's HTTP protocol, with bounds it has none for: slow clients, stuck clients, endless heads.

uvicorn waits for ever for a head or a body that does not come, and reads a head of any length. Each
such connection keeps a socket, and with a body a place among the requests under way. One timer a
connection looks again every REQUEST_READ_S: what is still the same unread request as last time, or
the same unsent bytes, is given up. So a request has at least that long, and at most twice. The same
timer ends a connection that is idle too long, where uvicorn sets one anew after each answer.
Requests and connections there is no place for are turned away here, at the `door`.
"""

from asyncio import TimerHandle, Transport
from functools import cache
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from api.http.drain_state import DRAINING
from api.http.problems import Problem, answer_of
from api.http.responses import SAFE, Header, OnePiece
from api.server.load_shedding import CLOSE, LATE_S, REST_S, LoadShedder
from engine.settings import settings

_COPIED_BYTES_MAX = 16_384
"""A longer body is not copied behind its head."""

HEAD_BYTES_MAX = 65_536
"""Of a head that comes in pieces; one that comes at once is as long as one read at most."""


@cache
def _read_s() -> int:
    return settings.load().request_read_s


@cache
def _door() -> LoadShedder:
    return LoadShedder(settings.load())


class Cycle(RequestResponseCycle, OnePiece):
    """One request and its answer, which may come in one piece each."""

    def take_body(self) -> bytes | None:
        """What there is, unless there is more to come, or the client waits to be asked for it."""
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
        """Send it; not to HEAD, nor as the last answer of a connection."""
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


# uvicorn has no setting for it: https://github.com/encode/uvicorn/blob/master/uvicorn/protocols/http/httptools_impl.py
httptools_impl.RequestResponseCycle = Cycle  # type: ignore[misc]


def _lines_of(headers: list[Header]) -> bytes:
    """The server's own headers; the list is made anew when the date is."""
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
        self._door = _door()
        self._look_timer: TimerHandle | None = None
        self._head_bytes = 0
        self._unread = self._late = False
        self._active_s = 0.0
        self._again_s = 0.0  # when it may come again, if it was ever turned away
        self._read: object = None
        self._unread_before: object = None
        self._unsent_before = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to look after the connection; or it is to end soon, as there are enough."""
        super().connection_made(transport)
        late_count = len(self.connections) - self._door.connections_max
        if late_count > self._door.connections_max:
            transport.abort()
        elif late_count > 0:  # no answer before it has asked: it would not be read
            self._late = True
            self._look_timer = self.loop.call_later(LATE_S, transport.close)
        else:
            self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """End with it."""
        if self._look_timer:
            self._look_timer.cancel()
        self._note_unread(False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read, and count what belongs to a head that has no end yet."""
        if self._late:
            self._turn_away(then=CLOSE)
            return
        self._active_s = self.loop.time()
        under_way_count = len(self.tasks) - self._door.unread_count
        if under_way_count >= self._door.places and self._turns_away(data, under_way_count):
            return
        super().data_received(data)
        if self.scope is None or "method" in self.scope:
            self._head_bytes = 0
            if self.scope is not self._read or self._unread:
                reading = self.scope is not self._read and not self.cycle.response_complete
                self._note_unread(reading)
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(Problem("headers_too_large", f"at most {HEAD_BYTES_MAX} bytes"))

    def on_message_complete(self) -> None:
        """Remember which request has been read to its end."""
        self._read = self.scope
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """What is answered takes no place, read or not. uvicorn's, without its timer."""
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

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(Problem("malformed", "this is not HTTP"))

    def _turns_away(self, data: bytes, under_way_count: int) -> bool:
        """Answer a request that begins here and has no place, as if it had been read."""
        between = self.scope is None or self._is_idle()
        if not between or DRAINING.begun or self.transport.is_closing():
            return False
        if not self._door.may_refuse(data, under_way_count):
            return False
        scarce = len(self.connections) > self._door.connections_max // 2
        self._turn_away(then=CLOSE if scarce else b"")
        return True

    def _turn_away(self, then: bytes) -> None:
        now_s = self.loop.time()
        early = self._door.may_rest and now_s < self._again_s
        appointed_s = max(self._again_s - now_s, 2 * REST_S) if early else 0
        answered_count = self.server_state.total_requests
        answer, after_s = self._door.turn_away(answered_count, appointed_s, then)
        self._again_s = now_s + after_s
        self.transport.write(answer)
        if then:
            self.transport.close()
        elif early:
            self.flow.pause_reading()
            self.loop.call_later(REST_S, self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _note_unread(self, unread: bool) -> None:
        """Tell the door whether the request of this connection is still being read."""
        self._door.unread_count += unread - self._unread
        self._unread = unread

    def _look(self) -> None:
        unread = None if self.scope is self._read else self.scope
        if self.scope is None and not self._again_s:
            unread = self  # nothing has come at all
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent == self._unsent_before:
            self.transport.abort()
        elif unread is not None and unread is self._unread_before:
            self._refuse(Problem("request_timeout", f"not read within {_read_s()} s"))
        elif self._is_idle() and self.loop.time() - self._active_s >= self.timeout_keep_alive:
            self.transport.close()
        else:
            self._unread_before, self._unsent_before = unread, unsent
            self._look_again()

    def _is_idle(self) -> bool:
        answered = self.cycle.response_complete if self.cycle else self._again_s > 0
        return self.scope is self._read and answered

    def _look_again(self) -> None:
        self._look_timer = self.loop.call_later(_read_s(), self._look)

    def _refuse(self, problem: Problem) -> None:
        """Answer, unless an answer is under way, and close."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        answering = cycle is not None and cycle.response_started and not cycle.response_complete
        if self.scope is not None and not answering and not self.pipeline:
            answer = answer_of(problem)
            headers = (
                *SAFE,
                (b"content-security-policy", answer.policy),
                (b"content-type", answer.content_type),
                (b"content-length", b"%d" % len(answer.body)),
                (b"connection", b"close"),
            )
            head = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}".encode()]
            head += [b"%b: %b" % header for header in headers]
            self.transport.write(b"\r\n".join((*head, b"", answer.body)))
        self.transport.close()
