"""hold_best finds what the model finds, in any house, whatever is sold, with any wish."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine import Engine
from engine.models import BestSelection, Layout, LayoutCategory, LayoutSeat, SingleSeats
from engine.plans.builder import LayoutBuilder
from engine.settings.settings import Settings
from tests.model.best_houses import ANN, SINGLE_SEATS, SOLD, WISHES, compare, houses
from tests.model.best_model import BestModel
from tests.support.factories import GALA


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def engine(redis_url: str, runner: asyncio.Runner) -> Iterator[Engine]:
    """On a loop of its own: hypothesis is not asynchronous."""
    engine = runner.run(Engine.connect(Settings(redis_url=redis_url, jwt_secret="s" * 48)))
    yield engine
    runner.run(engine.close())


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    house=houses(),
    sold=SOLD,
    wishes=st.lists(WISHES, min_size=1, max_size=6),
    single_seats=SINGLE_SEATS,
)
def test_hold_best_finds_what_the_model_finds(
    engine: Engine,
    runner: asyncio.Runner,
    house: Layout,
    sold: list[int],
    wishes: list[BestSelection],
    single_seats: SingleSeats,
) -> None:
    runner.run(compare(engine, house, sold, wishes, single_seats))


def test_a_missing_window_is_found_by_the_model() -> None:
    """The control: the model is not satisfied with any window."""
    builder = LayoutBuilder()
    builder.add_category("", LayoutCategory(id="near", name="near", price_minor=1))
    builder.add_section("", "A", "A")
    row = [LayoutSeat(id=f"A-1-{n}", number=str(n), category="near") for n in range(6)]
    builder.add_row("", "A", "1", [("", seat) for seat in row])
    house = builder.build("EUR")
    wanted = BestSelection(event_id=GALA, customer_id=ANN, quantity=2)
    assert [w.seats for w in BestModel(house, "aaaaaa").best(wanted)] == [("A-1-2", "A-1-3")]
    assert [w.seats for w in BestModel(house, "aahaaa").best(wanted)] == [("A-1-0", "A-1-1")]
    three = replace(wanted, quantity=3)
    assert BestModel(house, "aahaha").best(three) == []
    assert BestModel(house, "aahaha").largest(three) == 2
