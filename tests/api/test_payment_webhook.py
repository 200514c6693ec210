"""Notices of the payment provider: their outcomes, their records, and one effect for each."""

import asyncio
import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from api import notice_effects
from api.stores import NoStores
from persistence.journal.tables import Store
from tests.api.client import BOOKING, EVENT, NOTICE, REFUND, Api, bearer
from tests.api.payment_cases import notice, orla, pool_of
from tests.persistence.entries import booking, entry
from tests.support.box_office import TTL_MS
from tests.support.factories import GALA
from tests.support.trials import Trial


async def _open(api: Api) -> str:
    """Open the gala and hold a seat for ann; returns the id of the booking."""
    await api.office.open(owner_id="orla")
    return (await api.office.hold("ann", "A-1-1")).id


async def _outcome(api: Api, told: object) -> str:
    answer = await api.call("POST", NOTICE, json=told)
    assert answer.status_code == 200, answer.text
    outcome: str = answer.json()["outcome"]
    return outcome


async def _persist(api: Api) -> None:
    """Write the journal to Postgres, as the writer does."""
    journal = api.office.engine.journal
    await journal.create_group(GALA)
    await Store(await pool_of(api)).write(await journal.open_entries(GALA))


async def _refunds(api: Api, **query: str) -> list[dict[str, Any]]:
    """The obligations of the gala after the journal is written."""
    await _persist(api)
    answer = await api.call("GET", f"{EVENT}/gala/refunds", orla(), params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def _recorded(api: Api, **query: str) -> list[dict[str, Any]]:
    answer = await api.call("GET", f"{EVENT}/gala/payments", orla(), params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"amountMinor": 1500},
        {"amountMinor": 1500, "currency": "eur"},
        {"amountMinor": 1500, "currency": "EUR", "method": "card", "of": {"any": ["kind"]}},
    ],
)
async def test_notice_of_a_payment_confirms(api: Api, data: dict[str, Any]) -> None:
    booking_id = await _open(api)
    told = {**notice(booking_id, **data), "livemode": True, "created": 1}
    assert await _outcome(api, told) == "confirmed"
    assert (await api.office.kept(booking_id)).status == "confirmed"  # type: ignore[arg-type]


async def test_notice_confirms_while_postgres_is_away(api: Api) -> None:
    booking_id = await _open(api)
    assert isinstance(api.stores, NoStores)
    assert await _outcome(api, notice(booking_id)) == "confirmed"


@pytest.mark.trial("T19")
@pytest.mark.usefixtures("database_url")
async def test_notice_1000_times_50_at_once_and_reordered_has_one_effect(
    api: Api, trial: Trial
) -> None:
    booking_id = await _open(api)
    failed = {**notice(booking_id, "evt_0"), "type": "payment.failed"}
    told = [failed, *(notice(booking_id, f"evt_{n % 4}") for n in range(1, 20))] * 50
    trial.random.shuffle(told)
    gate = asyncio.Semaphore(50)

    async def send(one: dict[str, object]) -> str:
        async with gate:
            return await _outcome(api, one)

    outcomes = await asyncio.gather(*(send(one) for one in told))
    assert len(outcomes) == 1000
    assert set(outcomes) == {"confirmed", "payment_failed"}
    assert await api.office.kinds() == ["event_loaded", "seats_held", "booking_confirmed"]
    assert (await api.office.state()).event.counts.sold == 1
    assert {one["id"] for one in await _recorded(api)} == {"evt_0", "evt_1", "evt_2", "evt_3"}
    sold = Counter(outcomes)["confirmed"]
    trial.tell(
        len(outcomes), "notice of one payment, 50 at once, reordered, some of a failed one",
        f"{sold:,} answered confirmed, effects 1",
    )  # fmt: skip


async def test_notice_again_after_the_customer_said_so_itself_confirms_once(api: Api) -> None:
    booking_id = await _open(api)
    answer = await api.call("POST", f"/api/v1/payment/{booking_id}/confirm", bearer("ann"))
    assert answer.status_code == 200
    assert await _outcome(api, notice(booking_id)) == "confirmed"
    assert (await api.office.kinds()).count("booking_confirmed") == 1


