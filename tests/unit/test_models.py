"""What cannot be said: a selection the scripts would count wrongly."""

import msgspec
import pytest

from engine.ids import AreaId, CustomerId, EventId, SeatId
from engine.models import AreaQuantity, Selection, Terms


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


@pytest.mark.parametrize("owner", ["ann\n", "a b", "a\0", "é", "a" * 129, "\udcff"])
def test_terms_with_an_invalid_owner_are_refused(owner: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"owner_id"):
        msgspec.convert({"name": "Gala", "owner_id": owner}, Terms)


@pytest.mark.parametrize("owner", ["", "ann", "auth0|6$x", "a" * 128])
def test_terms_take_a_customer_or_none_as_owner(owner: str) -> None:
    assert msgspec.convert({"name": "Gala", "owner_id": owner}, Terms).owner_id == owner
