"""Houses, wishes, and what hold_best must answer to them: beside the model."""

import asyncio
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from engine import Engine
from engine.errors import NoSeatsTogether
from engine.ids import CustomerId, SeatId
from engine.models import (
    BestSelection,
    Booking,
    Layout,
    LayoutCategory,
    LayoutSeat,
    Selection,
    SingleSeats,
    Together,
)
from engine.plans.builder import LayoutBuilder
from tests.model.best_model import BestModel
from tests.support.factories import GALA, terms
from tests.support.raw_redis import raw

ROWS_MAX = 8
"""Of a house: the script looks at each."""
PRICES = {"near": 5000, "far": 1000}
ANN = CustomerId("ann")


@st.composite
def houses(draw: st.DrawFn) -> Layout:
    """Rows of one or two categories, in two sections, some with seats that are not for all."""
    builder = LayoutBuilder()
    for category, price in PRICES.items():
        builder.add_category("", LayoutCategory(id=category, name=category, price_minor=price))
    judged = draw(st.sampled_from(("focus", "rank", "row")))
    ranks = iter(draw(st.permutations(range(8 * ROWS_MAX))))
    for section in "AB":
        builder.add_section("", section, section)
        for row in range(draw(st.integers(1, ROWS_MAX // 2))):
            size = draw(st.integers(1, 8))
            mixed, category = draw(st.booleans()), draw(st.sampled_from(sorted(PRICES)))
            seats = [
                LayoutSeat(
                    id=f"{section}-{row}-{number}",
                    number=str(number),
                    category=draw(st.sampled_from(sorted(PRICES))) if mixed else category,
                    blocked=draw(st.integers(0, 9)) == 0,
                    accessible=draw(st.integers(0, 9)) == 0,
                    restricted_view=draw(st.integers(0, 9)) == 0,
                    **_judged(draw, judged, row, number, ranks),
                )
                for number in range(size)
            ]
            builder.add_row(f"{section}{row}", section, str(row), [("", seat) for seat in seats])
    return builder.build("EUR")


def _judged(
    draw: st.DrawFn, by: str, row: int, number: int, ranks: Iterator[int]
) -> dict[str, Any]:
    if by == "rank":
        return {"rank": next(ranks)}
    return {"x": float(draw(st.integers(0, 40))), "y": float(9 * row)} if by == "focus" else {}


WISHES = st.builds(
    BestSelection,
    event_id=st.just(GALA),
    customer_id=st.just(ANN),
    quantity=st.integers(1, 6),
    category_ids=st.sampled_from(((), (), ("near",), ("far",), ("far", "near"))),
    section_ids=st.sampled_from(((), (), ("A",), ("B", "A"))),
    price_max_minor=st.sampled_from((None, None, 1000, 999)),
    restricted_view=st.booleans(),
    fallback=st.sampled_from(
        (
            (),
            (),
            (Together.ROWS,),
            (Together.SECTION,),
            (Together.APART,),
            (Together.ROWS, Together.SECTION, Together.APART),
        )
    ),
)


SOLD = st.lists(st.integers(0, 63), max_size=40)
SINGLE_SEATS = st.sampled_from((SingleSeats.ALLOW, SingleSeats.AVOID))


async def compare(
    engine: Engine,
    house: Layout,
    sold: list[int],
    wishes: list[BestSelection],
    single_seats: SingleSeats,
) -> None:
    """Sell some seats, then ask for each wish after another, and for all of them at once."""
    await raw(engine).flushall()
    await engine.events.load_event(GALA, house, terms(seats_max=50, single_seats=single_seats))
    await _sell(engine, house, sold)
    for wanted in wishes:
        letters = (await engine.availability.read_map(GALA)).map
        model = BestModel(house, letters, avoids_single=single_seats is not SingleSeats.ALLOW)
        best = model.best(wanted)
        try:
            booking = await engine.bookings.hold_best(wanted)
        except NoSeatsTogether as refused:
            told = best, refused.found
            assert told == ([], (str(model.largest(wanted)),))
            continue
        seats = tuple(seat.partition(":")[2] for seat in booking.seats)
        if best:
            assert booking.together is Together.ROW
            assert seats in [window.seats for window in best]
        else:
            _check_parts(model, wanted, booking, seats)
    await _ask_at_once(engine, wishes)


async def _ask_at_once(engine: Engine, wishes: list[BestSelection]) -> None:
    """In one call of the script: each finds the map as the ones before it leave it."""
    asked = (engine.bookings.hold_best(wanted) for wanted in wishes)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    held = [answer for answer in answers if isinstance(answer, Booking)]
    others = [answer for answer in answers if not isinstance(answer, Booking)]
    assert {type(answer) for answer in others} <= {NoSeatsTogether}
    seats = [seat for booking in held for seat in booking.seats]
    assert len(set(seats)) == len(seats)


async def _sell(engine: Engine, house: Layout, sold: list[int]) -> None:
    seats = [seat for section in house.sections for row in section.rows for seat in row.seats]
    chosen = sorted({number for number in sold if number < len(seats)})
    wanted = [SeatId(f"{GALA}:{seats[n].id}") for n in chosen if not seats[n].blocked]
    if wanted:
        await engine.bookings.hold_seats(
            Selection(event_id=GALA, customer_id=ANN, seats=tuple(wanted))
        )


def _check_parts(
    model: BestModel, wanted: BestSelection, booking: Booking, seats: tuple[str, ...]
) -> None:
    """It is parted as it says, and as it may be."""
    assert booking.together in wanted.fallback
    assert len(set(seats)) == wanted.quantity
    places = sorted(model.row_of(seat) for seat in seats)
    by_row: dict[tuple[str, int], list[int]] = {}
    for section, position, place in places:
        row = next(r for r in model.rows if (r.section, r.position) == (section, position))
        assert model.may_give(wanted, row, place)
        by_row.setdefault((section, position), []).append(place)
    if booking.together is Together.ROWS:
        (one, first), (other, second) = by_row.items()
        assert one[0] == other[0]
        assert abs(one[1] - other[1]) == 1
        assert abs(len(first) - len(second)) <= 1
        for row_places in (first, second):
            assert row_places == [*range(row_places[0], row_places[0] + len(row_places))]
        return
    if booking.together is Together.SECTION:
        assert len({section for section, _ in by_row}) == 1
    # None is alone but the odd one out, or all of them where they may be apart.
    parts = sum(1 for row in by_row.values() for p in row if p - 1 not in row and p + 1 not in row)
    is_apart = booking.together is Together.APART
    assert parts <= (wanted.quantity if is_apart else wanted.quantity % 2)
