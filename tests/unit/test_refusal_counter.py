"""Refusals by event: counted under their event, and bounded in the number of events."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Counter

from engine import Engine
from engine.errors import SeatTaken
from engine.ids import EventId
from engine.metrics import metrics, refusal_counter
from engine.metrics.refusal_counter import EVENTS_MAX, RefusalCounter
from tests.support.factories import layout, selection, terms


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter("refusals", "Refusals.", ["event", "code"], registry=CollectorRegistry())
    monkeypatch.setattr(metrics, "refusals", counter)
    return counter


def _by_event(counter: Counter) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["event"], sample.labels["code"]): sample.value
        for metric in counter.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


async def test_events_beyond_the_bound_and_invented_ones_share_a_series(counted: Counter) -> None:
    refusals = RefusalCounter()
    for number in range(EVENTS_MAX):
        refusals.add(f"invented-{number}", "event_not_found")
        refusals.add(f"invented-{number}", "rate_limited")
    for number in range(EVENTS_MAX + 3):
        refusals.add(f"event-{number}", "seat_taken")
    refusals.add("event-0", "rate_limited")
    await asyncio.sleep(0)
    found = _by_event(counted)
    assert found["", "event_not_found"] == found["", "rate_limited"] == EVENTS_MAX
    assert found["", "seat_taken"] == 3
    assert found["event-0", "rate_limited"] == found["event-0", "seat_taken"] == 1
    assert len({event for event, _ in found}) == EVENTS_MAX + 1


async def test_refused_call_is_counted_under_its_event(
    engine: Engine, counted: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.scripts._refusals", refusal_counter.RefusalCounter())
    for event in ("one", "two"):
        await engine.events.load_event(EventId(event), layout(), terms())
    await engine.bookings.hold_seats(selection("ann", "A-1-1", event="one"))
    for _ in range(2):
        with pytest.raises(SeatTaken):
            await engine.bookings.hold_seats(selection("bob", "A-1-1", event="one"))
    await asyncio.sleep(0)
    assert _by_event(counted) == {("one", "seat_taken"): 2}
