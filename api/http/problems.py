"""Every error response of the API, as application/problem+json (RFC 9457), from one table.

The API uses the engine's codes. `KINDS` gives each its status, its title, and the names of the
fields that carry a refusal's `found`. No text of an unexpected error reaches the client.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from msgspec import Struct

from api.http.payloads import encode
from api.http.responses import Header, Response
from engine.errors import EngineError, Refused
from engine.ids import InvalidId
from engine.plans.problems import PlanError
from engine.timestamps import rfc3339

CONTENT_TYPE = b"application/problem+json"
PAGES = "/api/problems"
"""Where the page of each code is: a problem's `type` is its address, relative to the server."""
RETRY_AFTER_S = 1
RETRY_AFTER_S_MAX = 3
"""Retry-After of a 503 is random between the two (jitter), so that clients that an outage failed at
the same moment do not retry at the same moment."""

T = TypeVar("T")
Found = Callable[[Sequence[str]], dict[str, object]]


class Kind(Struct, frozen=True):
    """How one code is reported. `found` makes fields of what a refusal found."""

    status: int
    title: str
    found: Found | None = None


class Problem(Exception):
    """An error that the API finds itself, before it calls the engine."""

    def __init__(
        self,
        code: str,
        detail: str,
        extras: Mapping[str, object] = MappingProxyType({}),
        *,
        headers: Sequence[Header] = (),
    ) -> None:
        super().__init__(detail)
        self.code, self.detail, self.extras, self.headers = code, detail, extras, headers


def invalid(field: str, detail: str) -> Problem:
    """The problem `invalid`, naming the field of the body or the query."""
    return Problem("invalid", detail, {"field": field})


def checked(field: str, check: Callable[[str], T], text: str) -> T:
    """The id that `check` makes of a text. Raises the problem `invalid` for one not well-formed."""
    try:
        return check(text)
    except InvalidId as error:
        raise invalid(field, str(error)) from error


def _all_as(name: str) -> Found:
    return lambda found: {name: list(found)}


def _each_as(**readers: Callable[[str], object]) -> Found:
    return lambda found: {
        name: read(text) for (name, read), text in zip(readers.items(), found, strict=False)
    }


def _time(text: str) -> str:
    return rfc3339(int(text))


def _term(name: str) -> str:
    """The name in the API: an instant has no unit there, a duration has."""
    is_instant = name.endswith(("_at_ms", "_until_ms"))
    first, *others = (name.removesuffix("_ms") if is_instant else name).split("_")
    return first + "".join(map(str.capitalize, others))


