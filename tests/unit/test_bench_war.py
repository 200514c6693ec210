"""A war that cannot start says why, before its first buyer."""

import importlib.util
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from bench.war import scenarios
from bench.war.war import War, check_ready
from engine.errors import Misconfigured, Unavailable
from engine.ids import EventId
from engine.settings.settings import Settings

READY = Settings(jwt_secret="s" * 48, payment_webhook_secret="p" * 32)


class _OnlyGala(BaseHTTPRequestHandler):
    notice_status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.notice_status)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/v1/event/gala" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _OnlyGala) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def war(url: str, event: str = "gala") -> War:
    return War(event_id=EventId(event), url=url, scenario=scenarios.find("rush"))


def test_check_ready_with_all_there_is_silent(url: str) -> None:
    check_ready(war(url), READY)
    check_ready(war(f"{url}/"), READY)


def test_check_ready_without_locust_names_the_extra(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Misconfigured, match=r"locust is not installed.*ticket-wars\[war\]"):
        check_ready(war(url), READY)


def test_check_ready_without_a_secret_names_it(url: str) -> None:
    with pytest.raises(Misconfigured, match="JWT_SECRET"):
        check_ready(war(url), Settings())


def test_check_ready_with_an_unknown_event_names_it(url: str) -> None:
    with pytest.raises(Misconfigured, match="404 for the event 'nix'"):
        check_ready(war(url, "nix"), READY)


@pytest.mark.parametrize("nowhere", ["http://127.0.0.1:1", "ftp://localhost", "gala", "http://"])
def test_check_ready_without_a_server_names_the_url(nowhere: str) -> None:
    with pytest.raises(Unavailable, match=nowhere):
        check_ready(war(nowhere), READY)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "accepts no payment notices: start the API with PAYMENT_WEBHOOK_SECRET"),
        (401, "refuses the signature of a payment notice: PAYMENT_WEBHOOK_SECRET must be the same"),
        (503, "answers 503 to a payment notice"),
    ],
)
def test_check_ready_with_notices_refused_says_what_to_do(
    url: str, monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    monkeypatch.setattr(_OnlyGala, "notice_status", status)
    with pytest.raises(Misconfigured, match=said):
        check_ready(noticed(url), READY)


def test_check_ready_with_notices_accepted_is_silent(url: str) -> None:
    check_ready(noticed(url), READY)


def test_check_ready_with_notices_and_no_secret_names_it(url: str) -> None:
    with pytest.raises(Misconfigured, match="PAYMENT_WEBHOOK_SECRET is not set"):
        check_ready(noticed(url), Settings(jwt_secret="s" * 48))


def noticed(url: str) -> War:
    return msgspec.structs.replace(war(url), notices=True)
