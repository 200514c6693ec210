"""What cannot be said: a selection the scripts would count wrongly."""

import pytest

from engine.ids import AreaId, CustomerId, EventId, SeatId
from engine.models import AreaQuantity, Selection


@pytest.mark.parametrize(
    ("seats", "areas", "says"),
    [
        ([], [], "names seats or areas"),
        (["gala:A-1-1", "gala:A-1-1"], [], "a seat is named twice"),
        (["opera:A-1-1"], [], "not one of gala"),
        ([], [("pit", 0)], "below 1"),
        ([], [("pit", -5)], "below 1"),
        ([], [("pit", 1), ("pit", 2)], "an area is named twice"),
    ],
)
def test_selection_that_would_be_counted_wrongly_is_refused(
    seats: list[str], areas: list[tuple[str, int]], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Selection(
            event_id=EventId("gala"),
            customer_id=CustomerId("ann"),
            seats=tuple(map(SeatId, seats)),
            areas=tuple(AreaQuantity(AreaId(area), count) for area, count in areas),
        )
