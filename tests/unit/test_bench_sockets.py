"""The load generator in Python: what it sends is HTTP, what it counts is what was answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.load import sockets
from bench.load.volley import PATH, Volley

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
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class _Server(ThreadingHTTPServer):
    got: list[tuple[str, str, str]]


@contextmanager
def _serving() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.got = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_fire_sends_every_body_once_and_counts_the_answers() -> None:
    volley = Volley(token="t", bodies=BODIES, connections=3, seconds=0.1)
    with _serving() as server:
        shots = sockets.fire(f"http://127.0.0.1:{server.server_port}", volley)
    assert shots.answer_count == len(server.got) > 3
    bodies = [body for _, _, body in server.got]
    refused = sum(1 for body in bodies if BODIES.index(body) % 2 == 0)
    assert shots.error_count == refused
    assert {path for path, _, _ in server.got} == {PATH}
    assert len({key for _, key, _ in server.got}) == len(server.got)
    assert sorted(bodies[:1000]) == sorted(BODIES[: len(bodies)])
    assert 0 < shots.p50_ms <= shots.p99_ms
    assert shots.per_second > 0


def test_a_volley_without_bodies_gets() -> None:
    volley = Volley(token="t", bodies=[], connections=2, seconds=0.1, path="/unchanged")
    with _serving() as server:
        shots = sockets.fire(f"http://127.0.0.1:{server.server_port}", volley)
    assert shots.statuses == {304: len(server.got)}
    assert {path for path, _, _ in server.got} == {"/unchanged"}
    assert shots.error_count == 0


def test_what_was_held_is_paid() -> None:
    volley = Volley(token="t", bodies=BODIES[1::2], connections=3, seconds=0.1, pays=True)
    with _serving() as server:
        shots = sockets.fire(f"http://127.0.0.1:{server.server_port}", volley)
    paid = sum(path == "/api/v1/payment/gala:1/confirm" for path, _, _ in server.got)
    assert paid == shots.statuses[200] > 1
    assert 0 <= shots.statuses[201] - paid <= 3


def test_fire_at_nobody_fails() -> None:
    volley = Volley(token="t", bodies=BODIES, connections=1, seconds=0.1)
    with pytest.raises(ConnectionRefusedError):
        sockets.fire("http://127.0.0.1:1", volley)
