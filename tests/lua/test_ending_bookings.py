"""extend, release, cancel and expire: how a booking's deadline moves and how it ends."""

import pytest

from engine.errors import (
    AlreadyConfirmed,
    BookingCancelled,
    BookingExpired,
    BookingNotFound,
    BookingReleased,
    EventNotFound,
    ExtendLimit,
    NotConfirmed,
    RefundDue,
    Refused,
)
from engine.ids import BookingId, CustomerId
from engine.models import Booking, BookingStatus
from engine.payments import UNPAID_TTL_MS
from tests.support.box_office import START_MS, TTL_MS, BoxOffice
from tests.support.raw_redis import raw

UNKNOWN = BookingId("gala:01JDTESTTESTTESTTESTTESTTE")
EVE = CustomerId("eve")


async def test_extend_booking_moves_the_deadline_up_to_the_cap(office: BoxOffice) -> None:
    await office.open(hold_max_ms=2 * TTL_MS)
    held = await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS - 1
    moved = await office.bookings.extend_booking(held.id, held.customer_id)
    assert moved.expires_at_ms == START_MS + 2 * TTL_MS - 1
    assert (await office.state()).seats["A-1-1"].deadline_ms == moved.expires_at_ms
    office.now_ms += TTL_MS - 1
    capped = await office.bookings.extend_booking(held.id, held.customer_id)
    assert capped.expires_at_ms == START_MS + 2 * TTL_MS
    call = office.bookings.extend_booking(held.id, held.customer_id)
    refusal = await office.refused(ExtendLimit, call)
    assert refusal.found == (str(START_MS + 2 * TTL_MS),)
    office.now_ms = START_MS + 2 * TTL_MS
    assert await office.expire() == (0,)


async def test_extend_booking_past_its_deadline_is_refused(office: BoxOffice) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS
    await office.refused(BookingExpired, office.bookings.extend_booking(held.id, None))


async def test_release_booking_frees_the_places_and_repeats(office: BoxOffice) -> None:
    await office.open(areas={"pit": 3})
    held = await office.hold("ann", "A-1-1", pit=3)
    released = await office.bookings.release_booking(held.id, held.customer_id)
    assert released.status == BookingStatus.RELEASED
    assert await office.bookings.release_booking(held.id, held.customer_id) == released
    assert (await office.state()).event.counts.available == 13
    assert not await raw(office.engine).exists(f"{{gala}}:hold:{held.id[5:]}")


@pytest.mark.parametrize(("price_minor", "why"), [(0, ""), (1, "cancelled")])
async def test_cancel_booking_owes_what_was_paid_be_it_a_cent(
    office: BoxOffice, price_minor: int, why: str
) -> None:
    await office.open(price_minor=price_minor)
    sold = await office.confirm(await office.hold("ann", "A-1-1"))
    cancelled = await office.bookings.cancel_booking(sold.id, sold.customer_id)
    assert (cancelled.refund_minor, cancelled.refund_reason or "") == (price_minor, why)


async def test_cancel_booking_frees_the_places_and_owes_a_refund(office: BoxOffice) -> None:
    await office.open()
    sold = await office.confirm(await office.hold("ann", "A-1-1"))
    cancelled = await office.bookings.cancel_booking(sold.id, sold.customer_id)
    assert (cancelled.status, cancelled.refund_minor, cancelled.refund_reason) == (
        "cancelled",
        1500,
        "cancelled",
    )
    assert await office.bookings.cancel_booking(sold.id, sold.customer_id) == cancelled
    assert await office.map() == "aaaaa/aaaaa"
    await office.hold("bob", "A-1-1")


async def test_expire_bookings_releases_only_what_is_overdue(office: BoxOffice) -> None:
    await office.open()
    first = await office.hold("ann", "A-1-1")
    office.now_ms += 10
    second = await office.hold("bob", "A-1-2")
    office.now_ms = START_MS + TTL_MS + 3
    assert await office.expire() == (3,)
    assert (await office.kept(first)).status == BookingStatus.EXPIRED
    assert (await office.kept(second)).status == BookingStatus.PENDING


async def test_expire_bookings_by_stale_or_repeated_events_frees_nothing_of_a_new_owner(
    office: BoxOffice,
) -> None:
    await office.open()
    first = await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS
    assert await office.expire(first.id[5:]) == (0,)
    await office.hold("bob", "A-1-1")
    before = await office.everything()
    assert await office.expire(first.id[5:], "01JDTESTTESTTESTTESTTESTTE") == ()
    assert await office.everything() == before


async def test_expire_bookings_names_the_next_deadline(office: BoxOffice) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    found = await office.bookings.expire_bookings(held.event_id, path="sweep")
    assert (found.now_ms, found.next_deadline_ms) == (START_MS, held.expires_at_ms)


async def test_expire_bookings_forgets_ended_bookings_after_their_time(office: BoxOffice) -> None:
    await office.open(ended_ttl_ms=5_000)
    held = await office.hold("ann", "A-1-1")
    await office.bookings.release_booking(held.id, None)
    office.now_ms += 4_999
    await office.expire()
    assert (await office.kept(held)).status == BookingStatus.RELEASED
    office.now_ms += 1
    await office.expire()
    with pytest.raises(BookingNotFound):
        await office.kept(held)
    assert await raw(office.engine).zcard("{gala}:ended") == 0


