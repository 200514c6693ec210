"""How an API process ends: nothing it has accepted is cut, and nobody is kept waiting for long.

On SIGTERM, Ctrl-C or SIGHUP every answer says `Connection: close` and /readyz 503; after
DRAIN_WAIT_S uvicorn stops listening and finishes what is under way within DRAIN_S_MAX. Its own
handlers are wrapped rather than replaced, so this holds for one process and for its workers.

uvicorn closes idle connections at once. A request may be on its way there: its client would see a
reset and not know. So a connection is left LINGER_S to bring one more request.
"""

import asyncio
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from api.http.drain_state import DRAINING
from api.server.protocol import BoundedProtocol
from engine import logs

LINGER_S = 0.5
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = logs.get("api")
_Handler = Callable[[int, FrameType | None], Any]


class DrainingProtocol(BoundedProtocol):
    """One connection, which is closed behind an answer and never in front of one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that comes while the process drains is there for one request."""
        super().connection_made(transport)
        if DRAINING.begun:
            self.loop.call_later(LINGER_S, super().shutdown)

    def shutdown(self) -> None:
        """Called by the server once it has stopped listening."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LINGER_S, super().shutdown)
        else:
            super().shutdown()


class _End:
    """The end of this process: announced once, then brought on once."""

    def __init__(self, stop: _Handler, wait_s: int) -> None:
        self._stop = stop
        self._wait_s = wait_s
        self._loop = asyncio.get_running_loop()
        self._stopping: asyncio.TimerHandle | None = None

    def hear(self, number: int, _: FrameType | None = None) -> None:
        """What a signal does."""
        self._loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        if self._stopping:  # a second signal: the load balancer is waited for no longer
            self._stopping.cancel()
            self._stop(signal.SIGTERM, None)
            return
        _log.debug("draining", signal=signal.Signals(number).name, wait_s=self._wait_s)
        DRAINING.begin()
        # Never SIGINT: uvicorn takes a second one for leave to cut what is under way.
        self._stopping = self._loop.call_later(self._wait_s, self._stop, signal.SIGTERM, None)


@contextmanager
def draining_on_signals(wait_s: int) -> Iterator[None]:
    """Drain on the signals that end a process; to be entered when uvicorn's handlers stand."""
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop):  # no server runs this app
        yield
        return
    end = _End(stop, wait_s)
    before = {
        number: signal.signal(number, end.hear)
        for number in _SIGNALS
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        with _end_with_parent(end):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _end_with_parent(end: _End) -> Iterator[None]:
    """A worker whose parent was killed would serve for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def orphaned() -> None:
        loop.remove_reader(parent.sentinel)
        end.hear(signal.SIGTERM)

    loop.add_reader(parent.sentinel, orphaned)
    try:
        yield
    finally:
        loop.remove_reader(parent.sentinel)
