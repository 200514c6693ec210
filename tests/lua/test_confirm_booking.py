"""confirm_booking.lua: in time, twice, late, and too late."""

import asyncio

import pytest
from msgspec.structs import replace

from engine.booking_json import json_of
from engine.errors import (
    AmountDiffers,
    BookingCancelled,
    BookingNotFound,
    EventNotFound,
    NotOwner,
    PaidTwice,
    PaymentByProvider,
    RefundDue,
    TooManyPayments,
)
from engine.ids import BookingId, CustomerId
from engine.models import BookingStatus, PaymentReport, PaymentSource
from tests.support.box_office import START_MS, TTL_MS, BoxOffice, provider_payment
from tests.support.crowd import seats_of
from tests.support.raw_redis import raw


async def test_confirm_booking_in_time_sells_the_places(office: BoxOffice) -> None:
    await office.open(areas={"pit": 5})
    held = await office.hold("ann", "A-1-1", pit=2)
    office.now_ms += 5
    booking = await office.confirm(held)
    state = await office.state()
    assert booking.status == BookingStatus.CONFIRMED
    assert booking.confirmed_at_ms == START_MS + 5
    assert not booking.late
    assert state.map == "saaaa/aaaaa"
    assert state.areas["pit"].sold == 2
    assert state.event.counts.sold == 3
    assert not await raw(office.engine).exists(f"{{gala}}:hold:{held.id[5:]}")


async def test_confirm_booking_again_answers_the_same_and_changes_nothing(
    office: BoxOffice,
) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    answers = await asyncio.gather(*(office.confirm(held) for _ in range(40)))
    assert len(set(answers)) == 1
    assert await office.kinds() == ["event_loaded", "seats_held", "booking_confirmed"]


async def test_confirm_booking_of_a_stranger_is_not_found(office: BoxOffice) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    await office.refused(BookingNotFound, office.confirm(held, "eve"))


async def test_confirm_booking_by_the_provider_needs_no_customer(office: BoxOffice) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    booking = await office.bookings.confirm_booking(held.id, None)
    assert booking.status == BookingStatus.CONFIRMED


async def test_confirm_booking_without_event_or_booking_is_refused(office: BoxOffice) -> None:
    unknown = BookingId("gala:01JDTESTTESTTESTTESTTESTTE")
    await office.refused(EventNotFound, office.bookings.confirm_booking(unknown, None))
    await office.open()
    await office.refused(BookingNotFound, office.bookings.confirm_booking(unknown, None))


async def test_confirm_booking_that_was_cancelled_is_refused(office: BoxOffice) -> None:
    await office.open()
    sold = await office.confirm(await office.hold("ann", "A-1-1"))
    await office.bookings.cancel_booking(sold.id, sold.customer_id)
    await office.refused(BookingCancelled, office.confirm(sold))


@pytest.mark.parametrize("swept", [True, False])
async def test_confirm_booking_late_gets_its_seats_while_they_are_free(
    office: BoxOffice, swept: bool
) -> None:
    await office.open(areas={"pit": 2})
    held = await office.hold("ann", "A-1-1", pit=2)
    office.now_ms += TTL_MS
    if swept:
        await office.expire()
    booking = await office.confirm(held)
    assert (booking.status, booking.late, booking.ended_at_ms) == ("confirmed", True, None)
    assert await office.map() == "saaaa/aaaaa"
    assert await office.kinds() == [
        "event_loaded",
        "seats_held",
        "booking_expired",
        "booking_confirmed",
    ]


@pytest.mark.parametrize("then", ["held", "sold"])
@pytest.mark.parametrize("swept", [True, False])
async def test_confirm_booking_too_late_is_one_refund_and_takes_no_seat(
    office: BoxOffice, then: str, swept: bool
) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1", "A-1-2")
    office.now_ms += TTL_MS
    if swept:
        await office.expire()
    new = await office.hold("bob", "A-1-2")
    if then == "sold":
        await office.confirm(new)
    for _ in range(3):
        with pytest.raises(RefundDue) as caught:
            await office.confirm(held)
        assert caught.value.found == ("3000", "seat_taken")
    kept = await office.kept(held)
    assert (kept.status, kept.refund_minor) == ("expired", 3000)
    assert (await office.kinds()).count("refund_due") == 1
    assert (await office.state()).seats["A-1-2"].booking == new.id[5:]


async def test_confirm_booking_with_a_refund_due_stays_refused_when_seats_are_free_again(
    office: BoxOffice,
) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS
    new = await office.hold("bob", "A-1-1")
    with pytest.raises(RefundDue):
        await office.confirm(held)
    await office.bookings.release_booking(new.id, None)
    await office.refused(RefundDue, office.confirm(held))


