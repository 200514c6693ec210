"""uvicorn's HTTP protocol, with bounds it has none for: slow clients, stuck clients, endless heads.

uvicorn waits for ever for a head or a body that does not come, and reads a head of any length. Each
such connection keeps a socket, and with a body a place among the requests under way. One timer a
connection looks again every REQUEST_READ_S: what is still the same unread request as last time, or
the same unsent bytes, is given up. So a request has at least that long, and at most twice. Requests
and connections there is no place for are turned away here, at the `door`.
"""

from asyncio import TimerHandle, Transport
from functools import cache
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.answers import SAFE
from api.draining import DRAINING
from api.problems import Problem, answer_of
from engine import settings
from engine.cli.door import CLOSE, LATE_S, Door

HEAD_BYTES_MAX = 65_536
"""Of a head that comes in pieces; one that comes at once is as long as one read at most."""


@cache
def _read_s() -> int:
    return settings.load().request_read_s


@cache
def _door() -> Door:
    return Door(settings.load())


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    scope: Any  # None until the first request begins
    cycle: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._door = _door()
        self._look_timer: TimerHandle | None = None
        self._head_bytes = 0
        self._unread = self._turned_away = self._late = False
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
        """What is answered takes no place, read or not."""
        if self._unread:
            self._note_unread(False)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(Problem("malformed", "this is not HTTP"))

    def _turns_away(self, data: bytes, under_way_count: int) -> bool:
        """Answer a request that begins here and has no place, as if it had been read."""
        between = self.scope is None or (self.scope is self._read and self.cycle.response_complete)
        if not between or DRAINING.begun or self.transport.is_closing():
            return False
        if not self._door.may_refuse(data, under_way_count):
            return False
        scarce = len(self.connections) > self._door.connections_max // 2
        self._turn_away(then=CLOSE if scarce else b"")
        return True

    def _turn_away(self, then: bytes) -> None:
        self._turned_away, self._unread_before = True, None
        self.transport.write(self._door.turn_away(self.server_state.total_requests, then))
        if then:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Close, unless it was not as idle as it looks: what is turned away sets no timer."""
        if not self._turned_away:
            super().timeout_keep_alive_handler()
            return
        self._turned_away = False
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _note_unread(self, unread: bool) -> None:
        """Tell the door whether the request of this connection is still being read."""
        self._door.unread_count += unread - self._unread
        self._unread = unread

    def _look(self) -> None:
        unread = None if self.scope is self._read else self.scope
        if self.scope is None:
            unread = self  # nothing has come at all
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent == self._unsent_before:
            self.transport.abort()
        elif unread is not None and unread is self._unread_before:
            self._refuse(Problem("request_timeout", f"not read within {_read_s()} s"))
        else:
            self._unread_before, self._unsent_before = unread, unsent
            self._look_again()

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
