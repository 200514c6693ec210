"""No secret reaches the log: every route called with marked ones, everything said at `debug`."""

import logging
from collections.abc import Iterator

import msgspec
import pytest
import structlog

from api.accounts.mail import Mail, Mailer
from api.http import decoding
from api.http.calls import Route
from api.routes import ROUTES
from engine import Settings, logs
from tests.api.account_cases import HASHED, PASSWORD, SECRET
from tests.api.cases import CASES
from tests.api.client import Api, Headers, bearer
from tests.api.payment_cases import HOOK_SECRET
from tests.api.visitor import Mailbox

KEY = "marked-idempotency-key"
COOKIE = "marked-cookie"
STATED = {"password": "marked-password-1", "token": "marked-token", "seatId": "marked-seat"}


@pytest.fixture(autouse=True)
def wordy() -> Iterator[None]:
    """As `engine log-level debug`, as in a process of its own."""
    libraries = logging.getLogger().handlers[:]
    logs.configure("debug")
    yield
    logs.configure()
    logging.getLogger().handlers[:] = libraries
    logging.captureWarnings(False)
    structlog.reset_defaults()


def _caller(route: Route) -> Headers:
    own = {"booking", "payment"} & set(route.path.split("/"))
    who = bearer("ann") if own else bearer("orla", "admin")
    return {**who, "cookie": COOKIE, "referer": f"https://shop/?token={SECRET}"}


def _secrets(caller: Headers, mailbox: Mailbox, answer: bytes) -> list[str]:
    shown = msgspec.json.decode(answer) if answer.startswith(b"{") else {}
    made = [shown[name] for name in ("accessToken", "refreshToken", "secret") if name in shown]
    links = [mail.link for mail in mailbox.mails]
    own = [KEY, COOKIE, PASSWORD, HASHED, SECRET, HOOK_SECRET, *STATED.values()]
    return [caller["authorization"].rpartition(".")[2], *own, *made, *links]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.name}-{route.method}")
async def test_no_route_says_a_secret(
    route: Route, api: Api, mailbox: Mailbox, capfd: pytest.CaptureFixture[str]
) -> None:
    await api.office.open(owner_id="orla")
    case = await CASES[route.name, route.path](api)
    caller = _caller(route)
    more = {"json": case.body} if case.body is not None else {}
    keyed = {**caller, "idempotency-key": KEY} if route.keyed else caller
    answer = await api.call(route.method, case.path, keyed, **more)
    assert answer.status_code == route.status, answer.text
    await api.call(route.method, f"{case.path}?token={SECRET}", caller, json=STATED)
    said = "".join(capfd.readouterr())
    assert [secret for secret in _secrets(caller, mailbox, answer.content) if secret in said] == []
    line = msgspec.json.decode(said.splitlines()[0])
    assert (line["event"], line["part"], line["method"]) == ("answered", "api", route.method)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert {name: line[name] for name in ("event_id",) if "{event_id}" in route.path} == (
        {"event_id": "gala"} if "{event_id}" in route.path else {}
    )


async def test_a_defect_is_logged_with_its_trace_and_without_the_request(
    api: Api, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(body: bytes, decode: object) -> object:
        raise RuntimeError("a defect")

    monkeypatch.setattr(decoding, "decode_body", fail)
    caller = {**bearer("ann"), "idempotency-key": KEY}
    await api.call("POST", "/api/v1/booking", caller, json=STATED)
    lines = [msgspec.json.decode(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["answered", "request_failed"]
    assert "RuntimeError: a defect" in lines[1]["exception"]
    assert not any(mark in str(lines) for mark in (KEY, *STATED.values(), caller["authorization"]))


async def test_a_mail_that_nothing_sends_is_found_by_the_same_search(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """The one link that is ever in a log, by intent: the search finds it."""
    Mailer(settings).send(
        Mail("ann@example.org", "Welcome", "Follow it", f"/verify?token={SECRET}")
    )
    assert SECRET in capfd.readouterr().err