@pytest.mark.parametrize("how", ["released", "expired", "cancelled", "owed"])
async def test_expire_bookings_forgets_an_unpaid_booking_after_an_hour_and_no_other(
    office: BoxOffice, how: str
) -> None:
    await office.open(late_payment="refund")
    held = await _ended(office, "expired" if how == "owed" else how)
    if how == "owed":
        with pytest.raises(RefundDue):
            await office.confirm(held)
    is_unpaid = how in ("released", "expired")
    office.now_ms += UNPAID_TTL_MS - 1
    await office.expire()
    assert (await office.kept(held)).id == held.id
    office.now_ms += 1
    await office.expire()
    known = await raw(office.engine).hexists("{gala}:bookings", held.id[5:])
    assert known is not is_unpaid


async def test_a_payment_after_an_unpaid_booking_is_forgotten_finds_none(
    office: BoxOffice,
) -> None:
    """The API then owes the payment in Postgres."""
    await office.open()
    held = await _ended(office, "expired")
    office.now_ms += UNPAID_TTL_MS
    await office.expire()
    with pytest.raises(BookingNotFound):
        await office.confirm(held)


async def test_expire_bookings_never_forgets_a_confirmed_one(office: BoxOffice) -> None:
    await office.open(ended_ttl_ms=5_000)
    held = await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS
    await office.expire()
    sold = await office.confirm(held)
    office.now_ms += 10**9
    await office.expire()
    assert await office.kept(sold) == sold


async def _ended(office: BoxOffice, how: str) -> Booking:
    held = await office.hold("ann", "A-1-1")
    if how == "expired":
        office.now_ms += TTL_MS
        await office.expire()
    elif how == "released":
        await office.bookings.release_booking(held.id, None)
    elif how in ("confirmed", "cancelled"):
        await office.confirm(held)
        if how == "cancelled":
            await office.bookings.cancel_booking(held.id, None)
    return held


@pytest.mark.parametrize(
    ("verb", "status", "kind"),
    [
        ("extend", "expired", BookingExpired),
        ("extend", "released", BookingReleased),
        ("extend", "confirmed", AlreadyConfirmed),
        ("extend", "cancelled", BookingCancelled),
        ("release", "expired", BookingExpired),
        ("release", "confirmed", AlreadyConfirmed),
        ("release", "cancelled", BookingCancelled),
        ("cancel", "pending", NotConfirmed),
        ("cancel", "expired", BookingExpired),
        ("cancel", "released", BookingReleased),
    ],
)
async def test_verb_in_the_wrong_status_is_refused(
    office: BoxOffice, verb: str, status: str, kind: type[Refused]
) -> None:
    await office.open()
    booking = await _ended(office, status)
    call = getattr(office.bookings, f"{verb}_booking")
    await office.refused(kind, call(booking.id, booking.customer_id))


@pytest.mark.parametrize("verb", ["extend", "release", "cancel"])
async def test_verb_without_event_booking_or_ownership_is_refused(
    office: BoxOffice, verb: str
) -> None:
    call = getattr(office.bookings, f"{verb}_booking")
    await office.refused(EventNotFound, call(UNKNOWN, None))
    await office.open()
    await office.refused(BookingNotFound, call(UNKNOWN, None))
    held = await office.hold("ann", "A-1-1")
    await office.refused(BookingNotFound, call(held.id, EVE))


async def test_expire_bookings_without_the_event_is_refused(office: BoxOffice) -> None:
    await office.refused(EventNotFound, office.expire())


async def test_expire_bookings_named_twice_ends_each_once(office: BoxOffice) -> None:
    await office.open(areas={"pit": 5})
    ann = await office.hold("ann", "A-1-1", "A-1-2", pit=2)
    bob = await office.hold("bob", "A-1-3", pit=1)
    office.now_ms += TTL_MS
    named = [booking.id.partition(":")[2] for booking in (ann, bob, ann, bob, ann)]
    assert await office.expire(*named) == (0, 0)
    state = await office.state()
    assert {seat.letter for seat in state.seats.values()} == {"a"}
    assert (await office.kinds())[-2:] == ["booking_expired"] * 2


async def test_expire_bookings_frees_a_seat_once_that_two_of_them_name(office: BoxOffice) -> None:
    await office.open()
    await office.hold("ann", "A-1-1")
    bob = await office.hold("bob", "A-1-2")
    redis, ulid = raw(office.engine), bob.id[5:]
    record = await redis.hget("{gala}:bookings", ulid)
    assert record
    await redis.hset("{gala}:bookings", ulid, record.replace(b"A-1-2", b"A-1-2 A-1-1"))
    office.now_ms += TTL_MS
    assert len(await office.expire()) == 2
    assert (await office.state()).event.counts.available == 10


async def test_expire_bookings_of_many_ends_them_in_one_call(office: BoxOffice) -> None:
    await office.open(rows=60, seats=50, seats_max=50)
    for row in range(1, 61):
        await office.hold(f"c{row}", *(f"A-{row}-{number}" for number in range(1, 51)))
    office.now_ms += TTL_MS
    assert len(await office.expire()) == 60  # 3,000 seats: more than one command may name
    state = await office.state()
    assert {seat.letter for seat in state.seats.values()} == {"a"}


async def test_expire_bookings_of_more_seats_than_one_command_names(office: BoxOffice) -> None:
    await office.open(rows=45, seats=50, seats_max=50)
    rows = [[f"A-{row}-{seat}" for seat in range(1, 51)] for row in range(1, 46)]
    for number, row in enumerate(rows):
        await office.hold(f"c{number}", *row)
    office.now_ms += TTL_MS
    assert len(await office.expire()) == 45
    assert await office.map() == "/".join(["a" * 50] * 45)
