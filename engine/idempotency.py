"""Idempotency of the calls whose script does not store their first answer.

A hold stores its request inside its own script, at no cost. Calls of several steps, and calls in
Postgres, are stored here: one key a request, claimed by SET NX before the work and overwritten by
the answer after it. A claim expires, so a request whose process died can be tried again; a request
that fails releases its claim at once.
"""

from contextlib import suppress

from engine import keys
from engine.errors import EngineError, RequestInProgress, RequestReused
from engine.ids import CustomerId
from engine.transport.batcher import Batcher

CLAIM_MS = 60_000
"""Longer than the longest call."""
KEEP_MS = 86_400_000
DIGEST_BYTES = 16


class KeptAnswers:
    """Claims requests, and stores and returns their answers."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    async def begin(self, customer: CustomerId, request_id: str, digest: bytes) -> bytes | None:
        """Claim a request and return None, or return the answer that was kept.

        `digest` covers everything that tells two requests apart.
        Raises: RequestReused, RequestInProgress, OutcomeUnknown, Unavailable, Overloaded.
        """
        key = keys.answered(customer, request_id)
        found: bytes | None = await self._batcher.ask(
            "SET",
            key,
            digest,
            "NX",
            "GET",
            "PX",
            CLAIM_MS,
        )
        if found is None:
            return None
        if found[:DIGEST_BYTES] != digest:
            raise RequestReused
        if len(found) == DIGEST_BYTES:
            raise RequestInProgress("another call with this request id is still running")
        return found[DIGEST_BYTES:]

    async def keep(
        self, customer: CustomerId, request_id: str, digest: bytes, answer: bytes
    ) -> None:
        """Store the answer of a claimed request. The work is done even if Redis is away."""
        key = keys.answered(customer, request_id)
        with suppress(EngineError):
            await self._batcher.ask("SET", key, digest + answer, "PX", KEEP_MS)

    async def release_claim(self, customer: CustomerId, request_id: str) -> None:
        """Release the claim of a request that failed: it may be tried again."""
        with suppress(EngineError):
            await self._batcher.ask("DEL", keys.answered(customer, request_id))
