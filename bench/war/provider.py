"""The payment provider of a war: takes the money of the buyers and reports it in signed notices.

Providers deliver a notice at least once and in any order, and customers sometimes pay twice or a
wrong amount. So each booking is paid in one of COURSES, in turn. The signature is made here again
rather than with the code of the API: a provider shares nothing with it but the secret.
"""

import hmac
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import NamedTuple
from uuid import uuid4

import msgspec

from bench.war.tally import BuyerAnswer, Charge
from engine.errors import Unavailable
from engine.ports.payments import NoticeKind

Post = Callable[[str, bytes, Mapping[str, str]], tuple[int, bytes]]

PATH = "/api/v1/payment/webhook"
CHECK_TYPE = "war.check"
"""A type of notice that the API ignores: it checks the signature and records nothing."""


class PlannedNotice(NamedTuple):
    """One notice of a course. `payment`: which payment of the booking; `extra_minor`: how much more
    than the price was paid; `late`: it is sent after the deadline of the booking.
    """

    kind: NoticeKind = NoticeKind.SUCCEEDED
    payment: int = 1
    extra_minor: int = 0
    late: bool = False


_PAID, _PAID_LATE = PlannedNotice(), PlannedNotice(late=True)
_AGAIN, _AGAIN_LATE = PlannedNotice(payment=2), PlannedNotice(payment=2, late=True)
_FAILED, _PROCESSING = PlannedNotice(NoticeKind.FAILED), PlannedNotice(NoticeKind.PROCESSING)
_WRONG = PlannedNotice(extra_minor=100)

COURSES: tuple[tuple[PlannedNotice, ...], ...] = (
    (_PAID,),
    (_PAID, _AGAIN),  # paid twice
    (_PAID, _PAID, _PAID_LATE),  # repeated, at once and later
    (_WRONG, _AGAIN),  # a wrong amount, then the price
    (_PAID,),
    (_PAID, _FAILED, _PROCESSING),  # out of order: both are from before the payment
    (_PAID_LATE,),
    (_PAID,),
    (_PAID_LATE, _AGAIN_LATE, _PAID_LATE),  # twice, too late, and repeated
    (_FAILED, _PAID),
)
"""The notices of one booking each. Equal words of a course are one notice, sent again."""


class WarNotice(NamedTuple):
    """A notice, to be sent at `due_s` since the war began, or later."""

    due_s: float
    id: str
    kind: NoticeKind
    charge: Charge


class WarProvider:
    """One for all buyers of a war; the courses take turns. `hold_ttl_s`: how long a hold lasts.

    `post` sends a body with headers to a path of the API; returns status and body, or raises
    Unavailable.
    """

    def __init__(self, post: Post, secret: str, hold_ttl_s: float) -> None:
        self._post = post
        self._secret = secret
        self._hold_ttl_s = hold_ttl_s
        self._name = uuid4().hex[:8]
        self._bookings = count()

    def charge(
        self, booking_id: str, amount_minor: int, currency: str, now_s: float
    ) -> list[WarNotice]:
        """Take the money for a booking; returns the notices about it in the sequence of sending."""
        number = next(self._bookings)
        course = COURSES[number % len(COURSES)]
        return [
            WarNotice(
                now_s + self._hold_ttl_s if planned.late else now_s,
                f"evt-{self._name}-{number}-{planned.payment}-{planned.kind}",
                planned.kind,
                Charge(
                    booking_id,
                    f"pay-{self._name}-{number}-{planned.payment}",
                    amount_minor + planned.extra_minor,
                    currency,
                ),
            )
            for planned in course
        ]

    def send(self, notice: WarNotice, at_s: float) -> BuyerAnswer:
        """Send a notice, signed now, over a connection of its own. `at_s`: since the war began."""
        body = msgspec.json.encode({"id": notice.id, "type": notice.kind, "data": notice.charge})
        headers = {"Payment-Signature": signature_of(self._secret, body)}
        began_s = time.perf_counter()
        try:
            status, reply = self._post(PATH, body, headers)
        except Unavailable as error:
            status, reply = 0, type(error.__cause__).__name__.encode()
        return BuyerAnswer(status, reply, (time.perf_counter() - began_s) * 1000, at_s=at_s)


def signature_of(secret: str, body: bytes) -> str:
    """The header Payment-Signature of a body that is sent now.

    `secret` may be several separated by a comma, as during a rotation: the first one signs.
    """
    key = secret.partition(",")[0].strip().encode()
    at = str(int(time.time()))
    digest = hmac.new(key, f"{at}.".encode() + body, "sha256").hexdigest()
    return f"t={at},v1={digest}"
