"""The parent of several workers."""

import os
import signal

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.supervisors import Multiprocess

from api.server.workers import _Workers


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """What the workers would serve."""


def _tells_its_end(kind: type[Multiprocess], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the pipe to a killed worker has something to read: its end."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # those of this process stay
    workers = kind(Config(app, workers=1, log_config=None), [])
    workers.init_processes()
    [worker] = workers.processes
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    found = worker.parent_conn.poll(0)
    workers.terminate_all()
    return found


@pytest.mark.parametrize(("kind", "told"), [(_Workers, True), (Multiprocess, False)])
def test_parent_sees_at_once_that_a_worker_was_killed(
    kind: type[Multiprocess], told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control is uvicorn's own parent, whose ping would wait."""
    assert _tells_its_end(kind, monkeypatch) is told
