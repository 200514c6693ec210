"""The one route table: routing, checks and the OpenAPI document are all derived from it.

It has one module per noun, and `path_ids` for the ids in paths. A row names only the refusals of
its own; `refusals_of` adds those in `EVERYWHERE`, and those that follow from the row's permission,
limits and body.
"""

from api.http.calls import Route
from api.http.limits import LimitClass
from api.routes import accounts, bookings, docs, events, payments, system, webhooks

EVERYWHERE = (
    "invalid",
    "malformed",
    "headers_too_large",
    "request_timeout",
    "internal",
    "unavailable",
    "overloaded",
    "outcome_unknown",
)
"""The codes that every route can return."""

ROUTES: tuple[Route, ...] = (
    *accounts.ROUTES,
    *bookings.ROUTES,
    *events.ROUTES,
    *payments.ROUTES,
    *webhooks.ROUTES,
    *system.ROUTES,
    *docs.ROUTES,
)


def refusals_of(route: Route) -> frozenset[str]:
    """Every code of `api.http.problems` that a call of this route can return."""
    codes = {*EVERYWHERE, *route.refusals}
    if route.method != "GET" and codes & {"event_not_found", "event_exists"}:
        codes.add("restoring")  # it writes to an event, which is fenced during a restore
    if route.permission:
        codes |= {"unauthenticated", "forbidden"}
    if route.limit_class is not LimitClass.NONE:
        codes.add("rate_limited")
    if route.body:
        codes |= {"unsupported_media_type", "body_too_large"}
    if route.keyed:
        codes |= {"request_reused", "request_in_progress"}
    return frozenset(codes)
