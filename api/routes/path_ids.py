"""The ids in the paths of the route table: the syntax of each, and its "not found"."""

from api.accounts.payloads import permission, role_id
from api.http.dispatch import PathId
from api.http.problems import KINDS, Problem
from api.refunds import refund_id, refund_not_found
from api.webhooks import webhook_id, webhook_not_found
from engine import ids
from engine.errors import BookingNotFound, EventNotFound
from engine.ids import InvalidId


def _role_not_found(text: str) -> Problem:
    return Problem("role_not_found", f"there is no role {text!r}")


def _permission_not_found(text: str) -> Problem:
    return Problem("permission_not_found", f"there is no permission {text!r}")


def _code(text: str) -> str:
    if text not in KINDS:
        raise InvalidId("a code", text)
    return text


def _code_not_found(text: str) -> Problem:
    return Problem("not_found", f"there is no problem {text!r}")


PATH_IDS: dict[str, PathId] = {
    "event_id": PathId(ids.event_id, EventNotFound),
    "booking_id": PathId(ids.split_booking, BookingNotFound),
    "refund_id": PathId(refund_id, refund_not_found),
    "webhook_id": PathId(webhook_id, webhook_not_found),
    "role_id": PathId(role_id, _role_not_found),
    "code": PathId(_code, _code_not_found),
    "permission": PathId(permission, _permission_not_found),
}
