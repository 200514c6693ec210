"""Receipts against the truth: what a buyer was told is theirs must be theirs alone, for good.

The buyers' own papers rather than the engine's records: a sale that was answered 200 and then
forgotten everywhere leaves Redis and Postgres in perfect agreement.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from bench.war.tally import Receipt
from engine.models import Booking, BookingStatus

Line = TypeVar("Line", bound=Struct)


class BrokenReceipt(Struct, frozen=True):
    """A promise to a buyer that was not kept: `lost` or `sold_twice`."""

    kind: str
    subject: str
    detail: str


def write(path: Path, lines: Sequence[Struct]) -> None:
    """Write receipts or charges to a file, one a line."""
    path.write_bytes(msgspec.json.Encoder().encode_lines(lines))


def read(path: Path, kind: type[Line]) -> list[Line]:
    """Read the receipts or charges that `write` wrote."""
    return msgspec.json.Decoder(kind).decode_lines(path.read_bytes())


def check(
    receipts: Sequence[Receipt], bookings: Mapping[str, Booking], areas: Mapping[str, int]
) -> list[BrokenReceipt]:
    """Every broken one. `bookings` by ULID are Redis' own, `areas` has capacities."""
    return [*_lost(receipts, bookings), *_sold_twice(receipts), *_oversold(receipts, areas)]


def _lost(receipts: Sequence[Receipt], bookings: Mapping[str, Booking]) -> Iterator[BrokenReceipt]:
    for receipt in receipts:
        booking = bookings.get(receipt.booking_id.rpartition(":")[2])
        if booking is None or booking.status != BookingStatus.CONFIRMED:
            found = booking.status if booking else "unknown"
            yield BrokenReceipt("lost", receipt.booking_id, f"confirmed to its buyer, is {found}")
        elif _places(receipt) != _places_of(booking):
            yield BrokenReceipt("lost", receipt.booking_id, "has other places than confirmed")


def _sold_twice(receipts: Sequence[Receipt]) -> Iterator[BrokenReceipt]:
    buyers: dict[str, set[str]] = {}
    for receipt in receipts:
        for seat in receipt.seats:
            buyers.setdefault(seat, set()).add(receipt.booking_id)
    for seat, bookings in buyers.items():
        if len(bookings) > 1:
            yield BrokenReceipt("sold_twice", seat, f"confirmed to {', '.join(sorted(bookings))}")


def _oversold(receipts: Sequence[Receipt], areas: Mapping[str, int]) -> Iterator[BrokenReceipt]:
    sold: Counter[str] = Counter()
    for receipt in {receipt.booking_id: receipt for receipt in receipts}.values():
        sold.update(receipt.areas)
    for area, quantity in sold.items():
        capacity = areas.get(area, 0)
        if quantity > capacity:
            yield BrokenReceipt("sold_twice", area, f"{quantity} confirmed, it has {capacity}")


def _places(receipt: Receipt) -> tuple[set[str], dict[str, int]]:
    return set(receipt.seats), receipt.areas


def _places_of(booking: Booking) -> tuple[set[str], dict[str, int]]:
    areas = {str(area.area_id): area.quantity for area in booking.areas}
    return {str(seat) for seat in booking.seats}, areas
