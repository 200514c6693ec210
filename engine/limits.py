"""Rate limits: how often a subject may call, counted in Redis for all processes.

A call of a sale carries its limits: the check runs inside the same script call, before anything
else, so a refused call has no effect and an allowed call costs no extra round trip. Calls that only
read send their limits in the same pipeline and read the result before they answer.

The limits a script carries are in the slot of its event, one bucket an event. A call that names an
unknown event also counts in one bucket for all such calls, because a client can invent event names
without end.
"""

from dataclasses import dataclass

from engine.keys import limit as limit_key
from engine.transport.wire import Argument


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` calls at once, then one every `interval_ms`, for one subject in one class."""

    name: str
    subject: str
    interval_ms: float
    burst: int


class LimitCheck:
    """The limits of one call, and after the call what the strictest of them has left."""

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self.limits = limits
        self.left: int | None = None
        self.full_in_ms = 0

    def keys(self, tag: str) -> list[str]:
        """The keys of the limits, in the slot of `tag`."""
        return [limit_key(tag, limit.name, limit.subject) for limit in self.limits]

    def arguments(self) -> list[Argument]:
        """What `lib/limits` reads behind a script's own arguments."""
        rates = [item for limit in self.limits for item in (str(limit.interval_ms), limit.burst)]
        return [*rates, len(self.limits)]

    def read(self, left: bytes, full_in_ms: bytes) -> None:
        """Store what the script returned."""
        self.left, self.full_in_ms = int(left), int(full_in_ms)
