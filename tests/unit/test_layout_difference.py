"""What an addition to a layout is, without the layout."""

import pytest

from engine.models import Layout
from engine.plans import layout as layouts
from engine.plans.addition import addition_of
from engine.plans.event_json import add_sections
from tests.support.factories import layout

KNOWN = layout(rows=2, areas={"floor": 50})
BODIES = {
    "a row of a known section": b'{"sections": [{"id": "A", "category": "seat", "rows":'
    b' [{"id": "3", "seats": [{"number": "1"}, {"number": "2", "blocked": true}]}]}]}',
    "a new section with a new category": b'{"categories": [{"id": "new", "name": "New",'
    b' "priceMinor": 5}], "sections": [{"id": "B", "category": "new", "rows":'
    b' [{"id": "1", "seats": [{"number": "1", "x": 1, "y": 2}]}]}]}',
    "an area alone": b'{"areas": [{"id": "pit", "name": "Pit", "category": "standing",'
    b' "capacity": 7}]}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("known", [KNOWN, layout(rows=0)], ids=["known", "empty"])
def test_difference_extends_the_known_layout_to_the_new_one(known: Layout, body: bytes) -> None:
    grown = add_sections(known, body)
    added = layouts.difference(grown, known)
    assert layouts.extended(known, added) == grown
    assert added.version == grown.version
    assert layouts.capacity(added) == layouts.capacity(grown) - layouts.capacity(known)


def test_addition_of_a_layout_that_lacks_a_seat_is_refused() -> None:
    with pytest.raises(ValueError, match="does not extend"):
        addition_of(layout(rows=1, areas={"pit": 2}), layout(rows=2))


def test_addition_to_a_large_layout_has_its_seats_alone() -> None:
    addition = addition_of(layout(rows=201, seats=50), layout(rows=200, seats=50))
    assert len(addition.added) < len(addition.gzipped) / 20
    assert sum(len(row.seats) for row in layouts.rows_of(layouts.decode(addition.added))) == 50
