"""Log lines: one JSON object each, of libraries too, secrets masked; levels that change."""

import asyncio
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog

from engine import Engine, Settings, logs
from tests.support.raw_redis import raw
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def own_process() -> Iterator[None]:
    """Logging is a process's own: put back what the tests of others had."""
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    logs.configure()
    yield
    logs.configure()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook = hook
    structlog.reset_defaults()


def _lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in capfd.readouterr().err.splitlines()]


def test_a_line_has_time_level_component_and_event(capfd: pytest.CaptureFixture[str]) -> None:
    logs.get("writer").warning("entry_refused", booking_id="gala:01J", why="because")
    (line,) = _lines(capfd)
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "warning",
        "part": "writer",
        "event": "entry_refused",
        "booking_id": "gala:01J",
        "event_id": "gala",
        "why": "because",
    }


def test_a_plain_line_is_text(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "plain")
    logs.configure()
    logs.get("writer").warning("entry_refused", entry_id="1-0", why="because")
    logging.getLogger("asyncio").error("library line")
    first, second = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"[\d:]{8} warning writer: entry refused, entry_id=1-0, why=because", first)
    assert re.fullmatch(r"[\d:]{8} error asyncio: library line", second)


def test_a_line_has_the_ids_of_its_request(capfd: pytest.CaptureFixture[str]) -> None:
    before = logs.within.set(lambda: {"request_id": "r-1", "event_id": "gala"})
    logs.get("payments").warning("notice_not_recorded")
    logs.get("payments").warning("notice_not_recorded", event_id="other")
    logs.within.reset(before)
    logs.get("payments").warning("notice_not_recorded")
    first, second, third = _lines(capfd)
    assert (first["request_id"], first["event_id"]) == ("r-1", "gala")
    assert (second["request_id"], second["event_id"]) == ("r-1", "other")
    assert "request_id" not in third


def test_lines_of_libraries_and_warnings_are_lines_too(capfd: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in %s\n", "the app")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    failed, warned = _lines(capfd)
    assert (failed["part"], failed["event"]) == ("uvicorn.error", "Exception in the app")
    assert failed["exception"].endswith("ValueError: no")
    assert warned["part"] == "py.warnings"


def test_libraries_do_not_whisper_at_debug(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug")
    logging.getLogger("httpcore").debug("send_request_headers authorization=%r", "Bearer abc")
    logging.getLogger("uvicorn.error").info("Started server process")
    assert [line["part"] for line in _lines(capfd)] == ["uvicorn.error"]


@pytest.mark.parametrize(
    "said",
    [
        {"authorization": "Basic marked"},
        {"refresh_token": "marked"},
        {"password": "marked"},
        {"why": "the header Bearer marked is wrong"},
        {"error": "InvalidToken('eyJhbGciOiJIUzI1NiJ9.marked.marked')"},
        {"url": "redis://user:marked@host:6379/0"},
    ],
)
def test_a_secret_that_was_said_is_masked(
    said: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    logs.get("api").error("wrong", **said)
    logging.getLogger("lib").error("wrong %s", said.get("why") or said.get("error") or "")
    found = capfd.readouterr().err
    assert found.count("\n") == 2
    assert "marked" not in found
    assert logs.MASK in found


def test_a_crash_is_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    logs.say_crashes("writer")
    error = RuntimeError("gone")
    sys.excepthook(RuntimeError, error, None)
    (line,) = _lines(capfd)
    assert (line["part"], line["event"], line["level"]) == ("writer", "crashed", "critical")


async def test_the_level_changes_while_it_runs_and_goes_back(
    engine: Engine, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    async def debugging() -> bool:
        return logs.debugging

    async def not_debugging() -> bool:
        return not logs.debugging

    async with engine.log_level.followed(settings.log_level):
        await engine.log_level.set("debug", 60)
        assert await engine.log_level.read() == "debug"
        assert 0 < await engine.log_level.seconds_left() <= 60
        await until(debugging)
        logs.get("api").debug("heard")
        await engine.log_level.reset()
        await until(not_debugging)
        logs.get("api").debug("not heard")
    assert [line["event"] for line in _lines(capfd)] == [
        "log_level_changed", "heard", "log_level_changed",
    ]  # fmt: skip


async def test_a_level_that_is_none_is_not_followed(engine: Engine) -> None:
    await raw(engine).set("log_level", "shout")
    assert await engine.log_level.read() is None


async def test_the_level_stays_while_redis_is_away(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def fail(*_: object) -> None:
        asked.set()
        raise OSError("away")

    monkeypatch.setattr(engine.client, "get", fail)
    async with engine.log_level.followed("info"):
        await asked.wait()
    assert not logs.debugging
