"""The check of the receipts is itself checked: planted losses and double sales are found."""

from pathlib import Path

import msgspec
import pytest

from bench.war import receipts
from bench.war.tally import Receipt
from engine.ids import AreaId, BookingId, CustomerId, EventId, SeatId
from engine.models import AreaQuantity, Booking, BookingStatus

AREAS = {"floor": 10}


def receipt(ulid: str, *seats: str, floor: int = 0) -> Receipt:
    areas = {"floor": floor} if floor else {}
    return Receipt(f"gala:{ulid}", tuple(f"gala:{seat}" for seat in seats), areas)


def booking(paid: Receipt, status: BookingStatus = BookingStatus.CONFIRMED) -> Booking:
    return Booking(
        id=BookingId(paid.booking_id),
        event_id=EventId("gala"),
        customer_id=CustomerId("ada"),
        status=status,
        seats=tuple(SeatId(seat) for seat in paid.seats),
        areas=tuple(AreaQuantity(AreaId(area), n) for area, n in paid.areas.items()),
        amount_minor=100,
        currency="EUR",
        held_at_ms=1,
        expires_at_ms=2,
    )


def kept(*paid: Receipt) -> dict[str, Booking]:
    return {item.booking_id.partition(":")[2]: booking(item) for item in paid}


def test_check_of_kept_promises_finds_nothing() -> None:
    paid = [receipt("1", "A-1-1", "A-1-2"), receipt("2", "A-1-3", floor=4), receipt("3", floor=6)]
    assert receipts.check(paid, kept(*paid), AREAS) == []


def test_check_of_an_unknown_booking_finds_it_lost() -> None:
    paid = [receipt("1", "A-1-1"), receipt("2", "A-1-2")]
    found = receipts.check(paid, kept(paid[0]), AREAS)
    assert [(item.kind, item.subject) for item in found] == [("lost", "gala:2")]


@pytest.mark.parametrize("status", [s for s in BookingStatus if s != BookingStatus.CONFIRMED])
def test_check_of_a_booking_in_another_status_finds_it_lost(status: BookingStatus) -> None:
    paid = receipt("1", "A-1-1")
    found = receipts.check([paid], {"1": booking(paid, status)}, AREAS)
    assert [(item.kind, item.subject) for item in found] == [("lost", "gala:1")]
    assert status in found[0].detail


@pytest.mark.parametrize(
    "has", [receipt("1", "A-1-1"), receipt("1", "A-1-1", "A-1-9"), receipt("1", floor=2)]
)
def test_check_of_a_booking_with_other_places_finds_it_lost(has: Receipt) -> None:
    paid = receipt("1", "A-1-1", "A-1-2")
    found = receipts.check([paid], kept(has), AREAS)
    assert [(item.kind, item.subject) for item in found] == [("lost", "gala:1")]


def test_check_of_a_seat_on_two_receipts_finds_it_sold_twice() -> None:
    paid = [receipt("1", "A-1-1", "A-1-2"), receipt("2", "A-1-2")]
    found = receipts.check(paid, kept(*paid), AREAS)
    assert [(item.kind, item.subject) for item in found] == [("sold_twice", "gala:A-1-2")]
    assert "gala:1, gala:2" in found[0].detail


def test_check_of_a_full_area_finds_it_sold_twice_only_beyond_its_capacity() -> None:
    paid = [receipt("1", floor=6), receipt("2", floor=4), receipt("3", floor=1)]
    assert receipts.check(paid[:2], kept(*paid), AREAS) == []
    found = receipts.check(paid, kept(*paid), AREAS)
    assert [(item.kind, item.subject) for item in found] == [("sold_twice", "floor")]


def test_check_of_one_booking_confirmed_twice_finds_nothing() -> None:
    paid = receipt("1", "A-1-1", floor=6)
    assert receipts.check([paid, paid], kept(paid), AREAS) == []


def test_write_and_read_are_the_same_receipts_a_line_each(tmp_path: Path) -> None:
    paid, file = [receipt("1", "A-1-1"), receipt("2", floor=3)], tmp_path / "receipts.jsonl"
    receipts.write(file, paid)
    assert receipts.read(file, Receipt) == paid
    assert len(file.read_text().splitlines()) == 2
    assert msgspec.json.decode(file.read_text().splitlines()[0])["booking_id"] == "gala:1"


def test_write_of_none_is_read_as_none(tmp_path: Path) -> None:
    receipts.write(tmp_path / "none", [])
    assert receipts.read(tmp_path / "none", Receipt) == []
