"""Small events and orders, made the same way everywhere."""

from collections.abc import Mapping
from typing import Any

from engine.ids import AreaId, CustomerId, EventId, SeatId
from engine.models import (
    AreaQuantity,
    Layout,
    LayoutArea,
    LayoutCategory,
    LayoutRow,
    LayoutSeat,
    LayoutSection,
    Selection,
    Terms,
)
from engine.plans.layout import with_version

GALA = EventId("gala")


def layout(
    rows: int = 2,
    seats: int = 5,
    areas: Mapping[str, int] | None = None,
    blocked: str = "",
    price_minor: int = 1500,
) -> Layout:
    """Section A with rows 1, 2, … of seats 1, 2, …: `A-1-1` costs 1500, an area place 900."""
    section = LayoutSection(
        id="A",
        name="Stalls",
        rows=tuple(_row(number, seats, blocked) for number in range(1, rows + 1)),
    )
    return with_version(
        Layout(
            version="",
            currency="EUR",
            categories=(
                LayoutCategory(id="seat", name="Seat", price_minor=price_minor),
                LayoutCategory(id="standing", name="Standing", price_minor=900),
            ),
            sections=(section,),
            areas=tuple(
                LayoutArea(id=area, name=area, category="standing", capacity=capacity)
                for area, capacity in (areas or {}).items()
            ),
        )
    )


def _row(number: int, seats: int, blocked: str) -> LayoutRow:
    return LayoutRow(
        id=str(number),
        index=(number - 1) * (seats + 1),
        seats=tuple(
            LayoutSeat(
                id=f"A-{number}-{seat}",
                number=str(seat),
                category="seat",
                blocked=f"A-{number}-{seat}" == blocked,
            )
            for seat in range(1, seats + 1)
        ),
    )


def terms(**over: Any) -> Terms:
    """Terms with a hold of 60 s, on sale; customers may cancel until the event starts."""
    until_ms = over.get("starts_at_ms") or 10**13
    return Terms(**{"name": "Gala", "hold_ttl_ms": 60_000, "cancel_until_ms": until_ms, **over})


def selection(
    customer: str,
    *seats: str,
    event: str = GALA,
    areas: Mapping[str, int] | None = None,
    **more: int,
) -> Selection:
    """`selection("ann", "A-1-1", pit=2)`"""
    wanted = {**(areas or {}), **more}
    return Selection(
        event_id=EventId(event),
        customer_id=CustomerId(customer),
        seats=tuple(SeatId(f"{event}:{seat}") for seat in seats),
        areas=tuple(AreaQuantity(AreaId(area), count) for area, count in wanted.items()),
    )
