"""The caches of availability are bounded in bytes, not in events."""

import pytest

from engine import Engine, availability
from engine.ids import EventId
from tests.support.factories import layout, terms


@pytest.fixture
async def small_caches(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    monkeypatch.setattr(availability, "LAYOUT_CACHE_BYTES", 5000)
    monkeypatch.setattr(availability, "MAP_CACHE_BYTES", 5000)
    reader = availability.AvailabilityReader(engine.availability._scripts, engine._batcher)
    monkeypatch.setattr(engine, "availability", reader)


@pytest.mark.usefixtures("small_caches")
async def test_layouts_and_maps_of_many_events_stay_within_their_bytes(engine: Engine) -> None:
    reader = engine.availability
    for number in range(12):
        event = EventId(f"event-{number}")
        await engine.events.load_event(event, layout(), terms())
        found = await reader.read_map(event)
        loaded = await reader.read_layout(event, found.layout_version)
        assert await reader.read_layout(event, found.layout_version) is loaded
        assert await reader.read_map(event) is found
    assert len(reader._layouts) < 12
    assert reader._layouts.currsize <= 5000
    assert len(reader._known) < 12
    assert reader._known.currsize <= 5000


@pytest.mark.usefixtures("small_caches")
async def test_an_event_larger_than_the_cache_is_kept_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "PLACE_BYTES", 10**6)
    await engine.events.load_event(EventId("large"), layout(), terms())
    found = await engine.availability.read_map(EventId("large"))
    loaded = await engine.availability.read_layout(EventId("large"), found.layout_version)
    again = await engine.availability.read_layout(EventId("large"), found.layout_version)
    assert again is loaded
