"""Graceful shutdown: a process finishes every request it accepted, within bounded time.

On SIGTERM, SIGINT or SIGHUP every response gets `Connection: close`, and /readyz returns 503. After
DRAIN_WAIT_S uvicorn stops listening, and finishes the requests in flight within DRAIN_S_MAX. Its
signal handlers are wrapped, not replaced, so this works for one process and for workers.

uvicorn would close idle connections at once. A request may already be on its way there: its client
would see a reset, and not know the outcome. So a connection stays open LINGER_S for one more
request.
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
    """One connection, which closes after a response and never before one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that opens while the process drains stays open LINGER_S."""
        super().connection_made(transport)
        if DRAINING.begun:
            self.loop.call_later(LINGER_S, super().shutdown)

    def shutdown(self) -> None:
        """Called by the server once it has stopped listening."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LINGER_S, super().shutdown)
        else:
            super().shutdown()


class _Shutdown:
    """The shutdown of this process: it drains, then stops."""

    def __init__(self, stop: _Handler, wait_s: int) -> None:
        self._stop = stop
        self._wait_s = wait_s
        self._loop = asyncio.get_running_loop()
        self._stopping: asyncio.TimerHandle | None = None

    def on_signal(self, number: int, _: FrameType | None = None) -> None:
        """The signal handler."""
        self._loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        if self._stopping:  # a second signal: stop without the rest of DRAIN_WAIT_S
            self._stopping.cancel()
            self._stop(signal.SIGTERM, None)
            return
        _log.debug("draining", signal=signal.Signals(number).name, wait_s=self._wait_s)
        DRAINING.begin()
        # Never SIGINT: on a second one uvicorn cuts the requests in flight.
        self._stopping = self._loop.call_later(self._wait_s, self._stop, signal.SIGTERM, None)


@contextmanager
def draining_on_signals(wait_s: int) -> Iterator[None]:
    """Drain on the signals that stop a process. Enter it after uvicorn has set its handlers."""
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop):  # the app runs without a server
        yield
        return
    shutdown = _Shutdown(stop, wait_s)
    before = {
        number: signal.signal(number, shutdown.on_signal)
        for number in _SIGNALS
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        with _stop_with_parent(shutdown):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _stop_with_parent(shutdown: _Shutdown) -> Iterator[None]:
    """Stop this worker if its parent is killed; otherwise it would run for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def orphaned() -> None:
        loop.remove_reader(parent.sentinel)
        shutdown.on_signal(signal.SIGTERM)

    loop.add_reader(parent.sentinel, orphaned)
    try:
        yield
    finally:
        loop.remove_reader(parent.sentinel)
