"""Requests whose first answer is kept: the idempotency of calls whose script keeps none.

A hold keeps its request inside its own script, at no cost. What takes several steps, or happens
in Postgres, is kept here: one key a request, claimed by SET NX before the work and holding the
answer after it. A claim ends by itself, so a process that dies with a request leaves it open to
be tried again; a request that failed gives its claim back at once.
"""

from contextlib import suppress

from engine import keys
from engine.errors import EngineError, RequestInProgress, RequestReused
from engine.ids import CustomerId
from engine.transport.batcher import Batcher

CLAIM_MS = 60_000
"""Longer than the longest call takes."""
KEEP_MS = 86_400_000
DIGEST_BYTES = 16


class KeptAnswers:
    """Claims requests, keeps their answers, gives them again."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    async def begin(self, customer: CustomerId, request_id: str, digest: bytes) -> bytes | None:
        """Claim a request (None: it is the caller's to do), or give the answer that was kept.

        `digest` is of all that makes the request what it is.
        Raises: RequestReused, RequestInProgress, OutcomeUnknown, Unavailable, Overloaded.
        """
        key = keys.answered(customer, request_id)
        found: bytes | None = await self._batcher.ask(
            *("SET", key, digest, "NX", "GET", "PX", CLAIM_MS)
        )
        if found is None:
            return None
        if found[:DIGEST_BYTES] != digest:
            raise RequestReused
        if len(found) == DIGEST_BYTES:
            raise RequestInProgress("another call with this request id is not done yet")
        return found[DIGEST_BYTES:]

    async def keep(
        self, customer: CustomerId, request_id: str, digest: bytes, answer: bytes
    ) -> None:
        """Keep the answer of a claimed request. What was done stays done if Redis is away now."""
        key = keys.answered(customer, request_id)
        with suppress(EngineError):
            await self._batcher.ask("SET", key, digest + answer, "PX", KEEP_MS)

    async def give_back(self, customer: CustomerId, request_id: str) -> None:
        """End the claim of a request that failed: it may be tried again."""
        with suppress(EngineError):
            await self._batcher.ask("DEL", keys.answered(customer, request_id))
