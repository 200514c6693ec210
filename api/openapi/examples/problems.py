"""An example of every problem, made by the same code as a real response."""

from typing import Any

import msgspec

from api.http.problems import KINDS, Problem, response_of
from engine import errors

_ERRORS: dict[str, Exception] = {
    "malformed": Problem("malformed", "the body is not JSON: Input data was truncated"),
    "invalid": Problem("invalid", "Object contains unknown field `price`", {"field": "price"}),
    "unauthenticated": Problem("unauthenticated", "the token has expired"),
    "forbidden": Problem(
        "forbidden",
        "the permission booking:create:own is needed",
        {"permission": "booking:create:own"},
    ),
    "plan_invalid": Problem(
        "plan_invalid", "the plan is not valid", {"problems": ["sections[0]: no such category"]}
    ),
    "body_too_large": Problem("body_too_large", "at most 65536 bytes", {"limit": 65_536}),
    "rate_limited": Problem("rate_limited", "too many calls", {"retryAfterMs": 100}),
    "seat_taken": errors.SeatTaken("gala:SC-A-1"),
    "no_seats_together": Problem(
        "no_seats_together",
        errors.NoSeatsTogether.says,
        {"largest": 3, "freeByCategory": {"premium": 12, "stalls": 40}},
    ),
    "leaves_single": Problem(
        "leaves_single",
        errors.LeavesSingle.says,
        {"seatIds": ["gala:SC-A-1"], "suggestions": [["gala:SC-A-1", "gala:SC-A-2"]]},
    ),
    "category_not_found": errors.CategoryNotFound("premum"),
    "section_not_found": errors.SectionNotFound("SX"),
    "seat_not_found": errors.SeatNotFound("gala:SC-Z-9"),
    "seat_exists": errors.SeatExists("gala:SC-A-1"),
    "area_not_found": errors.AreaNotFound("balcony"),
    "area_full": errors.AreaFull("floor"),
    "sales_closed": errors.SalesClosed("paused"),
    "terms_contradict": errors.TermsContradict("opens_at_ms", "closes_at_ms"),
    "too_many_seats": errors.TooManySeats("10"),
    "limit_reached": errors.LimitReached("4", "4"),
    "extend_limit": errors.ExtendLimit("1906573500000"),
    "refund_due": errors.RefundDue("9800", "seat_taken"),
    "outcome_unknown": errors.OutcomeUnknown(),
    "unavailable": errors.Unavailable(),
    "overloaded": errors.Overloaded(),
    "restoring": errors.Restoring(),
    "request_in_progress": errors.RequestInProgress(),
}


def problem_example(code: str) -> Any:
    """The body of a problem with this code."""
    error = _ERRORS.get(code)
    if error is None:
        kind = errors.REFUSALS.get(code.upper())
        error = kind() if kind else Problem(code, KINDS[code].title)
    return msgspec.json.decode(response_of(error).body)
