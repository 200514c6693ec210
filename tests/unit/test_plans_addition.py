"""What a plan adds to an event: the same in a thread and in a process of its own."""

import json
from typing import Any

import pytest

from engine.errors import EngineError, SeatExists
from engine.plans import PlanError, addition, parse_event
from engine.plans import layout as layouts
from engine.plans.addition import Addition, read_addition
from tests.api.cases import ONE_SEAT, PLAN

MORE = {"sections": [{"id": "C", "category": "one", "rows": ONE_SEAT}]}
GZIPPED = layouts.encode(parse_event(json.dumps(PLAN).encode()).layout)


@pytest.fixture(params=["in a thread", "in a child process"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "in a child process":
        monkeypatch.setattr(addition, "CHILD_PROCESS_BYTES", 0)
    return str(request.param)


async def _read(body: object) -> Addition:
    return await read_addition(GZIPPED, json.dumps(body).encode())


@pytest.mark.usefixtures("way")
async def test_addition_has_what_is_new_and_the_whole_layout() -> None:
    added = await _read(MORE)
    whole, known = layouts.decode(added.gzipped), layouts.decode(GZIPPED)
    assert (added.known_version, added.version) == (known.version, whole.version)
    before, after = layouts.values_of(known), layouts.values_of(whole)
    assert before.seats | added.seats == after.seats
    assert before.areas | added.areas == after.areas
    assert before.map + added.map == after.map
    assert added.available + added.blocked == layouts.capacity(whole) - layouts.capacity(known)


@pytest.mark.usefixtures("way")
async def test_addition_of_a_bad_plan_lists_its_problems() -> None:
    with pytest.raises(PlanError, match="sections"):
        await _read({"sections": [{"id": "B", "rows": [{"id": "1", "seats": "none"}]}]})


@pytest.mark.usefixtures("way")
async def test_addition_of_seats_that_are_there_names_them() -> None:
    with pytest.raises(SeatExists) as refused:
        await _read({"sections": PLAN["sections"]})
    assert refused.value.found


async def test_addition_whose_process_dies_is_an_error_and_the_next_one_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addition, "CHILD_PROCESS_BYTES", 0)
    with monkeypatch.context() as dying:
        dying.setattr("engine.plans.child_process.sys.executable", "/bin/false")
        with pytest.raises(EngineError, match="exit status 1"):
            await _read(MORE)
    assert (await _read(MORE)).seats


@pytest.mark.parametrize("seats", [1, 7])
def test_layout_decodes_to_what_was_encoded(seats: int) -> None:
    plan: dict[str, Any] = PLAN | {
        "areas": [{"id": "floor", "name": "Floor", "category": "x", "capacity": 3}]
    }
    plan["categories"] = [{"id": "x", "name": "X", "priceMinor": 5}]
    plan["sections"] = [
        {"id": "S", "category": "x", "rows": [
            {"id": str(row), "seats": [{"number": str(n), "blocked": n == 2} for n in range(seats)]}
            for row in range(3)
        ]}
    ]  # fmt: skip
    layout = parse_event(json.dumps(plan).encode()).layout
    assert layouts.decode(layouts.encode(layout)) == layout
