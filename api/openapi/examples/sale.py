"""Examples of the sale: the gala of the README, `engine load venue:hall --event gala`.

So each can be tried on the page: a test does.
"""

from typing import Any

from api import bookings, events, seats
from api.health import HealthView
from api.sales import SalesView
from api.snapshots import AvailabilityView
from engine.booking_view import BookingView
from engine.models import Layout
from engine.plans.event_json import EventPlan, MoreSeats

_BOOKING = {
    "id": "gala:01JDTESTTESTTESTTESTTESTTE",
    "eventId": "gala",
    "status": "pending",
    "seatIds": ["gala:SC-A-1", "gala:SC-A-2"],
    "areas": [],
    "amountMinor": 19600,
    "currency": "EUR",
    "heldAt": "2030-06-01T19:30:00.000Z",
    "expiresAt": "2030-06-01T19:45:00.000Z",
    "late": False,
    "confirmedAt": None,
    "endedAt": None,
    "refundMinor": 0,
    "refundReason": None,
    "paymentProcessing": False,
    "together": None,
}
_SEAT = {
    "id": "gala:SC-A-1",
    "eventId": "gala",
    "section": "SC",
    "row": "A",
    "number": "1",
    "category": "premium",
    "priceMinor": 9800,
    "currency": "EUR",
    "accessible": False,
}
_COUNTS = {"available": 2061, "held": 2, "sold": 0, "blocked": 0}
_EVENT = {
    "id": "gala",
    "name": "Gala",
    "currency": "EUR",
    "sales": "open",
    "seatsMax": 10,
    "holdTtlMs": 900_000,
    "capacity": 2063,
    "counts": _COUNTS,
    "layoutVersion": "5f2b9c0d1e3a4b6c",
    "position": "1906572600000-0",
    "latePayment": "confirm",
    "opensAt": None,
    "closesAt": "2030-06-08T17:00:00.000Z",
    "startsAt": "2030-06-08T19:30:00.000Z",
    "timeZone": "Europe/Berlin",
    "cancelUntil": None,
    "paymentMaxMs": 0,
    "singleSeats": "avoid",
    "accessibleReleaseAt": "2030-06-08T17:30:00.000Z",
    "customerMax": 0,
}
_ROLE: dict[str, Any] = {
    "id": "ORGANIZER",
    "permissions": ["booking:create:own", "event:create:own"],
}
_STALLS = {"id": "stalls", "name": "Stalls", "priceMinor": 4900}
_FLOOR = {"id": "floor", "name": "Floor", "category": "stalls", "capacity": 4}
_ROW = {"id": "1", "seats": [{"number": "1"}, {"number": "2"}]}
_LAID_OUT = {
    "id": "T",
    "index": 0,
    "seats": [
        {"id": "SC-T-1", "number": "1", "category": "wheelchair", "x": 2462.0, "y": 2263.0},
        {
            "id": "SC-T-2",
            "number": "2",
            "category": "wheelchair",
            "x": 2581.0,
            "y": 2279.0,
            "accessible": True,
        },
    ],
}

SALE: dict[type, Any] = {
    bookings.ConfirmBody: {"boxOffice": True, "note": "cash, till 2"},
    bookings.HoldBody: {"seatIds": ["gala:SC-A-1", "gala:SC-A-2"]},
    events.TermsBody: {
        "sales": "open",
        "closesAt": "2030-06-08T17:00:00Z",
        "startsAt": "2030-06-08T21:30:00+02:00",
        "timeZone": "Europe/Berlin",
        "cancelUntil": "2030-06-07T21:30:00+02:00",
        "latePayment": "confirm",
        "paymentMaxMs": 86_400_000,
        "singleSeats": "avoid",
        "accessibleReleaseAt": "2030-06-08T19:30:00+02:00",
    },
    events.SeatIdsBody: {"seatIds": ["gala:SC-C-1"]},
    SalesView: {
        "eventId": "gala",
        "position": "1906572600000-0",
        "currency": "EUR",
        "categories": [
            {
                "id": "premium",
                "name": "Premium",
                "priceMinor": 9800,
                "available": 150,
                "held": 0,
                "sold": 2,
                "blocked": 0,
                "soldMinor": 19600,
            }
        ],
        "soldMinor": 19600,
    },
    BookingView: _BOOKING,
    bookings.BookingList: {"data": [_BOOKING], "next": None},
    seats.SeatList: {"data": [_SEAT], "next": "gala:0.1"},
    events.EventView: _EVENT,
    events.NewEventView: _EVENT | {"notes": []},
    events.EventList: {"data": [_EVENT], "next": None},
    AvailabilityView: {
        "eventId": "gala",
        "layoutVersion": "5f2b9c0d1e3a4b6c",
        "position": "1906572600000-0",
        "sales": "open",
        "counts": _COUNTS,
        "map": "hhaaaaaaa/aaaaaaaaa",
        "areas": [{"areaId": "floor", "quantity": 4}],
        "opensAt": None,
        "closesAt": "2030-06-08T17:00:00.000Z",
    },
    HealthView: {
        "status": "ready",
        "parts": {
            "redis": {"state": "up", "heartbeatAgeS": None, "why": "", "required": True},
            "writer": {"state": "up", "heartbeatAgeS": 0.4, "why": "", "required": True},
        },
    },
    Layout: {
        "version": "5f2b9c0d1e3a4b6c",
        "currency": "EUR",
        "categories": [{"id": "wheelchair", "name": "Wheelchair place", "priceMinor": 2400}],
        "sections": [{"id": "SC", "name": "Stalls centre", "rows": [_LAID_OUT]}],
        "areas": [_FLOOR],
        "quality": {"by": "focus", "x": 2998.5, "y": 497.2, "step": 0.15},
    },
    EventPlan: {
        "name": "Recital",
        "currency": "EUR",
        "categories": [_STALLS],
        "sections": [{"id": "A", "name": "Stalls left", "category": "stalls", "rows": [_ROW]}],
        "areas": [_FLOOR],
    },
    MoreSeats: {"sections": [{"id": "B", "category": "stalls", "rows": [_ROW]}]},
    dict: {"openapi": "3.1.0"},
    str: "tickets_sold_total 2.0\n",
}
