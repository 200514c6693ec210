"""Signatures of a payment provider: `t=<Unix s>,v1=<hex>`, the scheme of Stripe.

The HMAC-SHA256 is over `<t>.<body>`, with the body exactly as received. A header may have several
`v1`, and several secrets may be set, so that either side can rotate its secret without losing a
notice. Other schemes in the header are ignored.
"""

import hmac
import re
import time
from collections.abc import Mapping

from api.http.problems import Problem
from engine.settings import checks

HEADER = b"payment-signature"
STRIPE_HEADER = b"stripe-signature"
TOLERANCE_S = 300
"""How far `t` may differ from the local clock, either way."""

_SIGNATURES_MAX = 8
_TIME = re.compile(rb"[0-9]{1,12}")


class PaymentSignatures:
    """Verifies the signatures in one header. Raises Misconfigured for a secret under 32 bytes."""

    def __init__(
        self, secrets: str, header: bytes = HEADER, variable: str = "PAYMENT_WEBHOOK_SECRET"
    ) -> None:
        self._header, self._variable = header, variable
        checks.refuse(variable, secrets, checks.listed(checks.secret))
        self._secrets = [secret.encode() for secret in checks.parts(secrets)]

    def check(self, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Raises the problems `signature_invalid`, and `not_found` where no secret is set."""
        if not self._secrets:
            raise Problem("not_found", f"payment notices are disabled: {self._variable} is not set")
        header = headers.get(self._header)
        if header is None:
            raise _invalid(f"the header {self._header.decode().title()} is missing")
        timestamp, signatures = _parse(header)
        expected = [
            hmac.new(secret, timestamp + b"." + body, "sha256").hexdigest().encode()
            for secret in self._secrets
        ]
        matches = [hmac.compare_digest(one, other) for one in expected for other in signatures]
        if not any(matches):
            raise _invalid("the signature does not match the body")
        if abs(time.time() - int(timestamp)) > TOLERANCE_S:
            raise _invalid(f"the timestamp is more than {TOLERANCE_S} s off")


def _parse(header: bytes) -> tuple[bytes, list[bytes]]:
    """The timestamp and the `v1` signatures of a header."""
    pairs = [part.strip().partition(b"=") for part in header.split(b",")]
    times = [value for name, _, value in pairs if name == b"t"]
    signatures = [value for name, _, value in pairs if name == b"v1"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise _invalid("the header needs exactly one t=<seconds>")
    if not 1 <= len(signatures) <= _SIGNATURES_MAX:
        raise _invalid(f"the header needs 1 to {_SIGNATURES_MAX} v1=<signature>")
    return times[0], signatures


def _invalid(detail: str) -> Problem:
    challenge = (b"www-authenticate", b"Payment-Signature")
    return Problem("signature_invalid", detail, headers=(challenge,))