@pytest.mark.usefixtures("database_url")
@pytest.mark.parametrize(
    "data",
    [
        {"amountMinor": 1499},
        {"amountMinor": 1501, "currency": "EUR"},
        {"amountMinor": 0},
        {"amountMinor": 1500, "currency": "USD"},
        {"currency": "JPY"},
    ],
)
async def test_notice_of_another_amount_sells_nothing_and_is_owed(
    api: Api, data: dict[str, Any]
) -> None:
    booking_id = await _open(api)
    for notice_id in ("evt_1", "evt_1", "evt_1b"):
        assert await _outcome(api, notice(booking_id, notice_id, **data)) == "amount_differs"
    _, found = await _recorded(api, outcome="amount_differs")
    assert (found["id"], found["bookingId"]) == ("evt_1", booking_id)
    assert found.get("amountMinor") == data.get("amountMinor")
    assert await _outcome(api, notice(booking_id, "evt_2", amountMinor=1500)) == "confirmed"
    owed = (data.get("amountMinor", 1500), data.get("currency", "EUR"))
    found_owed = [(one["amountMinor"], one["currency"]) for one in await _refunds(api)]
    assert found_owed == ([owed] if owed[0] else [])


async def test_notice_that_sold_nothing_is_503_until_it_can_be_recorded(api: Api) -> None:
    booking_id = await _open(api)
    for told in (notice(booking_id, amountMinor=1), notice("gala:01JDTESTTESTTESTTESTTESTTE")):
        answer = await api.call("POST", NOTICE, json=told)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"]


class _Hanging:
    """A Postgres that accepts connections and never responds."""

    async def record_notice(self, _: object) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize(("data", "status"), [({}, 200), ({"amountMinor": 1}, 503)])
async def test_notice_waits_for_a_hanging_postgres_only_where_it_must_and_not_for_long(
    api: Api, monkeypatch: pytest.MonkeyPatch, data: dict[str, Any], status: int
) -> None:
    booking_id = await _open(api)
    monkeypatch.setattr(api.stores, "payments", _Hanging())
    monkeypatch.setattr(notice_effects, "RECORD_TIMEOUT_S", 0.02)
    monkeypatch.setattr(notice_effects, "BEST_EFFORT_TIMEOUT_S", 0.01)
    answer = await api.call("POST", NOTICE, json=notice(booking_id, **data))
    assert answer.status_code == status


@pytest.mark.usefixtures("database_url")
async def test_notice_that_comes_too_late_is_a_refund_obligation(api: Api) -> None:
    booking_id = await _open(api)
    api.office.now_ms += TTL_MS + 1
    await api.office.confirm(await api.office.hold("bob", "A-1-1"))
    for _ in range(3):
        assert await _outcome(api, notice(booking_id)) == "refund_due"
    assert (await api.office.kinds()).count("refund_due") == 1
    assert [one["outcome"] for one in await _recorded(api)] == ["refund_due"]


@pytest.mark.usefixtures("database_url")
async def test_notice_that_comes_late_for_seats_that_are_free_confirms(api: Api) -> None:
    api.office.now_ms = round(time.time() * 1000) - TTL_MS - 1
    booking_id = await _open(api)
    assert await _outcome(api, notice(booking_id)) == "late_confirmed"
    assert (await api.office.kept(booking_id)).late  # type: ignore[arg-type]


@pytest.mark.usefixtures("database_url")
async def test_notice_for_a_cancelled_booking_is_told_apart_from_its_own_payment(api: Api) -> None:
    booking_id = await _open(api)
    assert await _outcome(api, notice(booking_id)) == "confirmed"
    answer = await api.call("POST", f"{BOOKING}/{booking_id}/cancel", bearer("ann"))
    assert answer.status_code == 200
    assert await _outcome(api, notice(booking_id)) == "booking_cancelled"
    assert await _outcome(api, notice(booking_id, "evt_2")) == "booking_cancelled"
    outcomes = {one["id"]: one["outcome"] for one in await _recorded(api)}
    assert outcomes == {"evt_1": "confirmed", "evt_2": "booking_cancelled"}


