"""Houses of any size, made in code: every seat's name ends in its number, in twelve digits.

That is how redis-benchmark writes a random number, so it can name the seats of these houses too.
"""

from functools import cache

from engine.ids import CustomerId, EventId, SeatId
from engine.models import Layout, LayoutCategory, LayoutSeat, Selection
from engine.plans.builder import LayoutBuilder
from engine.plans.layout import rows_of
from engine.plans.venues import make_venue

ROW_SEATS = 1000


@cache
def house(seat_count: int) -> Layout:
    """So many seats at one price, in rows of 1,000; at most PLACES_MAX of the builder."""
    builder = LayoutBuilder()
    builder.add_category("house", LayoutCategory(id="seat", name="Seat", price_minor=8900))
    builder.add_section("house", "A", "Section A")
    for start in range(0, seat_count, ROW_SEATS):
        seats = [
            ("house", LayoutSeat(id=seat_of(n), number=str(n), category="seat"))
            for n in range(start, min(seat_count, start + ROW_SEATS))
        ]
        builder.add_row("house", "A", str(start // ROW_SEATS), seats)
    return builder.build("EUR")


def seat_of(number: int) -> str:
    """A seat of a house, without its event."""
    return f"A-1-{number:012}"


def selection(event: EventId, first: int, size: int = 1, customer: str = "bench") -> Selection:
    """So many neighbours of a house, from the one of that number."""
    seats = tuple(SeatId(f"{event}:{seat_of(n)}") for n in range(first, first + size))
    return Selection(event_id=event, customer_id=CustomerId(customer), seats=seats)


@cache
def stadium_seats() -> tuple[str, ...]:
    """Every seat of the stadium of 50,000, without its event."""
    return tuple(seat.id for row in rows_of(make_venue("stadium").layout) for seat in row.seats)


def hold_bodies(event: EventId, seats: tuple[str, ...]) -> list[str]:
    """Requests for one seat each."""
    return [f'{{"seatIds":["{event}:{seat}"]}}' for seat in seats]
