"""Bookings and journal entries made by hand, for tests that need no Redis."""

from typing import Any

import msgspec

from engine.ids import AreaId, BookingId, CustomerId, SeatId
from engine.models import AreaQuantity, Booking, BookingStatus, JournalEntry, Layout
from engine.plans import layout as layouts
from tests.support.factories import GALA, terms

PRICE_MINOR = 1500


def ulid(number: int) -> str:
    """The ULID of the booking with this number."""
    return f"01J{number:023d}"


def seat(number: int) -> SeatId:
    """A seat of the first row."""
    return SeatId(f"{GALA}:A-1-{number}")


def booking(number: int, status: str, *seats: int, **changes: Any) -> Booking:
    """A booking of these seats of the first row, or of two standing places."""
    values = {
        "id": BookingId(f"{GALA}:{ulid(number)}"),
        "event_id": GALA,
        "customer_id": CustomerId(f"customer-{number}"),
        "status": BookingStatus(status),
        "seats": tuple(seat(n) for n in seats),
        "areas": () if seats else (AreaQuantity(AreaId("floor"), 2),),
        "amount_minor": PRICE_MINOR * len(seats) or 1800,
        "currency": "EUR",
        "held_at_ms": 1_000,
        "expires_at_ms": 61_000,
    }
    return Booking(**(values | changes))


def entry(at: int, of: Booking, *, epoch: int = 1) -> JournalEntry:
    """The journal entry at this position that left the booking so."""
    return JournalEntry(
        event_id=GALA,
        entry_id=f"{at}-0",
        kind="seats_held" if of.status == "pending" else f"booking_{of.status}",
        at_ms=at,
        epoch=epoch,
        booking=of,
    )


def event_entry(at: int, settings: dict[str, str], layout: Layout | None = None) -> JournalEntry:
    """The journal entry at this position that changed the event's settings."""
    return JournalEntry(
        event_id=GALA,
        entry_id=f"{at}-0",
        kind="event_loaded" if "name" in settings else "terms_set",
        at_ms=at,
        epoch=1,
        event=settings,
        layout=layouts.encode(layout) if layout else None,
    )


def loaded(at: int, layout: Layout) -> JournalEntry:
    """The journal entry of an event's load."""
    settings = {name: str(value) for name, value in msgspec.structs.asdict(terms()).items()}
    return event_entry(at, {**settings, "loaded_at_ms": str(at), "prices": "1500,900"}, layout)
