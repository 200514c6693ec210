"""The edge: methods, sizes, request ids, metrics, and what never reaches the client."""

from collections.abc import AsyncIterator

import pytest
import structlog
from prometheus_client import REGISTRY

from api.http.problems import KINDS
from engine import Engine, Unavailable
from tests.api.client import BOOKING, EVENT, Api, bearer
from tests.support.raw_redis import raw

ANN = bearer("ann")
SEAT = {"seatId": "gala:A-1-1"}
JSON = {"content-type": "application/json"}


def _count(method: str, path: str, route: str, status: int) -> float:
    labels = {"method": method, "path": path, "route": route, "statusCode": str(status)}
    timed = REGISTRY.get_sample_value("http_requests_duration_seconds_count", labels) or 0
    counted = REGISTRY.get_sample_value("http_requests_total", labels) or 0
    assert timed == counted
    return counted


async def test_unknown_path_is_404_under_one_label(api: Api) -> None:
    before = _count("GET", "unmatched", "unmatched", 404)
    for path in ("/", "/api/v1/nothing", "/api/v1/booking/", "//", "/api/v1/event/a/b/c"):
        await api.refused(404, "not_found", "GET", path, ANN)
    assert _count("GET", "unmatched", "unmatched", 404) == before + 10 / 2


async def test_unknown_method_is_405_and_allow_lists_the_others(api: Api) -> None:
    await api.refused(405, "method_not_allowed", "PUT", BOOKING, ANN, json=SEAT)
    answer = await api.call("PUT", BOOKING, ANN)
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_options_lists_the_methods_of_a_path(api: Api) -> None:
    answer = await api.call("OPTIONS", f"{EVENT}/gala")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, PATCH"


async def test_head_is_get_without_its_body(api: Api) -> None:
    await api.office.open()
    for path, caller in ((f"{EVENT}/gala", None), (f"{BOOKING}/mine", ANN), ("/nothing", None)):
        got = await api.call("GET", path, caller)
        head = await api.call("HEAD", path, caller)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-length"] == str(len(got.content))
        assert head.headers["content-type"] == got.headers["content-type"]


async def test_body_over_the_limit_is_413_declared_or_streamed(api: Api) -> None:
    await api.office.open()
    body = b'{"seatId": "' + b"x" * 65_536 + b'"}'

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    for content in (body, stream()):
        problem = await api.refused(
            413, "body_too_large", "POST", BOOKING, {**ANN, **JSON}, content=content
        )
        assert problem["limit"] == 65_536
    declared = {**ANN, **JSON, "content-length": "999999999999"}
    await api.refused(413, "body_too_large", "POST", BOOKING, declared, content=b"{}")


async def test_body_in_pieces_is_put_together(api: Api) -> None:
    await api.office.open()

    async def stream() -> AsyncIterator[bytes]:
        for piece in (b'{"seat', b'Id": "gala:', b'A-1-1"}'):
            yield piece

    answer = await api.call("POST", BOOKING, {**ANN, **JSON}, content=stream())
    assert answer.status_code == 201


@pytest.mark.parametrize("media", ["application/json", "Application/JSON; charset=utf-8"])
async def test_body_as_json_is_read_however_it_is_spelled(api: Api, media: str) -> None:
    await api.office.open()
    headers = {**ANN, "content-type": media}
    answer = await api.call("POST", BOOKING, headers, content=b'{"seatId": "gala:A-1-1"}')
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("abc-123.X_y:z", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("a b", False),
        ("a\u00e9", False),
        ("a\r\nset-cookie: b", False),
    ],
)
async def test_request_id_is_answered_and_a_strange_one_replaced(
    api: Api, sent: str, kept: bool
) -> None:
    headers = {b"x-request-id": sent.encode("latin-1")}
    answered = (await api.http.get("/healthz", headers=headers)).headers["x-request-id"]
    assert (answered == sent) == kept
    assert answered.isascii()
    assert " " not in answered


async def test_every_status_is_counted_with_path_template_and_route(api: Api) -> None:
    await api.office.open()
    one = f"{BOOKING}/{{booking_id}}"
    calls = [
        ("POST", BOOKING, BOOKING, "hold_seats", ANN, 201),
        ("POST", BOOKING, BOOKING, "hold_seats", ANN, 409),
        ("POST", BOOKING, BOOKING, "hold_seats", {}, 401),
        ("POST", EVENT, EVENT, "create_event", ANN, 403),
        ("GET", f"{BOOKING}/gala:x", one, "read_booking", ANN, 404),
        ("PUT", f"{BOOKING}/gala:x", one, "unmatched", ANN, 405),
    ]
    for method, path, template, route, caller, status in calls:
        before = _count(method, template, route, status)
        answer = await api.call(method, path, caller, json=SEAT)
        assert answer.status_code == status
        assert _count(method, template, route, status) == before + 1


async def test_defect_is_500_without_its_trace_and_logged_with_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(engine: Engine) -> None:
        raise KeyError("a secret of ours")

    monkeypatch.setattr("engine.bookings.Bookings.hold_seats", broken)
    with structlog.testing.capture_logs() as logged:
        answer = await api.call("POST", BOOKING, {**ANN, "x-request-id": "r-1"}, json=SEAT)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    [entry] = logged
    assert (entry["event"], entry["status"], entry["request_id"]) == ("request_failed", 500, "r-1")
    assert isinstance(entry["exc_info"], TypeError)
    assert KINDS["internal"].status == 500


async def test_event_that_is_restored_is_not_logged_with_each_request(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands may request it in a second; each response says that Redis is away."""
    await api.office.open()
    await raw(api.office.engine).hset("{gala}:event", "sales", "restoring")

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("no answer")

    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            await api.refused(503, "restoring", "POST", BOOKING, ANN, json=SEAT)
        assert logged == []
        monkeypatch.setattr("engine.bookings.Bookings.hold_seats", away)
        await api.call("POST", BOOKING, ANN, json=SEAT)
    assert [(line["event"], line["status"]) for line in logged] == [("request_failed", 503)]


async def test_keys_in_redis_never_come_from_unchecked_text(api: Api) -> None:
    await api.office.open()
    known = set(await api.office.everything())
    nasty = ("{gala}:event", "gala}:x", "a\r\nFLUSHALL", "*", "\x00", "../gala", "gala:{x}")
    for text in nasty:
        await api.call("POST", BOOKING, ANN, json={"seatId": text})
        body = {"eventId": text, "areas": [{"areaId": text, "quantity": 1}]}
        await api.call("POST", BOOKING, ANN, json=body)
        await api.call("GET", f"{BOOKING}", params={"eventId": text})
        await api.call("GET", f"{BOOKING}/mine", ANN, params={"cursor": f"gala:{text}"})
        await api.call("GET", f"{EVENT}", params={"cursor": text})
    assert set(await api.office.everything()) == known
