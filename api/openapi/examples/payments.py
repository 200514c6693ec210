"""Examples of payments and webhooks, for the OpenAPI document: a refund after the gala."""

from typing import Any

from api import payment_notices, refunds, webhooks

_BOOKING = "gala:01JDTESTTESTTESTTESTTESTTE"
_REFUND = {
    "bookingId": _BOOKING,
    "eventId": "gala",
    "customerId": "acc_01JDTESTTESTTESTTESTTESTTE",
    "amountMinor": 9800,
    "currency": "EUR",
    "reason": "cancelled",
    "dueAt": "2030-06-01T20:00:00.000Z",
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
    "status": 503,
}

PAYMENTS: dict[type, Any] = {
    payment_notices.NoticeBody: {
        "id": "evt_1",
        "type": "payment.succeeded",
        "data": {"bookingId": _BOOKING, "amountMinor": 9800, "currency": "EUR"},
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
    webhooks.ReplayView: {"count": 12},
}
