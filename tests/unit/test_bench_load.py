"""The load client: it sends HTTP, each policy in its own time, and counts the answers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.load import open_loop, retry_after
from bench.load.closed_loop import ClosedLoop, run_python
from bench.load.open_loop import OpenLoop, Step
from bench.load.requests import HOLD_PATH
from bench.load.retry_after import RetryAfter

BODIES = [f'{{"seatIds":["gala:A-1-{number}"]}}' for number in range(1000)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        self.server.got.append((self.path, "", ""))
        self.send_response(304)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append((self.path, self.headers["Idempotency-Key"], body))
        status = (201 if BODIES.index(body) % 2 else 409) if body else 200
        answer = b'{"id":"gala:1"}'
        if self.server.rejected_count:
            self.server.rejected_count -= 1
            status, answer = 503, b'{"retryAfterMs":20}'
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    got: list[tuple[str, str, str]]
    rejected_count = 0
    """So many requests are rejected with 503 first."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def _serving() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.got = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_closed_loop_sends_every_body_once_and_counts_the_answers() -> None:
    with _serving() as server:
        load = ClosedLoop(url=server.url, token="t", bodies=BODIES, connections=3, seconds=0.1)
        result = run_python(load)
    assert result.answer_count == len(server.got) > 3
    bodies = [body for _, _, body in server.got]
    refused = sum(1 for body in bodies if BODIES.index(body) % 2 == 0)
    assert result.error_count == refused
    assert {path for path, _, _ in server.got} == {HOLD_PATH}
    assert len({key for _, key, _ in server.got}) == len(server.got)
    assert sorted(bodies[:1000]) == sorted(BODIES[: len(bodies)])
    assert 0 < result.p50_ms <= result.p99_ms
    assert result.per_second > 0


def test_closed_loop_without_bodies_gets() -> None:
    with _serving() as server:
        load = ClosedLoop(
            url=server.url, token="t", bodies=[], connections=2, seconds=0.1, path="/unchanged"
        )
        result = run_python(load)
    assert result.statuses == {304: len(server.got)}
    assert {path for path, _, _ in server.got} == {"/unchanged"}
    assert result.error_count == 0


def test_closed_loop_confirms_what_was_held() -> None:
    with _serving() as server:
        load = ClosedLoop(
            url=server.url, token="t", bodies=BODIES[1::2], connections=3, seconds=0.1, pays=True
        )
        result = run_python(load)
    paid = sum(path == "/api/v1/payment/gala:1/confirm" for path, _, _ in server.got)
    assert paid == result.statuses[200] > 1
    assert 0 <= result.statuses[201] - paid <= 3


def test_closed_loop_without_a_server_fails() -> None:
    load = ClosedLoop(
        url="http://127.0.0.1:1", token="t", bodies=BODIES, connections=1, seconds=0.1
    )
    with pytest.raises(ConnectionRefusedError):
        run_python(load)


@pytest.mark.parametrize("connections", [0, 5])
def test_open_loop_sends_at_its_rate_and_times_what_was_accepted(connections: int) -> None:
    with _serving() as server:
        load = OpenLoop(
            url=server.url, token="t", bodies=BODIES, connections=connections,
            steps=[Step(200, 0.1), Step(100, 0.1)],
        )  # fmt: skip
        result = open_loop.run(load)
    assert result.sent_s >= 0.19
    assert result.answer_count + result.unsent_count == 30
    assert result.answer_count == len(server.got) == len({key for _, key, _ in server.got})
    assert len(result.accepted) == result.statuses[201]
    assert all(0 < answer.ms <= result.slowest_ms for answer in result.accepted)
    assert (result.failed_count, result.unexplained_count) == (0, 0)


def test_open_loop_without_a_server_counts_its_failures() -> None:
    load = OpenLoop(url="http://127.0.0.1:1", token="t", bodies=BODIES, steps=[Step(100, 0.05)])
    result = open_loop.run(load)
    assert (result.answer_count, result.failed_count) == (0, 5)


def test_retry_after_retries_each_rejected_request_under_its_own_key() -> None:
    bodies = BODIES[1:21:2]
    with _serving() as server:
        server.rejected_count = 7
        load = RetryAfter(url=server.url, token="t", bodies=bodies, within_s=0.05)
        result = retry_after.run(load)
    assert result.statuses == {503: 7, 201: 10}
    assert len(result.waited_s) == 10
    assert len(server.got) == 17
    assert {body for _, _, body in server.got} == set(bodies)
    assert len({key for _, key, _ in server.got}) == 10
    assert (result.unexplained_count, result.broken_count) == (0, 0)
