"""What a baseline sold, checked: nobody has a seat that another has, and each of fifty has one.

From what is recorded, not from what was answered; the tests let a method without its protection
through the same fight, and it must be found out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence


def sold_twice(bookings: Iterable[tuple[str, Sequence[str]]]) -> dict[str, int]:
    """Seats on more than one booking, and on how many."""
    owners = Counter(seat for _, seats in bookings for seat in seats)
    return {seat: count for seat, count in owners.items() if count > 1}


def unsold(bookings: Iterable[tuple[str, Sequence[str]]], wanted: Iterable[str]) -> set[str]:
    """Seats that everybody asked for and nobody got."""
    return set(wanted) - {seat for _, seats in bookings for seat in seats}
