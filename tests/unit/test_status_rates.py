"""Rates from totals: exact numbers in, exact numbers out."""

import pytest

from cli.status.rates import (
    DELAYS_MS,
    Course,
    Rates,
    RateSample,
    ReleaseDelay,
    rates_between,
    refusal_rates,
)


def test_rates_are_the_difference_over_the_time() -> None:
    before = RateSample(1000, {"seats_held": 10, "booking_confirmed": 4}, {"seat_taken": 100})
    after = RateSample(
        3000,
        {"seats_held": 30, "booking_confirmed": 5, "booking_expired": 3, "booking_released": 2},
        {"seat_taken": 160, "area_full": 8},
    )
    assert rates_between(before, after) == Rates(10.0, 0.5, 1.5, 1.0, 34.0)
    assert refusal_rates(before, after) == {"seat_taken": 30.0, "area_full": 4.0}


def test_refusals_that_are_not_counted_are_not_zero() -> None:
    known, unknown = RateSample(0, {}, {"seat_taken": 1}), RateSample(1000, {}, None)
    for before, after in ((known, unknown), (unknown, known)):
        assert rates_between(before, after).refusals is None
        assert refusal_rates(before, after) is None


def test_a_counter_that_was_reset_counts_from_nothing() -> None:
    before, after = RateSample(0, {}, {"seat_taken": 1000}), RateSample(1000, {}, {"seat_taken": 7})
    assert refusal_rates(before, after) == {"seat_taken": 7.0}


@pytest.mark.parametrize("at_ms", [1000, 999])
def test_no_time_passed_has_no_rate(at_ms: int) -> None:
    found = rates_between(RateSample(1000, {}), RateSample(at_ms, {"seats_held": 5}))
    assert found == Rates()


def test_course_has_rates_at_the_first_poll_and_spans_a_gap() -> None:
    course = Course()
    course.begin(0)
    course.add(RateSample(5000, {"seats_held": 50}))
    assert course.rates.holds == 10.0
    course.begin(4000)
    course.add(RateSample(15_000, {"seats_held": 100}))
    assert course.rates.holds == 5.0
    assert [rates.holds for rates in course.history] == [10.0, 5.0]


def test_course_without_a_beginning_has_no_rate_yet() -> None:
    course = Course()
    course.add(RateSample(5000, {"seats_held": 50}))
    assert course.rates == Rates()


def test_release_delay_is_of_the_last_minute() -> None:
    course = Course()
    assert course.release_delay() is None
    course.add(RateSample(1000, {}), [5000])
    course.add(RateSample(1000 + DELAYS_MS, {}), [10, 30])
    assert course.release_delay() == ReleaseDelay(3, 30, 5000)
    course.add(RateSample(1001 + DELAYS_MS, {}))
    assert course.release_delay() == ReleaseDelay(2, 20, 30)