@pytest.mark.usefixtures("database_url")
@pytest.mark.parametrize(
    "booking_id",
    [
        *("gala:01JDTESTTESTTESTTESTTESTTE", "nothing:01JDTESTTESTTESTTESTTESTTE", "gala", ":"),
        *("{gala}:journal", "gala}:bookings", "{}", "*", "gala:A-1-1", "../gala", "' OR 1=1 --"),
        *("gala:01JDTESTTESTTESTTESTTESTTE:hold", "{gala}:request:x", "gala 01J", "x" * 200),
    ],
)
async def test_notice_of_an_unknown_booking_is_recorded_and_touches_no_key(
    api: Api, booking_id: str
) -> None:
    await _open(api)
    before = await api.office.everything()
    assert await _outcome(api, notice(booking_id, amountMinor=700)) == "booking_not_found"
    assert await api.office.everything() == before
    row = await (await pool_of(api)).fetchrow("SELECT * FROM payment_notices")
    assert row is not None
    assert (row["booking_id"], row["amount_minor"]) == (booking_id, 700)
    assert row["outcome"] == "booking_not_found"


@pytest.mark.usefixtures("database_url")
@pytest.mark.parametrize("status", ["expired", "released"])
async def test_notice_for_a_booking_redis_has_forgotten_is_owed_once(api: Api, status: str) -> None:
    await _open(api)
    pool = await pool_of(api)
    await Store(pool).write([entry(10, booking(9, status, 9))])
    told = notice(booking(9, status, 9).id, amountMinor=1600, currency="EUR")
    for _ in range(3):
        assert await _outcome(api, told) == "booking_not_found"
    owed = [tuple(row) for row in await pool.fetch("SELECT amount_minor FROM refund_obligations")]
    assert owed == [(1600,)]


@pytest.mark.usefixtures("database_url")
@pytest.mark.parametrize("status", ["confirmed", "pending"])
async def test_notice_for_a_booking_redis_has_lost_is_to_come_again(api: Api, status: str) -> None:
    await _open(api)
    lost = booking(9, status, 9, expires_at_ms=int(time.time() * 1000))
    await Store(pool := await pool_of(api)).write([entry(10, lost)])
    await api.refused(503, "unavailable", "POST", NOTICE, json=notice(lost.id))
    for table in ("payment_notices", "refund_obligations"):
        assert await pool.fetch(f"SELECT FROM {table}") == []


@pytest.mark.usefixtures("database_url")
async def test_notice_of_a_failed_payment_leaves_the_hold_to_its_deadline(api: Api) -> None:
    booking_id = await _open(api)
    before = await api.office.everything()
    assert await _outcome(api, {**notice(booking_id), "type": "payment.failed"}) == "payment_failed"
    assert await api.office.everything() == before
    assert await _outcome(api, notice(booking_id, "evt_2")) == "confirmed"


