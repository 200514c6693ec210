"""What the OpenAPI document says that stands in no struct: headers, ids, problems, the opening."""

from typing import Any

from api.http.idempotency import PATTERN as KEY_PATTERN
from api.http.permissions import Permission
from engine.ids import EVENT_PATTERN, ULID_PATTERN

_Parts = dict[str, dict[str, Any]]

INFO = {
    "title": "Ticket wars",
    "version": "1",
    "summary": "Hold, pay and cancel tickets where demand is far above supply.",
    "description": (
        "Single resources are plain JSON, lists are `{data, next}`, where `next` is the cursor of "
        "the next page or null. Names are camelCase, money is in minor units, times are RFC 3339 "
        "in UTC. An unknown field or parameter is refused.\n\n"
        "Whatever goes wrong is `application/problem+json` (RFC 9457) with a stable `code`. Every "
        "answer has an `X-Request-ID`: the one that was sent, or a new one.\n\n"
        "A POST that was not answered may be sent again: with the same `Idempotency-Key` it has "
        "one effect; where no such header is named, the call is repeatable by itself."
    ),
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
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
        "description": "A refund obligation, named as its booking.",
        "schema": {"type": "string", "pattern": f"^{EVENT_PATTERN}:{ULID_PATTERN}$"},
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

REQUEST_HEADERS: _Parts = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": (
            "Any text of the client's own, new for each thing it wants done, as a UUID. The same "
            "key has the same outcome for 24 hours; with another body it is refused as "
            "`request_reused`."
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
            "`t=<Unix seconds>,v1=<hex>`: HMAC-SHA256 over `<t>.<body>` with the secret that was "
            "agreed upon, at most 300 s old."
        ),
        "schema": {"type": "string"},
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
        "description": "The ETag of what the client has; it is answered 304 if nothing changed.",
        "schema": {"type": "string"},
    },
}

HEADERS: _Parts = {
    "ETag": {
        "description": "Names this state of the answer, for If-None-Match.",
        "schema": {"type": "string"},
    },
    "Location": {
        "description": "Where what was made can be read.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the call is tried again.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit": {
        "description": 'How the strictest of them stands: `"name";r=calls left;t=seconds`.',
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": 'Each limit of the call: `"name";q=calls;w=seconds`.',
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {
        "description": "What is wrong with the token.",
        "schema": {"type": "string"},
    },
    "X-Request-ID": {
        "description": "Names this request in the log; the client's own if it sent one.",
        "schema": {"type": "string"},
        "required": True,
    },
}

_TEXTS = {"type": "array", "items": {"type": "string"}}

PROBLEM: dict[str, Any] = {
    "title": "ProblemDetails",
    "description": "Why a call was refused, or failed. What a code tells besides is optional.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string", "description": "One for each code."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "For people; it may change."},
        "code": {"type": "string", "description": "For programs; it never changes."},
        "field": {"type": "string", "description": "Which field, parameter or header."},
        "permission": {"type": "string", "description": "Which permission is missing."},
        "problems": {**_TEXTS, "description": "Every flaw of a plan."},
        "seatIds": {**_TEXTS, "description": "Which seats."},
        "areaIds": {**_TEXTS, "description": "Which standing areas."},
        "limit": {"type": "integer", "description": "The most there may be."},
        "count": {"type": "integer", "description": "How many there are."},
        "reason": {"type": "string"},
        "expiresAt": {"type": "string", "description": "The deadline that stands."},
        "refundMinor": {"type": "integer"},
        "refundReason": {"type": "string"},
        "bookingStatus": {"type": "string"},
        "held": {"type": "integer"},
        "sold": {"type": "integer"},
        "retryAfterMs": {"type": "integer"},
    },
}
