"""Rate limits: who may call how often, counted in Redis for all processes.

A call of a sale carries its limits along: the check runs inside the same script call, before
anything else, so a refused call has no effect and an allowed one costs no round trip. Calls that
only read send their limits in the same pipeline and look at the verdict before they answer.

The limits that ride stand in the slot of the event, one bucket an event. A call that names an event
that is none counts besides in the one bucket of all such calls: names can be made up without end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.keys import LIMITS
from engine.keys import limit as limit_key
from engine.scripts import Scripts, load
from engine.transport.wire import Argument

TAKE = "take_limits"


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` calls at once, then one every `interval_ms`, for one subject in one class."""

    name: str
    subject: str
    interval_ms: float
    burst: int


class LimitCheck:
    """The limits one call is under, and how the strictest of them stands after it."""

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
        """Take over what the script said."""
        self.left, self.full_in_ms = int(left), int(full_in_ms)


class LimitedScripts(Scripts):
    """Runs scripts as `Scripts` does, each under the limits of one meter."""

    def __init__(self, scripts: Scripts, meter: LimitCheck) -> None:
        super().__init__(scripts.batcher, scripts._sent)
        self._meter = meter

    async def outcome(
        self, name: str, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> tuple[str, list[bytes]]:
        """As `Scripts.outcome`. The code may be rate_limited, and then nothing has happened."""
        tag = keys[0].partition(":")[0] if keys else LIMITS
        script = load(name, limited=name != TAKE)
        code, answer = await self.call(
            script, [*keys, *self._meter.keys(tag)], [*arguments, *self._meter.arguments()]
        )
        if code != "rate_limited":
            *answer, left, full_in_ms = answer
            self._meter.read(left, full_in_ms)
        if code == "event_not_found":
            counted, told = await self.outcome(TAKE, [], [""])
            return (code, answer) if counted == "ok" else (counted, told)
        return code, answer


class Limits:
    """Counts calls that do not carry their limits themselves."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def take_limits(self, meter: LimitCheck) -> None:
        """Count one call. Raises: RateLimited."""
        await LimitedScripts(self._scripts, meter).run(TAKE, [], [""])