async def test_confirm_booking_after_release_gets_free_seats_back(office: BoxOffice) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    await office.bookings.release_booking(held.id, held.customer_id)
    assert (await office.confirm(held)).late


async def test_confirm_booking_late_does_not_pass_the_purchase_limit(office: BoxOffice) -> None:
    await office.open(customer_max=2)
    first = await office.hold("ann", "A-1-1", "A-1-2")
    office.now_ms += TTL_MS
    second = await office.hold("ann", "A-2-1", "A-2-2")
    with pytest.raises(RefundDue) as caught:
        await office.confirm(first)
    assert caught.value.found == ("3000", "limit_reached")
    await office.confirm(second)


async def test_confirm_booking_too_late_and_not_swept_expires_it(office: BoxOffice) -> None:
    await office.open(customer_max=1)
    first = await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS - 1
    with pytest.raises(Exception, match="limit"):
        await office.hold("ann", "A-1-2")
    office.now_ms += 1
    second = await office.hold("ann", "A-1-2")
    with pytest.raises(RefundDue):
        await office.confirm(first)
    assert (await office.kept(first)).status == BookingStatus.EXPIRED
    assert await office.map() == "ahaaa/aaaaa"
    await office.confirm(second)


async def test_confirm_booking_late_expires_an_overdue_hold_in_its_way(office: BoxOffice) -> None:
    await office.open()
    first = await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS
    second = await office.hold("bob", "A-1-1", "A-1-2")
    office.now_ms += TTL_MS
    assert (await office.confirm(first)).late
    assert (await office.kept(second)).status == BookingStatus.EXPIRED
    assert await office.map() == "saaaa/aaaaa"


async def test_confirm_booking_late_in_a_rush_keeps_the_standing_place_it_held(
    office: BoxOffice,
) -> None:
    """More holds have ended before it than a script looks at, and no sweep has come yet."""
    await office.open(rows=101, seats=5, areas={"pit": 1})
    for seat in seats_of(100, 5):
        await office.hold("bob", seat)
    office.now_ms += 1
    mine = await office.hold("ann", pit=1)
    office.now_ms += TTL_MS
    assert (await office.confirm(mine)).status == "confirmed"
    assert (await office.state()).areas["pit"].sold == 1


async def test_confirm_booking_of_the_amount_that_was_paid_sells(office: BoxOffice) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    paid = office.bookings.confirm_booking(held.id, None, provider_payment("pi_1", 1500, "EUR"))
    assert (await paid).status == BookingStatus.CONFIRMED


@pytest.mark.parametrize(
    ("amount_minor", "currency"),
    [(1499, ""), (1501, "EUR"), (0, "EUR"), (1500, "USD"), (None, "USD"), (10**14 - 1, "")],
)
async def test_confirm_booking_of_another_amount_sells_nothing_and_owes_it_once(
    office: BoxOffice, amount_minor: int | None, currency: str
) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    for _ in range(3):
        with pytest.raises(AmountDiffers) as caught:
            await office.pay(held, "pi_1", amount_minor, currency)
        assert caught.value.found == ("1500", "EUR")
    kept = await office.kept(held)
    (payment,) = kept.payments
    paid = 1500 if amount_minor is None else amount_minor
    assert (kept.status, payment.outcome) == ("pending", "amount_differs")
    assert (payment.owed_minor, payment.currency) == (paid, currency or "EUR")
    assert kept.refund_minor == (paid if payment.currency == "EUR" else 0)
    assert (await office.kinds()).count("refund_due") == 1
    assert (await office.pay(held, "pi_2", 1500)).status == "confirmed"
    await office.state()


async def test_confirm_booking_paid_twice_owes_the_second_whole_and_once(
    office: BoxOffice,
) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    await office.pay(held, "pi_1")
    for _ in range(3):
        with pytest.raises(PaidTwice) as caught:
            await office.pay(held, "pi_2", 1600)
        assert caught.value.found == ("1600", "EUR")
        assert (await office.pay(held, "pi_1")).status == "confirmed"
    await office.state()
    cancelled = await office.bookings.cancel_booking(held.id, None)
    assert [(p.id, p.owed_minor, p.reason) for p in cancelled.payments] == [
        ("pi_1", 1500, "cancelled"),
        ("pi_2", 1600, "paid_twice"),
    ]
    assert cancelled.refund_minor == 3100
    await office.state()


