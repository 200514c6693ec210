"""The parts of the OpenAPI document that no struct describes: headers, ids, problems, the intro."""

from importlib.metadata import version
from typing import Any

from api.http.idempotency import PATTERN as KEY_PATTERN
from api.http.permissions import Permission
from engine.ids import EVENT_PATTERN, ULID_PATTERN
from engine.ports.webhooks import MessageKind

_Parts = dict[str, dict[str, Any]]

INFO = {
    "title": "Ticket wars",
    "version": version("ticket-wars"),
    "summary": "Hold, pay and cancel tickets where demand is far above supply.",
    "description": (
        "Single resources are plain JSON, lists are `{data, next}`, where `next` is the cursor of "
        "the next page or null. Names are camelCase, money is in minor units, times are RFC 3339 "
        "in UTC. An unknown field or parameter is refused, and so is a body that a call does not "
        "take. Every field of a response is always there, null where there is nothing to say; a "
        "field that may be left out says so.\n\n"
        "Every error is `application/problem+json` (RFC 9457) with a stable `code`; its `type` is "
        "the address of a page that explains the code. Every "
        "response has an `X-Request-ID`: the one that the client sent, or a new one.\n\n"
        "A POST without a response may be retried: with the same `Idempotency-Key` it has "
        "one effect; a call that does not take this header is idempotent by itself."
    ),
    "contact": {"name": "The operator of this server"},
    "license": {
        "name": "Apache-2.0",
        "url": "https://www.apache.org/licenses/LICENSE-2.0",
    },
}

SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token, from login or from `engine token`.",
    }
}

PATH_PARAMETERS: _Parts = {
    "event_id": {
        "description": "An event.",
        "schema": {"type": "string", "pattern": f"^{EVENT_PATTERN}$"},
        "example": "gala",
    },
    "booking_id": {
        "description": "A booking: `<event>:<ulid>`.",
        "schema": {"type": "string", "pattern": f"^{EVENT_PATTERN}:{ULID_PATTERN}$"},
        "example": "gala:01JDTESTTESTTESTTESTTESTTE",
    },
    "refund_id": {
        "description": "A refund obligation, `ref_…`; or its booking, where that has only one.",
        "schema": {
            "type": "string",
            "pattern": f"^(ref_[0-9a-f]{{32}}|{EVENT_PATTERN}:{ULID_PATTERN})$",
        },
        "example": "gala:01JDTESTTESTTESTTESTTESTTE",
    },
    "webhook_id": {
        "description": "A webhook.",
        "schema": {"type": "string", "pattern": "^[0-9a-z]{26}$"},
        "example": "01jdtesttesttesttesttestte",
    },
    "role_id": {
        "description": "A role: `USER`, `ORGANIZER`, `ADMIN`.",
        "schema": {"type": "string", "pattern": "^[A-Z][A-Z_]{0,31}$"},
        "example": "ORGANIZER",
    },
    "permission": {
        "description": "The name of a permission.",
        "schema": {"type": "string", "enum": [str(permission) for permission in Permission]},
        "example": "event:create:own",
    },
}

_ENTITY_TAGS = r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$'

REQUEST_HEADERS: _Parts = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": (
            "A text that the client chooses, new for each operation, such as a UUID. The same key "
            "has the same outcome for 24 hours, that of a hold for one hour; with another body it "
            "is refused as `request_reused`."
        ),
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": f"^{KEY_PATTERN}$",
        },
    },
    "Payment-Signature": {
        "name": "Payment-Signature",
        "in": "header",
        "required": True,
        "description": (
            "`t=<Unix seconds>,v1=<hex>`: HMAC-SHA256 over `<t>.<body>` with the shared "
            "secret, at most 300 s old."
        ),
        "schema": {"type": "string"},
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": (
            "ETags, or `*`: the change is made only if the event has one of them; otherwise the "
            "response is 412. A weak tag never matches."
        ),
        "schema": {"type": "string", "pattern": _ENTITY_TAGS},
    },
    "Stripe-Signature": {
        "name": "Stripe-Signature",
        "in": "header",
        "required": True,
        "description": "`t=<Unix seconds>,v1=<hex>`, as Stripe signs its events.",
        "schema": {"type": "string"},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": (
            "The ETag of the client's copy: the response is 304, or 412 to a change, if the "
            "resource still has it."
        ),
        "schema": {"type": "string"},
    },
}

