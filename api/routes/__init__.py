"""The one route table: what Starlette routes, what is checked, and what is described.

One module a noun. A row names the refusals of its own; every row may answer those in `EVERYWHERE`
as well, and those that its permission, its path and its body bring with them (`refusals_of`).
"""

from api.http.calls import Route
from api.http.limits import LimitClass
from api.routes import accounts, bookings, docs, events, payments, system, webhooks

EVERYWHERE = (
    *("invalid", "malformed", "headers_too_large", "request_timeout"),
    *("internal", "unavailable", "overloaded", "outcome_unknown"),
)

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
    """Every code of `api.http.problems` a call of this route may be answered with."""
    codes = {*EVERYWHERE, *route.refusals}
    if route.method != "GET" and codes & {"event_not_found", "event_exists"}:
        codes.add("restoring")  # it changes an event, which may be closed until it is restored
    if route.permission:
        codes |= {"unauthenticated", "forbidden"}
    if route.limit_class is not LimitClass.NONE:
        codes.add("rate_limited")
    if route.body:
        codes |= {"unsupported_media_type", "body_too_large"}
    if route.keyed:
        codes |= {"request_reused", "request_in_progress"}
    return frozenset(codes)
