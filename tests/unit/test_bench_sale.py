"""What no volley may have is noted: failed connections, 5xx, refusals, holds that are not there."""

from pathlib import Path
from typing import Any

import pytest

from bench.load import generator, wrk
from bench.load.volley import Shots
from bench.rig.sale import Sale
from bench.rig.stand import Stand
from engine import Engine, Settings
from engine.ids import EventId

GOOD = Shots(seconds=1, answer_count=9, error_count=0, p50_ms=1, p99_ms=2)


class _Stand(Stand):
    settings = Settings(jwt_secret="s" * 48)


@pytest.fixture
def sale() -> Sale:
    nothing: Any = None
    return Sale(_Stand(Path("/nowhere"), 1), nothing, nothing, "")


@pytest.mark.parametrize(
    ("shots", "noted"),
    [
        ({}, []),
        ({"failed_count": 3, "error_count": 3}, ["u/api/v1/booking: 3 connections failed"]),
        ({"error_count": 2}, ["u/api/v1/booking: 2 answers are no success"]),
        (
            {"error_count": 1, "statuses": {201: 8, 503: 1}},
            ["u/api/v1/booking: 1 answers 503", "u/api/v1/booking: 1 answers are no success"],
        ),
    ],
)
async def test_a_volley_that_is_no_figure_is_noted(
    sale: Sale, monkeypatch: pytest.MonkeyPatch, shots: dict[str, Any], noted: list[str]
) -> None:
    fields = {name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | shots
    monkeypatch.setattr(generator, "fire", lambda *_: Shots(**fields))
    await sale.fire_all_good("u", sale.volley(["{}"], 1))
    assert sale.wrong == noted


def test_holds_that_are_not_in_redis_are_noted(sale: Sale) -> None:
    sale.expect(EventId("gala"), "holds", 8, 9)
    sale.expect(EventId("gala"), "holds", 9, 9)
    assert sale.wrong == ["gala: 9 holds answered, 8 in Redis"]


def test_numbers_are_given_once(sale: Sale) -> None:
    assert [sale.next_numbers(3), sale.next_numbers(2)] == [slice(0, 3), slice(3, 5)]


def test_what_wrk_says_is_read() -> None:
    shots = wrk.parse("2000000 900 30 7 1500 42000 201:863 409:30", 0.25)
    assert (shots.seconds, shots.answer_count, shots.error_count, shots.failed_count) == (
        *(2.0, 900, 37, 7),
    )
    assert (shots.p50_ms, shots.p99_ms) == (1.5, 42)
    assert shots.statuses == {201: 863, 409: 30}
    assert shots.answers_per_second == 450


async def test_policies_are_those_redis_has(engine: Engine) -> None:
    from bench.rig.sale import set_policy

    await set_policy(engine, "everysec")
    assert (await engine.client.config_get("appendfsync"))["appendfsync"] == "everysec"
    await set_policy(engine, "always")
    assert (await engine.client.config_get("appendfsync"))["appendfsync"] == "always"
