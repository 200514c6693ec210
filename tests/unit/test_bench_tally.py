"""Counting: refusals and failures apart, and percentiles by nearest rank."""

import msgspec
import pytest

from bench.war.tally import BuyerAnswer, Receipt, Spread, Summary, Tally, percentile, spread_of

TAKEN = msgspec.json.encode({"code": "seat_taken", "detail": "…", "status": 409})


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (100, 100)]
)
def test_percentile_of_a_hundred_is_by_nearest_rank(percent: float, expected: int) -> None:
    assert percentile(range(1, 101), percent) == expected


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 99) == 7.0


def test_spread_of_times_in_any_order() -> None:
    assert spread_of([3.0, 1.0, 2.0004]) == Spread(3, 2.0, 3.0, 3.0, 3.0)


def test_spread_of_none_is_zero() -> None:
    assert spread_of([]) == Spread(0, 0, 0, 0, 0)


def test_add_counts_refusals_and_rejections_apart_from_failures() -> None:
    tally = Tally()
    assert tally.add("hold", BuyerAnswer(201, b"{}", 2.0)) == ""
    assert tally.add("hold", BuyerAnswer(409, TAKEN, 1.0)) == "seat_taken"
    assert tally.add("hold", BuyerAnswer(503, b'{"code":"overloaded"}', 1.0)) == "overloaded"
    assert tally.add("confirm", BuyerAnswer(0, b"ConnectionRefusedError", 1.0))
    assert tally.add("look", BuyerAnswer(500, b"<html>", 1.0)) == "no code"
    tally.fail("buyer: ValueError()")
    summary = tally.summary(2.0)
    assert summary.request_count == 5
    assert summary.success_count == 1
    assert summary.server_error_count == 1
    assert summary.rejected_count == 1
    assert summary.unanswered_count == 1
    assert summary.attempt_count == 3
    assert summary.held_count == 1
    assert summary.refusals == {"seat_taken": 1}
    assert summary.failures == {
        "confirm: ConnectionRefusedError": 1,
        "look: 500 no code": 1,
        "buyer: ValueError()": 1,
    }


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500, 503])
def test_add_counts_what_buyers_should_never_see_as_a_failure(status: int) -> None:
    tally = Tally()
    tally.add("hold", BuyerAnswer(status, TAKEN, 1.0))
    assert tally.summary(1).failures == {f"hold: {status} seat_taken": 1}


def test_summary_keeps_the_times_of_refusals_apart() -> None:
    tally = Tally()
    tally.add("hold", BuyerAnswer(201, b"{}", 9.0))
    tally.add("hold", BuyerAnswer(409, TAKEN, 1.0))
    latencies = tally.summary(1).latencies
    assert latencies["hold"] == Spread(1, 9.0, 9.0, 9.0, 9.0)
    assert latencies["hold refused"] == Spread(1, 1.0, 1.0, 1.0, 1.0)


def test_summary_counts_repeated_answers_apart() -> None:
    tally = Tally()
    tally.add("look", BuyerAnswer(200, b"{}", 9.0))
    assert tally.add("look", BuyerAnswer(304, b"", 1.0)) == ""
    summary = tally.summary(1)
    assert summary.latencies["look"].count == summary.latencies["look unchanged"].count == 1
    assert summary.success_count == 2
    assert summary.overall.count == 2
    assert summary.failures == {}


def test_summary_knows_the_busiest_second() -> None:
    tally = Tally()
    for at_s in (0.1, 5.0, 5.4, 5.999, 6.0):
        tally.add("hold", BuyerAnswer(201, b"{}", 1.0, at_s=at_s))
        tally.add("look", BuyerAnswer(200, b"{}", 1.0, at_s=3.0))
    assert tally.summary(1).busiest_second_count == 3


def test_summary_counts_seats_and_standing_places() -> None:
    tally = Tally()
    tally.receipts.append(Receipt("gala:1", ("gala:A-1-1", "gala:A-1-2"), {"floor": 3}))
    assert tally.summary(1).confirmed_places == 5


def test_summary_of_nothing_survives_json() -> None:
    summary = Tally().summary(1.0)
    assert msgspec.json.decode(msgspec.json.encode(summary), type=Summary) == summary
    assert summary.latencies == {}
