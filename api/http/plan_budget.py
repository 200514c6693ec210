"""The memory that plans in flight may occupy: for the whole process, and for one caller.

A plan may be 256 times as large as any other body and arrive as slowly as its client likes, so
plans are counted from their headers on, before anything of them is read. A plan that declares no
length counts with the most it may have.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import Overloaded

PLANS_BYTES_MAX = 64 * 2**20
PLANS_PER_CALLER_MAX = 2


class PlanBudget:
    """Counts the plans of one process. Both limits answer `overloaded`, and nothing was read."""

    def __init__(self) -> None:
        self._bytes = 0
        self._per_caller: Counter[str] = Counter()

    @contextmanager
    def taken(self, caller: str, bytes_count: int) -> Iterator[None]:
        """Hold this much of the budget until the block ends. Raises Overloaded."""
        if self._per_caller[caller] >= PLANS_PER_CALLER_MAX:
            raise Overloaded(f"{PLANS_PER_CALLER_MAX} plans of this caller are on their way")
        if self._bytes + bytes_count > PLANS_BYTES_MAX:
            raise Overloaded(f"plans of {PLANS_BYTES_MAX // 2**20} MiB are on their way")
        self._bytes += bytes_count
        self._per_caller[caller] += 1
        try:
            yield
        finally:
            self._bytes -= bytes_count
            self._per_caller[caller] -= 1
            if not self._per_caller[caller]:
                del self._per_caller[caller]
