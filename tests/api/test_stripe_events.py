"""Stripe's events, in the form that Stripe documents: tests/api/stripe has one of each kind."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.stripe_events import KINDS
from persistence.journal.tables import Store
from tests.api.client import BOOKING, STRIPE, Api, bearer, signature
from tests.api.payment_cases import pool_of
from tests.support.factories import GALA

EVENTS = {path.stem: path for path in (Path(__file__).parent / "stripe").glob("*.json")}
PAYMENT = "pi_3QTestTestTestTest0000001"


def _event(kind: str, booking_id: str | None, **over: Any) -> dict[str, Any]:
    """A sample event about a booking; None: its metadata names none."""
    event: dict[str, Any] = json.loads(EVENTS[kind].read_text())
    told = event["data"]["object"]
    if told["metadata"]:
        told["metadata"] = {} if booking_id is None else {"bookingId": booking_id}
    told.update(over)
    return event


async def _outcome(api: Api, event: dict[str, Any]) -> str:
    answer = await api.call("POST", STRIPE, json=event)
    assert answer.status_code == 200, answer.text
    outcome: str = answer.json()["outcome"]
    return outcome


async def _open(api: Api) -> str:
    await api.office.open(owner_id="orla")
    return (await api.office.hold("ann", "A-1-1")).id


async def _persist(api: Api) -> None:
    journal = api.office.engine.journal
    await journal.create_group(GALA)
    await Store(await pool_of(api)).write(await journal.open_entries(GALA))


def test_every_kind_of_event_has_a_sample() -> None:
    assert set(EVENTS) == set(KINDS)


@pytest.mark.usefixtures("database_url")
async def test_events_of_one_payment_have_one_effect_whatever_object_they_are_about(
    api: Api,
) -> None:
    booking_id = await _open(api)
    for kind, outcome in (
        ("payment_intent.payment_failed", "payment_failed"),
        ("checkout.session.completed", "confirmed"),
        ("payment_intent.succeeded", "confirmed"),
        ("checkout.session.async_payment_succeeded", "confirmed"),
        ("payment_intent.processing", "processing"),
        ("payment_intent.canceled", "payment_failed"),
    ):
        assert await _outcome(api, _event(kind, booking_id)) == outcome
    (payment,) = (await api.office.kept(booking_id)).payments  # type: ignore[arg-type]
    assert (payment.id, payment.amount_minor, payment.outcome) == (PAYMENT, 1500, "confirmed")


@pytest.mark.usefixtures("database_url")
async def test_session_whose_payment_takes_days_is_processing_until_it_is_paid(api: Api) -> None:
    booking_id = await _open(api)
    unpaid = _event("checkout.session.completed", booking_id, payment_status="unpaid")
    assert await _outcome(api, unpaid) == "processing"
    assert (await api.office.kept(booking_id)).status == "pending"  # type: ignore[arg-type]
    failed = _event("checkout.session.async_payment_failed", booking_id)
    assert await _outcome(api, failed) == "payment_failed"
    paid = _event("checkout.session.async_payment_succeeded", booking_id)
    assert await _outcome(api, paid) == "confirmed"


@pytest.mark.usefixtures("database_url")
async def test_refund_and_dispute_find_the_booking_of_their_payment(api: Api) -> None:
    booking_id = await _open(api)
    for kind in ("charge.refunded", "charge.dispute.created"):
        assert await _outcome(api, _event(kind, booking_id)) == "ignored"
    assert await _outcome(api, _event("payment_intent.succeeded", booking_id)) == "confirmed"
    await _persist(api)
    assert await _outcome(api, _event("charge.dispute.created", booking_id)) == "disputed"
    assert await _outcome(api, _event("charge.refunded", booking_id)) == "refunded"
    shown = await api.call("GET", f"{BOOKING}/{booking_id}", bearer("ann"))
    assert (shown.json()["status"], shown.json()["refundReason"]) == ("cancelled", "refunded")


@pytest.mark.usefixtures("database_url")
async def test_payment_of_another_amount_is_owed(api: Api) -> None:
    booking_id = await _open(api)
    event = _event("payment_intent.succeeded", booking_id, amount_received=1400)
    assert await _outcome(api, event) == "amount_differs"
    (payment,) = (await api.office.kept(booking_id)).payments  # type: ignore[arg-type]
    assert payment.owed_minor == 1400


async def test_event_without_a_booking_or_of_another_kind_is_ignored(api: Api) -> None:
    await _open(api)
    assert await _outcome(api, _event("payment_intent.succeeded", None)) == "ignored"
    other = {**_event("payment_intent.succeeded", None), "type": "invoice.paid"}
    assert await _outcome(api, other) == "ignored"


async def test_event_signed_with_another_secret_or_header_is_refused(api: Api) -> None:
    booking_id = await _open(api)
    body = json.dumps(_event("payment_intent.succeeded", booking_id)).encode()
    for headers in (
        {"stripe-signature": signature(body, secret="q" * 32)},
        {"stripe-signature": "", "payment-signature": signature(body)},
    ):
        answer = await api.call("POST", STRIPE, content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
