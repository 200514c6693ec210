"""Examples of payments and webhooks, for the OpenAPI document: a refund after the gala."""

from typing import Any

from api import payment_notices, refunds, stripe_events, webhooks
from engine.booking_view import Message

_BOOKING = "gala:01JDTESTTESTTESTTESTTESTTE"
_REFUND = {
    "id": "ref_0123456789abcdef0123456789abcdef",
    "paymentId": "pi_1",
    "bookingId": _BOOKING,
    "amountMinor": 9800,
    "currency": "EUR",
    "reason": "cancelled",
    "dueAt": "2030-06-01T20:00:00.000Z",
    "eventId": "gala",
    "customerId": "acc_01JDTESTTESTTESTTESTTESTTE",
    "settledAt": "2030-06-03T09:00:00.000Z",
    "settledBy": "orla",
    "reference": "bank 77",
}
_NOTICE = {
    "id": "evt_1",
    "type": "payment.succeeded",
    "bookingId": _BOOKING,
    "outcome": "amount_differs",
    "receivedAt": "2030-06-01T19:31:00.000Z",
    "paymentId": "pi_1",
    "amountMinor": 980,
    "currency": "EUR",
}
_WEBHOOK = {
    "id": "01jdtesttesttesttesttestte",
    "ownerId": "orla",
    "url": "https://tickets.example.org/hook",
    "kinds": ["booking.confirmed", "refund.due"],
    "createdAt": "2030-05-01T09:00:00.000Z",
    "eventId": "gala",
    "disabledAt": None,
    "disabledWhy": None,
}
_DELIVERY = {
    "id": "msg_0123456789abcdef0123456789abcdef",
    "kind": "booking.confirmed",
    "eventId": "gala",
    "bookingId": _BOOKING,
    "state": "pending",
    "attemptCount": 1,
    "createdAt": "2030-06-01T19:31:00.000Z",
    "nextAttemptAt": "2030-06-01T19:31:05.000Z",
    "doneAt": None,
    "status": 503,
    "error": None,
}
_CONFIRMED = {
    "id": _BOOKING,
    "eventId": "gala",
    "customerId": "acc_01JDTESTTESTTESTTESTTESTTE",
    "status": "confirmed",
    "seatIds": ["gala:SC-A-1"],
    "areas": [],
    "amountMinor": 9800,
    "currency": "EUR",
    "heldAt": "2030-06-01T19:30:00.000Z",
    "expiresAt": "2030-06-01T19:45:00.000Z",
    "late": False,
    "confirmedAt": "2030-06-01T19:31:00.000Z",
    "endedAt": None,
    "refundMinor": 0,
    "refundReason": None,
    "paymentProcessing": False,
    "together": None,
}

PAYMENTS: dict[type, Any] = {
    payment_notices.NoticeBody: {
        "id": "evt_1",
        "type": "payment.succeeded",
        "data": {
            "bookingId": _BOOKING,
            "paymentId": "pi_1",
            "amountMinor": 9800,
            "currency": "EUR",
        },
    },
    stripe_events.StripeEventBody: {
        "id": "evt_1",
        "type": "payment_intent.succeeded",
        "data": {
            "object": {
                "id": "pi_1",
                "object": "payment_intent",
                "currency": "eur",
                "metadata": {"bookingId": _BOOKING},
                "amount": 9800,
                "amount_received": 9800,
            }
        },
    },
    payment_notices.NoticeTaken: {"outcome": "confirmed"},
    payment_notices.NoticeList: {"data": [_NOTICE], "next": None},
    refunds.SettleBody: {"reference": "bank 77"},
    refunds.RefundView: _REFUND,
    refunds.RefundList: {"data": [_REFUND], "next": None},
    webhooks.WebhookBody: {
        "url": "https://tickets.example.org/hook",
        "kinds": ["booking.confirmed", "refund.due"],
        "eventId": "gala",
    },
    webhooks.WebhookView: _WEBHOOK,
    webhooks.WebhookCreated: {
        **_WEBHOOK,
        "secret": "whsec_a2V5IG9mIG5vYm9keSwgMzIgYnl0ZXMgbG9uZyE=",
    },
    webhooks.WebhookList: {"data": [_WEBHOOK], "next": None},
    webhooks.DeliveryList: {"data": [_DELIVERY], "next": None},
    webhooks.ReplayBody: {"from": "2030-06-01T19:30:00Z"},
    webhooks.ReplayView: {"count": 12, "nextFrom": None},
    Message: {
        "type": "booking.confirmed",
        "timestamp": "2030-06-01T19:31:00.000Z",
        "data": _CONFIRMED,
    },
}
