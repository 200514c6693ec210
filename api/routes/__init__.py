"""The one route table: what Starlette routes, what is checked, and what is described.

One module a noun. A row names the refusals of its own; every row may answer those in `EVERYWHERE`
as well, and those that its permission, its path and its body bring with them (`refusals_of`).
"""

from api.calls import Route
from api.routes import bookings, events, system

EVERYWHERE = ("invalid", "malformed", "internal", "unavailable", "overloaded", "outcome_unknown")

ROUTES: tuple[Route, ...] = (*bookings.ROUTES, *events.ROUTES, *system.ROUTES)


def refusals_of(route: Route) -> frozenset[str]:
    """Every code of `api.problems` a call of this route may be answered with."""
    codes = {*EVERYWHERE, *route.refusals}
    if route.permission:
        codes |= {"unauthenticated", "forbidden"}
    if route.body:
        codes |= {"unsupported_media_type", "body_too_large"}
    return frozenset(codes)
