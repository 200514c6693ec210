"""One call of every route that succeeds when its owner makes it: what the contract tests vary.

The gala belongs to the organiser `orla`; `ann` is the customer.
"""

import time
from collections.abc import Awaitable, Callable

from api.http.calls import Route
from api.routes import docs
from tests.api.account_cases import ACCOUNT_CASES
from tests.api.case import Case, Prepare
from tests.api.client import AUTH, BOOKING, EVENT, PAYMENT, Api
from tests.api.payment_cases import PAYMENT_CASES

ONE_SEAT = [{"id": "9", "seats": [{"number": "1"}]}]
PLAN = {
    "name": "Recital",
    "categories": [{"id": "one", "name": "One", "priceMinor": 500}],
    "sections": [{"id": "B", "category": "one", "rows": ONE_SEAT}],
}
MORE = {"sections": [{"id": "A", "category": "seat", "rows": ONE_SEAT}]}


def needs_postgres(route: Route) -> bool:
    """Whether the route's case needs more than Redis."""
    return route.path.startswith(AUTH) or (route.name, route.path) in PAYMENT_CASES


async def _pending(api: Api) -> str:
    """A booking of ann's, held half a minute ago so that its deadline can move."""
    api.office.now_ms = int(time.time() * 1000) - 30_000
    return (await api.office.hold("ann", "A-1-1")).id


async def _confirmed(api: Api) -> str:
    booking = await api.office.hold("ann", "A-1-1")
    return (await api.office.confirm(booking)).id


def _at(path: str, body: object = None) -> Callable[[Api], Awaitable[Case]]:
    async def case(api: Api) -> Case:
        return Case(path, body)

    return case


def _booked(
    path: str, book: Callable[[Api], Awaitable[str]] = _pending
) -> Callable[[Api], Awaitable[Case]]:
    async def case(api: Api) -> Case:
        return Case(path.format(await book(api)))

    return case


CASES: dict[tuple[str, str], Prepare] = {
    **ACCOUNT_CASES,
    **PAYMENT_CASES,
    ("hold_seats", BOOKING): _at(BOOKING, {"seatId": "gala:A-1-1"}),
    ("list_seats", BOOKING): _at(BOOKING),
    ("list_bookings", f"{BOOKING}/mine"): _booked(f"{BOOKING}/mine"),
    ("read_booking", BOOKING + "/{booking_id}"): _booked(BOOKING + "/{}"),
    ("release_booking", BOOKING + "/{booking_id}"): _booked(BOOKING + "/{}"),
    ("extend_booking", BOOKING + "/{booking_id}/extend"): _booked(BOOKING + "/{}/extend"),
    ("cancel_booking", BOOKING + "/{booking_id}/cancel"): _booked(
        BOOKING + "/{}/cancel", _confirmed
    ),
    ("confirm_booking", PAYMENT + "/{booking_id}/confirm"): _booked(PAYMENT + "/{}/confirm"),
    ("list_events", EVENT): _at(EVENT),
    ("create_event", EVENT): _at(f"{EVENT}?id=recital", PLAN),
    ("read_event", EVENT + "/{event_id}"): _at(f"{EVENT}/gala"),
    ("set_terms", EVENT + "/{event_id}"): _at(f"{EVENT}/gala", {"sales": "paused"}),
    ("read_layout", EVENT + "/{event_id}/seats"): _at(f"{EVENT}/gala/seats"),
    ("add_seats", EVENT + "/{event_id}/seats"): _at(f"{EVENT}/gala/seats", MORE),
    ("read_sales", EVENT + "/{event_id}/sales"): _at(f"{EVENT}/gala/sales"),
    ("block_seats", EVENT + "/{event_id}/seats/block"): _at(
        f"{EVENT}/gala/seats/block", {"seatIds": ["gala:A-1-1"]}
    ),
    ("unblock_seats", EVENT + "/{event_id}/seats/unblock"): _at(
        f"{EVENT}/gala/seats/unblock", {"seatIds": ["gala:A-1-1"]}
    ),
    ("read_map", EVENT + "/{event_id}/availability"): _at(f"{EVENT}/gala/availability"),
    **{(route.name, route.path): _at(route.path) for route in docs.ROUTES},
    ("read_health", "/healthz"): _at("/healthz"),
    ("read_readiness", "/readyz"): _at("/readyz"),
    ("read_metrics", "/metrics"): _at("/metrics"),
    ("read_metrics", "/api/v1/metrics"): _at("/api/v1/metrics"),
}
