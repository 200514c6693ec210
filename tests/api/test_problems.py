"""The table of problems: complete, and each refusal reports what it found."""

import json

import pytest

from api.http.problems import KINDS, Problem, invalid, response_of
from api.routes import ROUTES, refusals_of
from engine.errors import (
    REFUSALS,
    EventInUse,
    ExtendLimit,
    LimitReached,
    Misconfigured,
    OutcomeUnknown,
    Overloaded,
    RefundDue,
    Refused,
    ScriptDefect,
    SeatTaken,
    Unavailable,
)
from engine.ids import InvalidId
from engine.plans import PlanError

FOUND: dict[str, tuple[str, ...]] = {
    "event_in_use": ("1", "2"),
    "sales_closed": ("paused",),
    "too_many_seats": ("4",),
    "limit_reached": ("4", "2"),
    "extend_limit": ("1800000000000",),
    "amount_differs": ("1500", "EUR"),
    "refund_due": ("1500", "seat_taken"),
    "paid_twice": ("1500", "EUR"),
    "too_many_payments": ("50",),
    "cancel_closed": ("1800000000000",),
    "booking_known": ("expired",),
}


@pytest.mark.parametrize("kind", REFUSALS.values(), ids=lambda kind: kind.code)
def test_every_refusal_is_a_problem_of_its_own(kind: type[Refused]) -> None:
    answer = response_of(kind(*FOUND.get(kind.code, ("gala:A-1-1", "gala:A-1-2"))))
    problem = json.loads(answer.body)
    assert answer.status == problem["status"] == KINDS[kind.code].status
    assert 400 <= answer.status < 500 or kind.code == "load_incomplete"
    assert problem["code"] == kind.code
    assert problem["type"] == f"/api/problems/{kind.code}"
    assert problem["detail"] == kind.says
    assert problem["title"] == KINDS[kind.code].title


def test_titles_name_one_problem_each() -> None:
    titles = [kind.title for kind in KINDS.values()]
    assert len(set(titles)) == len(titles)


def test_every_code_is_one_of_a_route_or_of_none() -> None:
    of_no_route = {"method_not_allowed", "event_in_use", "booking_known"}
    of_no_route |= {"restore_superseded", "preflight_refused"}
    assert set().union(*map(refusals_of, ROUTES)) == set(KINDS) - of_no_route


@pytest.mark.parametrize(
    ("error", "extras"),
    [
        (SeatTaken("gala:A-1-1", "gala:A-1-2"), {"seatIds": ["gala:A-1-1", "gala:A-1-2"]}),
        (LimitReached("4", "2"), {"limit": 4, "count": 2}),
        (EventInUse("1", "2"), {"held": 1, "sold": 2}),
        (ExtendLimit("1800000000000"), {"expiresAt": "2027-01-15T08:00:00.000Z"}),
        (RefundDue("1500", "seat_taken"), {"refundMinor": 1500, "refundReason": "seat_taken"}),
        (invalid("limit", "too low"), {"field": "limit"}),
        (PlanError(["line 1: no"]), {"problems": ["line 1: no"]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_problem_has_what_was_found_by_name(error: Exception, extras: dict[str, object]) -> None:
    problem = json.loads(response_of(error).body)
    common = {"type", "title", "status", "detail", "code"}
    assert {name: value for name, value in problem.items() if name not in common} == extras


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OutcomeUnknown("10.0.0.1 is silent"), 503, "outcome_unknown"),
        (Unavailable("redis://10.0.0.1"), 503, "unavailable"),
        (Overloaded("5000"), 503, "overloaded"),
        (ScriptDefect("hold_seats: 10.0.0.1"), 500, "internal"),
        (Misconfigured("10.0.0.1"), 500, "internal"),
        (KeyError("10.0.0.1"), 500, "internal"),
        (InvalidId("a seat id", "{}"), 422, "invalid"),
        (Problem("not_found", "no"), 404, "not_found"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_that_is_no_refusal_leaks_nothing(error: Exception, status: int, code: str) -> None:
    answer = response_of(error)
    assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
    assert b"10.0.0.1" not in answer.body
    assert ("retry-after" in [name.decode() for name, _ in answer.headers]) == (status == 503)


def test_clients_of_one_outage_get_different_retry_after() -> None:
    told = {dict(response_of(Overloaded("full")).headers)[b"retry-after"] for _ in range(100)}
    assert told == {b"1", b"2", b"3"}
