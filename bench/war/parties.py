"""Parties against the plan: places that the API calls side by side must be so in the layout.

The layout rather than the engine's rows and qualities: an error in those would place a party
wrongly and call it together all the same.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from bench.war.tally import Party
from engine.models import Layout, Together
from engine.plans.layout import rows_of


class BrokenParty(Struct, frozen=True):
    """A party that was told what is not so: `wrong_size` or `not_together`."""

    kind: str
    subject: str
    detail: str


class _Place(NamedTuple):
    section: str
    row: int
    seat: int


def check(parties: Sequence[Party], layout: Layout) -> list[BrokenParty]:
    """Every broken party. Seats of `parties` have their event in front, those of `layout` not."""
    places = {
        seat.id: _Place(section.id, row_number, seat_number)
        for section in layout.sections
        for row_number, row in enumerate(section.rows)
        for seat_number, seat in enumerate(row.seats)
    }
    return [broken for party in parties for broken in _broken(party, places)]


def count_single_seats(layout: Layout, letters: str) -> int:
    """Free seats without a free neighbour, in rows of more than one seat; `letters` is the map."""
    return sum(
        run == "a"
        for row in rows_of(layout)
        if len(row.seats) > 1
        for run in _runs_of(letters[row.index : row.index + len(row.seats)])
    )


def _runs_of(letters: str) -> list[str]:
    return "".join(letter if letter == "a" else "." for letter in letters).split(".")


def _broken(party: Party, places: dict[str, _Place]) -> Iterator[BrokenParty]:
    got = len(set(party.seats)) + sum(party.areas.values())
    if got != party.quantity:
        detail = f"asked for {party.quantity} places, got {got}"
        yield BrokenParty("wrong_size", party.booking_id, detail)
    seats = sorted(places[seat.partition(":")[2]] for seat in party.seats)
    if not _is_so(party, seats):
        found = ", ".join(sorted(seat.partition(":")[2] for seat in party.seats)) or "no seats"
        detail = f"called {party.together!r}, has {found}"
        yield BrokenParty("not_together", party.booking_id, detail)


def _is_so(party: Party, seats: Sequence[_Place]) -> bool:
    """Whether the places are as the party was told."""
    if party.together == Together.STANDING:
        return not seats and len(party.areas) == 1
    if not seats or party.areas:
        return False
    parts = _parts(seats)
    if party.together == Together.ROW:
        return len(parts) == 1
    if party.together == Together.ROWS:
        return len(parts) == 2 and _behind_each_other(*parts)
    if party.together == Together.SECTION:
        return len({seat.section for seat in seats}) == 1
    return party.together == Together.APART


def _parts(seats: Sequence[_Place]) -> list[list[_Place]]:
    """Runs of seats side by side; `seats` are sorted."""
    parts: list[list[_Place]] = []
    for seat in seats:
        if parts and parts[-1][-1] == seat._replace(seat=seat.seat - 1):
            parts[-1].append(seat)
        else:
            parts.append([seat])
    return parts


def _behind_each_other(front: Sequence[_Place], back: Sequence[_Place]) -> bool:
    neighbours = front[0].section == back[0].section and back[0].row - front[0].row == 1
    return neighbours and abs(len(front) - len(back)) <= 1