KINDS: dict[str, Kind] = {
    "malformed": Kind(400, "Malformed request"),
    "preflight_refused": Kind(400, "Preflight refused"),
    "unauthenticated": Kind(401, "Not authenticated"),
    "login_refused": Kind(401, "Login refused"),
    "session_ended": Kind(401, "Session ended"),
    "signature_invalid": Kind(401, "Signature invalid"),
    "forbidden": Kind(403, "Permission missing"),
    "not_owner": Kind(403, "Not your event"),
    "payment_by_provider": Kind(403, "The payment provider confirms"),
    "not_found": Kind(404, "Not found"),
    "event_not_found": Kind(404, "Unknown event"),
    "seat_not_found": Kind(404, "Unknown seat", _all_as("seatIds")),
    "category_not_found": Kind(404, "Unknown category", _all_as("categoryIds")),
    "section_not_found": Kind(404, "Unknown section", _all_as("sectionIds")),
    "area_not_found": Kind(404, "Unknown area", _all_as("areaIds")),
    "booking_not_found": Kind(404, "Unknown booking"),
    "refund_not_found": Kind(404, "Unknown refund obligation"),
    "webhook_not_found": Kind(404, "Unknown webhook"),
    "delivery_not_found": Kind(404, "Unknown delivery"),
    "role_not_found": Kind(404, "Unknown role"),
    "permission_not_found": Kind(404, "Unknown permission"),
    "account_not_found": Kind(404, "Unknown account"),
    "method_not_allowed": Kind(405, "Method not allowed"),
    "request_timeout": Kind(408, "Request too slow"),
    "no_session": Kind(409, "Token without a session"),
    "role_protected": Kind(409, "Role protected"),
    "event_exists": Kind(409, "Event exists"),
    "event_in_use": Kind(409, "Event in use", _each_as(held=int, sold=int)),
    "restore_superseded": Kind(409, "Another restore took over"),
    "layout_changed": Kind(409, "Layout changed"),
    "seat_exists": Kind(409, "Seat exists", _all_as("seatIds")),
    "seat_taken": Kind(409, "Seat taken", _all_as("seatIds")),
    "no_seats_together": Kind(409, "No seats together"),
    "leaves_single": Kind(409, "Leaves a single seat"),
    "area_full": Kind(409, "Area full", _all_as("areaIds")),
    "sales_closed": Kind(409, "Not on sale", _each_as(reason=str)),
    "limit_reached": Kind(409, "Purchase limit reached", _each_as(limit=int, count=int)),
    "already_confirmed": Kind(409, "Booking confirmed"),
    "not_confirmed": Kind(409, "Booking not confirmed"),
    "extend_limit": Kind(409, "Deadline cannot be extended", _each_as(expiresAt=_time)),
    "amount_differs": Kind(409, "Amount differs", _each_as(amountMinor=int, currency=str)),
    "request_in_progress": Kind(409, "Request in progress"),
    "refund_due": Kind(409, "Refund due", _each_as(refundMinor=int, refundReason=str)),
    "paid_twice": Kind(409, "Paid twice", _each_as(refundMinor=int, currency=str)),
    "payment_refunded": Kind(409, "Payment refunded"),
    "too_many_payments": Kind(409, "Too many payments", _each_as(limit=int)),
    "cancel_closed": Kind(409, "Cancellation closed", _each_as(cancelUntil=_time)),
    "refund_ambiguous": Kind(409, "Several refund obligations"),
    "booking_known": Kind(409, "Booking exists", _each_as(bookingStatus=str)),
    "webhook_limit": Kind(409, "Too many webhooks"),
    "link_invalid": Kind(410, "Link invalid"),
    "booking_expired": Kind(410, "Booking expired"),
    "booking_released": Kind(410, "Booking released"),
    "booking_cancelled": Kind(410, "Booking cancelled"),
    "precondition_failed": Kind(412, "Precondition failed"),
    "body_too_large": Kind(413, "Body too large"),
    "unsupported_media_type": Kind(415, "Unsupported media type"),
    "invalid": Kind(422, "Invalid request"),
    "plan_invalid": Kind(422, "Invalid plan"),
    "terms_contradict": Kind(422, "Terms contradict", _each_as(field=_term, otherField=_term)),
    "too_many_seats": Kind(422, "Too many seats", _each_as(limit=int)),
    "request_reused": Kind(422, "Idempotency-Key reused"),
    "rate_limited": Kind(429, "Too many requests"),
    "headers_too_large": Kind(431, "Headers too large"),
    "internal": Kind(500, "Internal error"),
    "load_incomplete": Kind(503, "Load interrupted"),
    "restoring": Kind(503, "Event being restored"),
    "outcome_unknown": Kind(503, "Outcome unknown"),
    "unavailable": Kind(503, "Unavailable"),
    "overloaded": Kind(503, "Overloaded"),
}

_DETAILS = {
    "outcome_unknown": "no reply in time: retry with the same Idempotency-Key to learn the outcome",
    "request_in_progress": "another request with this Idempotency-Key is still in progress",
    "unavailable": "the service is unavailable; nothing was changed",
    "overloaded": "too many requests are waiting; nothing was changed",
    "restoring": "the event is being restored; nothing was changed, retry later",
}


def response_of(error: Exception) -> Response:
    """The response for an error; `internal` for an unexpected one."""
    problem = _problem_of(error)
    kind = KINDS[problem.code]
    body = {
        "type": f"{PAGES}/{problem.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "code": problem.code,
        **problem.extras,
    }
    headers = [*problem.headers]
    if kind.status == 503:
        after_s = random.randint(RETRY_AFTER_S, RETRY_AFTER_S_MAX)  # noqa: S311
        headers.append((b"retry-after", b"%d" % after_s))
    elif problem.code == "request_in_progress":
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    return Response(encode(body), tuple(headers), kind.status, CONTENT_TYPE)


def _problem_of(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case Refused():
            find = KINDS[error.code].found
            return Problem(error.code, error.says, find(error.found) if find else {})
        case PlanError():
            return Problem("plan_invalid", "the plan is not valid", {"problems": error.problems})
        case InvalidId():
            return Problem("invalid", str(error))
        case EngineError() if error.code in _DETAILS:
            return Problem(error.code, _DETAILS[error.code])
    return Problem("internal", "a defect in the service; it was logged")
