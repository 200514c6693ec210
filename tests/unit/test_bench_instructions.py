"""Figures of `bench instructions`: the mean of the calls counted, and the sum of a profile."""

import pytest

from bench.report.section import Figures
from bench.rig.callgrind import total_of
from bench.rig.houses import house
from bench.suites.instructions import EVENT, CallCounter
from engine import Engine
from engine.errors import Misconfigured
from engine.event_state import read_state
from engine.models import BookingStatus, Terms


class _Server:
    """Says that it has executed a million instructions whenever it is asked."""

    def instructions(self) -> int:
        return 1_000_000


async def test_each_figure_is_the_mean_of_its_calls(engine: Engine) -> None:
    await engine.events.load_event(EVENT, house(1000), Terms(name="Instructions"))
    figures = Figures()
    await CallCounter(engine, _Server(), figures).count_all(80)
    assert figures.wrong == []
    assert {series.id: series.median for series in figures.series} == {
        "instructions/hold/8": 12_500,
        "instructions/refusal/8": 12_500,
        "instructions/hold/1": 50_000,
        "instructions/refusal/1": 50_000,
        "instructions/confirm/8": 12_500,
        "instructions/confirm/1": 50_000,
    }
    state = await read_state(engine, EVENT)
    statuses = [booking.status for booking in state.bookings.values()]
    assert len(statuses) == 200
    assert statuses.count(BookingStatus.CONFIRMED) == 180


def test_sum_of_a_profile_is_its_last_line() -> None:
    assert total_of("events: Ir\nfn=(1) main\n3 12\n\ntotals: 8431\n") == 8431
    with pytest.raises(Misconfigured, match="totals"):
        total_of("events: Ir\n")