@pytest.mark.usefixtures("database_url")
async def test_notices_are_listed_by_pages_to_the_owner(api: Api) -> None:
    await _open(api)
    for n in range(5):
        await _outcome(api, notice("gala:01JDTESTTESTTESTTESTTESTTE", f"evt_{n}"))
    await _outcome(api, notice("other:01JDTESTTESTTESTTESTTESTTE", "evt_other"))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        query = {"limit": "2", **cursor}
        page = (await api.call("GET", f"{EVENT}/gala/payments", orla(), params=query)).json()
        seen += [one["id"] for one in page["data"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == ["evt_4", "evt_3", "evt_2", "evt_1", "evt_0"]
    for bad in ("x", "-1", "1.5", "9" * 30, "\u0661"):
        path = f"{EVENT}/gala/payments"
        problem = await api.refused(422, "invalid", "GET", path, orla(), params={"cursor": bad})
        assert problem["field"] == "cursor"


PAID_TWICE = [("evt_1", "pi_1", "confirmed"), ("evt_2", "pi_2", "paid_twice")]


@pytest.mark.usefixtures("database_url")
async def test_notice_of_a_second_payment_is_owed_and_so_is_the_first_once_cancelled(
    api: Api,
) -> None:
    booking_id = await _open(api)
    for _ in range(3):
        for notice_id, payment, outcome in PAID_TWICE:
            told = notice(booking_id, notice_id, paymentId=payment, amountMinor=1500)
            assert await _outcome(api, told) == outcome
    assert [(one["paymentId"], one["reason"]) for one in await _refunds(api)] == [
        ("pi_2", "paid_twice")
    ]
    await api.call("POST", f"{BOOKING}/{booking_id}/cancel", orla())
    owed = {one["paymentId"]: one for one in await _refunds(api)}
    assert {name: one["amountMinor"] for name, one in owed.items()} == {"pi_1": 1500, "pi_2": 1500}
    problem = await api.refused(
        409, "refund_ambiguous", "POST", f"{REFUND}/{booking_id}/settle", orla()
    )
    assert set(problem["refundIds"]) == {one["id"] for one in owed.values()}
    for one in owed.values():
        answer = await api.call("POST", f"{REFUND}/{one['id']}/settle", orla())
        assert answer.status_code == 200
    assert await _refunds(api, settled="false") == []


@pytest.mark.usefixtures("database_url")
async def test_notice_about_two_bookings_is_recorded_for_each(api: Api) -> None:
    first = await _open(api)
    second = (await api.office.hold("ann", "A-1-2")).id
    for booking_id in (first, second, first):
        assert await _outcome(api, notice(booking_id, paymentId="pi_1")) == "confirmed"
    assert {one["bookingId"] for one in await _recorded(api)} == {first, second}


@pytest.mark.usefixtures("database_url")
async def test_notice_of_a_booking_nobody_knows_is_owed_by_its_payment(api: Api) -> None:
    await _open(api)
    await _persist(api)
    unknown = "gala:01JDTESTTESTTESTTESTTESTTE"
    for payment in ("pi_1", "pi_2", "pi_1"):
        told = notice(unknown, f"evt_{payment}", paymentId=payment, amountMinor=700)
        assert await _outcome(api, told) == "booking_not_found"
    owed = sorted(await _refunds(api), key=lambda one: str(one["paymentId"]))
    assert [(one["paymentId"], one["amountMinor"], one["currency"]) for one in owed] == [
        ("pi_1", 700, "EUR"),
        ("pi_2", 700, "EUR"),
    ]
    assert owed[0]["customerId"] is None
    answer = await api.call("POST", f"{REFUND}/{owed[0]['id']}/settle", orla())
    assert answer.status_code == 200
    kind = {"type": "payment.refunded"}
    told = {**notice(unknown, "evt_3", paymentId="pi_2", amountMinor=700), **kind}
    assert await _outcome(api, told) == "refunded"
    assert await _refunds(api, settled="false") == []


@pytest.mark.usefixtures("database_url")
async def test_payments_of_events_nobody_knows_are_listed_to_admins_and_settled(api: Api) -> None:
    await _open(api)
    await _persist(api)
    known, unknown = "gala:01JDTESTTESTTESTTESTTESTTE", "derby:01JDTESTTESTTESTTESTTESTTE"
    for n, booking_id in enumerate((known, unknown, "order 77")):
        told = notice(booking_id, f"evt_{n}", paymentId=f"pi_{n}", amountMinor=700, currency="EUR")
        assert await _outcome(api, told) == "booking_not_found"
    await api.refused(403, "forbidden", "GET", REFUND, orla())

    async def listed(**query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"data": [], "next": ""}
        while page["next"] is not None:
            cursor = {"cursor": page["next"]} if page["next"] else {}
            answer = await api.call(
                "GET", REFUND, bearer("ada", "admin"), params={"limit": "1", **query, **cursor}
            )
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["data"]
        return found

    owed = await listed(settled="false")
    assert [(one["bookingId"], one["eventId"], one["amountMinor"]) for one in owed] == [
        (unknown, "derby", 700),
        ("order 77", None, 700),
    ]
    assert [one["bookingId"] for one in await _refunds(api)] == [known]
    for one in owed:
        path = f"{REFUND}/{one['id']}/settle"
        assert (await api.call("POST", path, bearer("ada", "admin"))).status_code == 200
    assert await listed(settled="false") == []
    assert [one["settledBy"] for one in await listed()] == ["ada", "ada"]


@pytest.mark.usefixtures("database_url")
async def test_notice_beyond_the_payments_that_a_booking_keeps_is_owed_too(api: Api) -> None:
    booking_id = await _open(api)
    for n in range(53):
        told = notice(booking_id, f"evt_{n}", paymentId=f"pi_{n}")
        wanted = "confirmed" if n == 0 else "paid_twice" if n < 50 else "too_many_payments"
        assert await _outcome(api, told) == wanted
    assert (
        await _outcome(api, notice(booking_id, "evt_52", paymentId="pi_52")) == "too_many_payments"
    )
    assert len(await _refunds(api, limit="100")) == 52


@pytest.mark.usefixtures("database_url")
async def test_notice_of_a_refund_in_full_cancels_and_settles(api: Api) -> None:
    booking_id = await _open(api)
    await _outcome(api, notice(booking_id, paymentId="pi_1"))
    told = {**notice(booking_id, "evt_2", paymentId="pi_1"), "type": "payment.refunded"}
    for _ in range(2):
        assert await _outcome(api, told) == "refunded"
    assert (await api.office.kept(booking_id)).status == "cancelled"  # type: ignore[arg-type]
    assert await _refunds(api) == []


@pytest.mark.usefixtures("database_url")
async def test_notice_of_a_refund_of_what_is_owed_settles_it(api: Api) -> None:
    booking_id = await _open(api)
    await _outcome(api, notice(booking_id, paymentId="pi_1"))
    partial = notice(booking_id, "evt_2", paymentId="pi_1", amountMinor=500)
    assert await _outcome(api, {**partial, "type": "payment.refunded"}) == "refunded"
    assert (await api.office.kept(booking_id)).status == "confirmed"  # type: ignore[arg-type]
    await api.call("POST", f"{BOOKING}/{booking_id}/cancel", orla())
    (owed,) = await _refunds(api)
    assert owed["amountMinor"] == 1000
    told = notice(booking_id, "evt_3", paymentId="pi_1")
    assert await _outcome(api, {**told, "type": "payment.refunded"}) == "refunded"
    (settled,) = await _refunds(api)
    assert (settled["settledBy"], settled["amountMinor"]) == ("provider", 1000)


@pytest.mark.usefixtures("database_url")
async def test_notice_of_a_dispute_is_listed_and_counted(api: Api) -> None:
    booking_id = await _open(api)
    await _outcome(api, notice(booking_id, paymentId="pi_1"))
    told = {**notice(booking_id, "evt_2", paymentId="pi_1"), "type": "payment.disputed"}
    assert await _outcome(api, told) == "disputed"
    assert [one["paymentId"] for one in await _recorded(api, outcome="disputed")] == ["pi_1"]
    (payment,) = (await api.office.kept(booking_id)).payments  # type: ignore[arg-type]
    assert payment.disputed_at_ms
    assert 'payment_notices_total{outcome="disputed"}' in (await api.call("GET", "/metrics")).text


@pytest.mark.usefixtures("database_url")
async def test_notice_of_a_payment_that_takes_days_moves_the_deadline(api: Api) -> None:
    await api.office.open(owner_id="orla", payment_max_ms=3_600_000)
    api.office.now_ms = ""  # type: ignore[assignment]
    held = await api.held("ann", "A-1-1")
    told = {**notice(held["id"], paymentId="pi_1"), "type": "payment.processing"}
    assert await _outcome(api, told) == "processing"
    shown = (await api.call("GET", f"{BOOKING}/{held['id']}", bearer("ann"))).json()
    assert shown["paymentProcessing"] is True
    moved = datetime.fromisoformat(shown["expiresAt"]) - datetime.fromisoformat(held["heldAt"])
    assert moved == timedelta(hours=1)
    assert await _outcome(api, notice(held["id"], "evt_2", paymentId="pi_1")) == "confirmed"


@pytest.mark.parametrize("amount", ["1500", 1500.0, "1500.0", "1500.00"])
async def test_notice_with_an_amount_that_is_exact_is_taken(api: Api, amount: object) -> None:
    booking_id = await _open(api)
    assert await _outcome(api, notice(booking_id, amountMinor=amount)) == "confirmed"
