"""Examples of the sale: an evening at the gala."""

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
    "seatIds": ["gala:A-1-1", "gala:A-1-2"],
    "areas": [],
    "amountMinor": 9800,
    "currency": "EUR",
    "heldAt": "2030-06-01T19:30:00.000Z",
    "expiresAt": "2030-06-01T19:45:00.000Z",
    "late": False,
}
_SEAT = {
    "id": "gala:A-1-1",
    "eventId": "gala",
    "section": "A",
    "row": "1",
    "number": "1",
    "category": "stalls",
    "priceMinor": 4900,
    "currency": "EUR",
}
_COUNTS = {"available": 4, "held": 2, "sold": 0, "blocked": 0}
_EVENT = {
    "id": "gala",
    "name": "Gala",
    "currency": "EUR",
    "sales": "open",
    "seatsMax": 10,
    "holdTtlMs": 900_000,
    "capacity": 6,
    "counts": _COUNTS,
    "layoutVersion": "5f2b9c0d1e3a4b6c",
    "position": "1906572600000-0",
    "latePayment": "confirm",
    "opensAt": "2030-06-01T10:00:00.000Z",
    "startsAt": "2030-06-08T19:30:00.000Z",
    "timeZone": "Europe/Berlin",
}
_ROLE: dict[str, Any] = {
    "id": "ORGANIZER",
    "permissions": ["booking:create:own", "event:create:own"],
}
_STALLS = {"id": "stalls", "name": "Stalls", "priceMinor": 4900}
_FLOOR = {"id": "floor", "name": "Floor", "category": "stalls", "capacity": 4}
_ROW = {"id": "1", "seats": [{"number": "1"}, {"number": "2"}]}
_LAID_OUT = {
    "id": "1",
    "index": 0,
    "seats": [
        {"id": "A-1-1", "number": "1", "category": "stalls"},
        {"id": "A-1-2", "number": "2", "category": "stalls", "accessible": True},
    ],
}

SALE: dict[type, Any] = {
    bookings.HoldBody: {"seatIds": ["gala:A-1-1", "gala:A-1-2"]},
    events.TermsBody: {
        "sales": "open",
        "opensAt": "2030-06-01T10:00:00Z",
        "closesAt": None,
        "startsAt": "2030-06-08T21:30:00+02:00",
        "timeZone": "Europe/Berlin",
        "cancelUntil": "2030-06-07T21:30:00+02:00",
        "latePayment": "confirm",
        "paymentMaxMs": 86_400_000,
    },
    events.SeatIdsBody: {"seatIds": ["gala:A-1-1"]},
    SalesView: {
        "eventId": "gala",
        "position": "1906572600000-0",
        "currency": "EUR",
        "categories": [
            {**_STALLS, "available": 4, "held": 0, "sold": 2, "blocked": 0, "soldMinor": 9800}
        ],
        "soldMinor": 9800,
    },
    BookingView: _BOOKING,
    bookings.BookingList: {"data": [_BOOKING], "next": None},
    seats.SeatList: {"data": [_SEAT], "next": "gala:0.1"},
    events.EventView: _EVENT,
    events.EventList: {"data": [_EVENT], "next": None},
    AvailabilityView: {
        "eventId": "gala",
        "layoutVersion": "5f2b9c0d1e3a4b6c",
        "position": "1906572600000-0",
        "sales": "open",
        "counts": _COUNTS,
        "map": "hh",
        "areas": [{"areaId": "floor", "quantity": 4}],
    },
    HealthView: {
        "status": "ready",
        "parts": {"redis": {"state": "up"}, "writer": {"state": "up", "heartbeatAgeS": 0.4}},
    },
    Layout: {
        "version": "5f2b9c0d1e3a4b6c",
        "currency": "EUR",
        "categories": [_STALLS],
        "sections": [{"id": "A", "name": "Stalls left", "rows": [_LAID_OUT]}],
        "areas": [_FLOOR],
    },
    EventPlan: {
        "name": "Gala",
        "currency": "EUR",
        "categories": [_STALLS],
        "sections": [{"id": "A", "name": "Stalls left", "category": "stalls", "rows": [_ROW]}],
        "areas": [_FLOOR],
    },
    MoreSeats: {"sections": [{"id": "B", "category": "stalls", "rows": [_ROW]}]},
    dict: {"openapi": "3.1.0"},
    str: "tickets_sold_total 2.0\n",
}