async def test_confirm_booking_too_late_twice_owes_both_payments(office: BoxOffice) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS
    await office.confirm(await office.hold("bob", "A-1-1"))
    for payment in ("pi_1", "pi_2", "pi_1"):
        with pytest.raises(RefundDue):
            await office.pay(held, payment)
    kept = await office.kept(held)
    assert [(p.id, p.owed_minor) for p in kept.payments] == [("pi_1", 1500), ("pi_2", 1500)]
    assert kept.refund_minor == 3000


async def test_confirm_booking_after_its_cancellation_owes_a_new_payment(
    office: BoxOffice,
) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    await office.pay(held, "pi_1")
    await office.bookings.cancel_booking(held.id, None)
    for payment in ("pi_1", "pi_2", "pi_2"):
        with pytest.raises(BookingCancelled):
            await office.pay(held, payment)
    assert (await office.kept(held)).refund_minor == 3000


async def test_confirm_booking_unchecked_becomes_the_providers_payment(office: BoxOffice) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    await office.confirm(held)
    for _ in range(2):
        assert (await office.pay(held, "pi_1")).status == "confirmed"
    (payment,) = (await office.kept(held)).payments
    assert (payment.source, payment.provider_id) == ("provider", "pi_1")
    with pytest.raises(PaidTwice):
        await office.pay(held, "pi_2")
    assert (await office.confirm(held)).status == "confirmed"


async def test_confirm_booking_keeps_so_many_payments_and_no_more(office: BoxOffice) -> None:
    await office.open()
    held = await office.hold("ann", "A-1-1")
    await office.pay(held, "pi_0")
    for n in range(1, 50):
        with pytest.raises(PaidTwice):
            await office.pay(held, f"pi_{n}")
    refused = await office.refused(TooManyPayments, office.pay(held, "pi_50"))
    assert refused.found == ("50", "1500", "EUR")
    assert (await office.pay(held, "pi_0")).status == "confirmed"


async def test_confirm_booking_of_the_last_release_is_owed_when_cancelled(
    office: BoxOffice,
) -> None:
    await office.open()
    sold = await office.confirm(await office.hold("ann", "A-1-1"))
    await raw(office.engine).hset(
        "{gala}:bookings", sold.id[5:], json_of(replace(sold, payments=()))
    )
    assert (await office.pay(sold, "pi_1")).status == "confirmed"
    cancelled = await office.bookings.cancel_booking(sold.id, None)
    assert cancelled.refund_minor == 1500
    assert [(p.provider_id, p.owed_minor) for p in cancelled.payments] == [("pi_1", 1500)]


async def test_confirm_booking_at_the_box_office_is_the_organisers_alone(
    office: BoxOffice,
) -> None:
    await office.open(owner_id="orla")
    held = await office.hold("ann", "A-1-1")
    cash = PaymentReport(source=PaymentSource.BOX_OFFICE, note="cash, till 2")
    for stranger in ("ann", "eve"):
        call = office.bookings.confirm_booking(held.id, CustomerId(stranger), cash)
        await office.refused(NotOwner, call)
    sold = await office.bookings.confirm_booking(held.id, CustomerId("orla"), cash)
    (payment,) = sold.payments
    assert (payment.source, payment.note, payment.amount_minor) == (
        "box_office",
        "cash, till 2",
        1500,
    )


@pytest.mark.parametrize("price_minor", [1500, 0])
async def test_confirm_booking_by_the_customer_where_a_provider_does_is_for_what_is_free(
    office: BoxOffice, price_minor: int
) -> None:
    await office.open(price_minor=price_minor)
    held = await office.hold("ann", "A-1-1")
    call = office.bookings.confirm_booking(
        held.id, held.customer_id, PaymentReport(source=PaymentSource.FREE)
    )
    if price_minor:
        await office.refused(PaymentByProvider, call)
    else:
        assert (await call).status == "confirmed"


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"late_payment": "refund"}, "late_payment"),
        ({"starts_at_ms": START_MS + TTL_MS}, "event_begun"),
        ({"starts_at_ms": START_MS + TTL_MS + 1}, None),
        ({"late_payment": "confirm"}, None),
    ],
)
async def test_confirm_booking_late_is_a_term_of_the_event(
    office: BoxOffice, terms: dict[str, object], reason: str | None
) -> None:
    await office.open(**terms)
    held = await office.hold("ann", "A-1-1")
    office.now_ms += TTL_MS
    if reason is None:
        assert (await office.pay(held, "pi_1")).payments[0].outcome == "late_confirmed"
        return
    with pytest.raises(RefundDue) as caught:
        await office.pay(held, "pi_1")
    assert caught.value.found == ("1500", reason)
