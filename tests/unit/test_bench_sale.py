"""What no volley may have is noted: failed connections, 5xx, refusals, holds that are not there."""

from pathlib import Path
from typing import Any

import pytest

from bench.load import closed_loop
from bench.load.closed_loop import ClosedLoopResult, parse_wrk
from bench.rig.sale import Sale
from bench.rig.stand import Stand
from engine import Engine, Settings
from engine.ids import EventId

GOOD = ClosedLoopResult(seconds=1, answer_count=9, error_count=0, p50_ms=1, p99_ms=2)


class _Stand(Stand):
    settings = Settings(jwt_secret="s" * 48)


@pytest.fixture
def sale() -> Sale:
    nothing: Any = None
    return Sale(_Stand(Path("/nowhere"), 1), nothing, nothing, "")


@pytest.mark.parametrize(
    ("result", "noted"),
    [
        ({}, []),
        ({"failed_count": 3, "error_count": 3}, ["u/api/v1/booking: 3 connections failed"]),
        ({"error_count": 2}, ["u/api/v1/booking: 2 answers are not a success"]),
        (
            {"error_count": 1, "statuses": {201: 8, 503: 1}},
            ["u/api/v1/booking: 1 answers 503", "u/api/v1/booking: 1 answers are not a success"],
        ),
    ],
)
async def test_a_load_that_failed_is_noted(
    sale: Sale, monkeypatch: pytest.MonkeyPatch, result: dict[str, Any], noted: list[str]
) -> None:
    fields = {name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | result
    monkeypatch.setattr(closed_loop, "run", lambda *_: ClosedLoopResult(**fields))
    await sale.run_all_good(sale.load("u", ["{}"], 1))
    assert sale.wrong == noted


def test_holds_that_are_not_in_redis_are_noted(sale: Sale) -> None:
    sale.expect(EventId("gala"), "holds", 8, 9)
    sale.expect(EventId("gala"), "holds", 9, 9)
    assert sale.wrong == ["gala: 9 holds answered, 8 in Redis"]


def test_numbers_are_given_once(sale: Sale) -> None:
    assert [sale.next_numbers(3), sale.next_numbers(2)] == [slice(0, 3), slice(3, 5)]


def test_what_wrk_says_is_read() -> None:
    result = parse_wrk("2000000 900 30 7 1500 42000 201:863 409:30", 0.25)
    assert (result.seconds, result.answer_count) == (2.0, 900)
    assert (result.error_count, result.failed_count) == (37, 7)
    assert (result.p50_ms, result.p99_ms) == (1.5, 42)
    assert result.statuses == {201: 863, 409: 30}
    assert result.answers_per_second == 450


async def test_policies_are_those_redis_has(engine: Engine) -> None:
    from bench.rig.sale import set_policy

    await set_policy(engine, "everysec")
    assert (await engine.client.config_get("appendfsync"))["appendfsync"] == "everysec"
    await set_policy(engine, "always")
    assert (await engine.client.config_get("appendfsync"))["appendfsync"] == "always"