HEADERS: _Parts = {
    "ETag": {
        "description": "Identifies this state of the resource, for If-None-Match and If-Match.",
        "schema": {"type": "string"},
    },
    "Location": {
        "description": "The URL of the new resource.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {
        "description": "Seconds to wait before a retry.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit": {
        "description": 'The state of the strictest limit: `"name";r=calls left;t=seconds`.',
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": 'Every limit of the call: `"name";q=calls;w=seconds`.',
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "description": "What is wrong with the token.",
        "schema": {"type": "string"},
    },
    "X-Request-ID": {
        "description": "Identifies this request in the log; the client's own if it sent one.",
        "schema": {"type": "string"},
        "required": True,
    },
}

MESSAGES = {
    MessageKind.BOOKING_CONFIRMED: "A booking is paid and its places are sold",
    MessageKind.BOOKING_EXPIRED: "A booking was not paid in time",
    MessageKind.BOOKING_CANCELLED: "A confirmed booking was cancelled",
    MessageKind.REFUND_DUE: "Money that was taken must be paid back",
}
MESSAGE_DESCRIPTION = (
    "The deliverer posts this to every webhook that asked for it, as Standard Webhooks describes. "
    "Verify the signature, remember the `webhook-id`s that you have processed, and respond 2xx "
    "within 15 s. Delivery is at-least-once."
)
"""What is said of every message; see docs/webhooks.md."""

MESSAGE_HEADERS: _Parts = {
    "webhook-id": {
        "name": "webhook-id",
        "in": "header",
        "required": True,
        "description": "Identifies the message; the same each time it is sent, replays included.",
        "schema": {"type": "string", "pattern": "^msg_[0-9a-f]{32}$"},
        "example": "msg_0123456789abcdef0123456789abcdef",
    },
    "webhook-timestamp": {
        "name": "webhook-timestamp",
        "in": "header",
        "required": True,
        "description": "When this attempt was sent, in Unix seconds.",
        "schema": {"type": "integer"},
        "example": 1906572660,
    },
    "webhook-signature": {
        "name": "webhook-signature",
        "in": "header",
        "required": True,
        "description": (
            "`v1,<base64>`: HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`, keyed with "
            "the base64 part of the webhook's secret after `whsec_`."
        ),
        "schema": {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]+=*$"},
        "example": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    },
}

SCHEMA_NAMES = {
    "AreaRequest": "AreaWish",
    "AreaView": "AreaShown",
    "AssignedView": "AssignedShown",
    "AvailabilityView": "AvailabilityShown",
    "BookingView": "BookingShown",
    "CountsView": "CountsShown",
    "DeliveryView": "DeliveryShown",
    "EventView": "EventShown",
    "HealthView": "HealthShown",
    "NewEventView": "NewEventShown",
    "NoticePayment": "Payment",
    "NoticeView": "NoticeShown",
    "PartView": "PartShown",
    "RefundView": "RefundShown",
    "ReplayView": "ReplayShown",
    "RoleView": "RoleShown",
    "SalesView": "SalesShown",
    "SeatView": "SeatShown",
    "TokensView": "TokensShown",
    "WebhookView": "WebhookShown",
}
"""Published schema names by class name, where the two differ. Generated clients use the published
names, so renaming a class must not rename its schema."""

TAGS = {
    "page": "docs",
    "payment_notices": "notices",
    "stripe_events": "notices",
    "confirm_booking": "payments",
}
"""Published tags by route or module name, where they differ from the module's name."""

TAG_DESCRIPTIONS = {
    "availability": "The layout of an event and the map of what is free.",
    "bookings": "Hold, read, extend, release and cancel places: a booking is one id from hold to "
    "ticket.",
    "docs": "This document.",
    "events": "Events of an organiser: create them from a plan, add and block seats, open and "
    "close the sales.",
    "health": "Liveness and readiness, for load balancers and orchestrators.",
    "metrics": "Metrics of this process for Prometheus.",
    "notices": "Signed notices of the payment provider, and the record of them.",
    "payments": "Confirm that a booking is paid.",
    "recovery": "Forgotten passwords.",
    "refunds": "Refund obligations: money that was taken and must be paid back.",
    "registration": "Register an account and verify its address.",
    "roles": "Roles, their permissions and the accounts that have them.",
    "sales": "What was sold, by category.",
    "seats": "Available seats, spread over the house.",
    "sessions": "Log in, refresh and log out.",
    "webhooks": "Where an organiser's messages go, their deliveries, and the messages themselves.",
}
"""What each published tag is about."""

_TEXTS = {"type": "array", "items": {"type": "string"}}

PROBLEM: dict[str, Any] = {
    "title": "ProblemDetails",
    "description": "Why a call was refused or failed. Fields of single codes are optional.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "The address of a page that explains the code.",
        },
        "title": {"type": "string", "description": "The same for every problem of a code."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "For people; it may change."},
        "code": {"type": "string", "description": "For programs; it never changes."},
        "otherField": {"type": "string", "description": "The term that `field` contradicts."},
        "field": {"type": "string", "description": "Which field, parameter or header."},
        "permission": {"type": "string", "description": "Which permission is missing."},
        "problems": {**_TEXTS, "description": "Every error in a plan."},
        "seatIds": {**_TEXTS, "description": "Which seats."},
        "areaIds": {**_TEXTS, "description": "Which standing areas."},
        "categoryIds": {**_TEXTS, "description": "Which categories."},
        "sectionIds": {**_TEXTS, "description": "Which sections."},
        "largest": {
            "type": "integer",
            "description": "The largest party that fits side by side, by the same filters; 0 with "
            "wheelchair places and beside a booking.",
        },
        "freeByCategory": {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "description": "Free places of each category.",
        },
        "suggestions": {
            "type": "array",
            "items": _TEXTS,
            "description": "Selections of as many seats beside, which leave none alone.",
        },
        "limit": {"type": "integer", "description": "The maximum."},
        "count": {"type": "integer", "description": "The current count."},
        "reason": {"type": "string"},
        "expiresAt": {"type": "string", "description": "The current deadline."},
        "refundMinor": {"type": "integer"},
        "refundReason": {"type": "string"},
        "bookingStatus": {"type": "string"},
        "held": {"type": "integer"},
        "sold": {"type": "integer"},
        "retryAfterMs": {"type": "integer"},
    },
}
