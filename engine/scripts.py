"""The only EVALSHA caller: runs a script by name and returns its answer or its refusal.

The files are read when a process starts. Each include of a script is put in front of it once, after
its own includes. A script is addressed by the hash of its text, so two releases can run side by
side. After a flush of the script cache Redis answers NOSCRIPT: nothing ran, so the script is sent
as text.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha1
from importlib import resources
from time import perf_counter
from typing import NamedTuple, TypeAlias

from engine.errors import (
    REFUSALS,
    ErrorReply,
    OtherFormat,
    Restoring,
    ScriptDefect,
    Unavailable,
)
from engine.keys import LIMITS
from engine.limits import LimitCheck
from engine.metrics import metrics
from engine.metrics.per_tick import PerTick
from engine.metrics.refusal_counter import RefusalCounter
from engine.transport.batcher import Batcher
from engine.transport.wire import Answer, Argument

_INCLUDE = re.compile(r"^-- @include (\S+)\n", re.MULTILINE)
TAKE_LIMITS = "take_limits"
OK, UNANSWERED = "ok", "unanswered"
_CODES = {code.encode(): code.lower() for code in ("OK", *REFUSALS)}
_GUARDED = "return limits.guard(script, KEYS, ARGV)\n"


Outcome: TypeAlias = tuple[str, list[bytes]]
"""The code of a reply in lower case, and the values after it."""


class Script(NamedTuple):
    """The assembled text of a script and its hash."""

    name: str
    text: str
    sha: str


@cache
def load(name: str, *, limited: bool = False) -> Script:
    """The script `lua/<name>.lua` with its includes. Raises KeyError.

    `limited` puts `limits.guard` around it: see `lua/lib/limits.lua`.
    """
    text = _assemble(name, [])
    if limited:
        guard = _assemble("lib/limits", [])
        text = f"{guard}local function script()\n{text}end\n{_GUARDED}"
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def names() -> list[str]:
    """Every script, in order."""
    return sorted(name for name in read_files() if "/" not in name)


@cache
def read_files() -> Mapping[str, str]:
    """The text of every Lua file, by its name without the suffix.

    All are read at once, when a process starts: an upgrade on disk changes neither the scripts of
    a running process nor half of them.
    """
    folder = resources.files("lua")
    return {
        f"{prefix}{file.name[:-4]}": file.read_text(encoding="utf-8")
        for prefix, place in (("", folder), ("lib/", folder / "lib"))
        for file in place.iterdir()
        if file.name.endswith(".lua")
    }


def _assemble(name: str, included: list[str]) -> str:
    text = read_files()[name]
    parts = []
    for wanted in _INCLUDE.findall(text):
        if wanted not in included:
            included.append(wanted)
            parts.append(_assemble(wanted, included))
    return "".join(parts) + _INCLUDE.sub("", text)


class Scripts:
    """Runs scripts through the batcher."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._sent: dict[str, Answer] = {}  # script texts being sent, by hash

    def script(self, name: str, *, limited: bool = False) -> Script:
        """The text and hash that `name` stands for here."""
        return load(name, limited=limited)

    async def run(
        self,
        name: str,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        limit_check: LimitCheck | None = None,
    ) -> list[bytes]:
        """What the script returned after "OK".

        Raises: Refused by its code, OutcomeUnknown, Unavailable, Overloaded, Restoring,
        ScriptDefect.
        """
        return checked(*await self.outcome(name, keys, arguments, limit_check))

    async def outcome(
        self,
        name: str,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        limit_check: LimitCheck | None = None,
    ) -> Outcome:
        """As `run`, but a refusal is returned: its code in lower case, and what it names.

        A `limit_check` runs in front of the script. If the code is rate_limited, the script did
        not run.
        """
        if limit_check is None:
            return await self.call(self.script(name), keys, arguments)
        tag = keys[0].partition(":")[0] if keys else LIMITS
        code, answer = await self.call(
            self.script(name, limited=name != TAKE_LIMITS),
            [*keys, *limit_check.keys(tag)],
            [*arguments, *limit_check.arguments()],
        )
        return await self.read_limits(limit_check, code, answer)

    async def read_limits(self, limit_check: LimitCheck, code: str, answer: list[bytes]) -> Outcome:
        """Take what the limits have left from the end of a reply.

        A call that names an unknown event counts once more, in the bucket of all such calls.
        """
        if code != "rate_limited":
            *answer, left, full_in_ms = answer
            limit_check.read(left, full_in_ms)
        if code == "event_not_found":
            counted, limited = await self.outcome(TAKE_LIMITS, [], [""], limit_check)
            return (code, answer) if counted == OK else (counted, limited)
        return code, answer

    async def call(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> Outcome:
        """The code a script returned, in lower case, and the values after it.

        Raises: OutcomeUnknown, Unavailable, Overloaded, Restoring, ScriptDefect.
        """
        started = perf_counter()
        code, answer = UNANSWERED, list[bytes]()
        try:
            call = (len(keys), *keys, *arguments)
            reply = await self._batcher.call(("EVALSHA", script.sha, *call))
            if is_unknown(reply):
                reply = await self.run_uncached(script, call)
            code, answer = outcome_of(script.name, reply)
        finally:
            count_call(script.name, _event_of(script, keys), code, perf_counter() - started)
        return code, answer

    async def run_uncached(self, script: Script, call: tuple[Argument, ...]) -> object:
        """Send the text once for all concurrent calls (single-flight): there may be thousands.

        `call` is the number of keys, the keys and the arguments. Raises: OutcomeUnknown,
        Unavailable, Overloaded.
        """
        sent = self._sent.get(script.sha)
        if sent is not None:
            await asyncio.wait((sent,))
            reply = await self._batcher.call(("EVALSHA", script.sha, *call))
            if not is_unknown(reply):
                return reply
            return await self._batcher.call(("EVAL", script.text, *call))
        sent = self._sent[script.sha] = self._batcher.call(("EVAL", script.text, *call))
        try:
            return await sent
        finally:
            del self._sent[script.sha]


def is_unknown(reply: object) -> bool:
    """Whether Redis does not know the script: nothing ran."""
    return isinstance(reply, ErrorReply) and reply.prefix == "NOSCRIPT"


def count_call(script: str, event: str, code: str, seconds: float) -> None:
    """Add one call of a script to the metrics. Its event is "" for limits."""
    _timed(script, code).add(seconds)
    if code not in (OK, UNANSWERED):
        _refusals.add(event, code)


@cache
def _timed(name: str, code: str) -> PerTick:
    """The metrics of one script and outcome: looking them up costs more than adding to them."""
    return PerTick(metrics.calls.labels(name, code), metrics.call_duration.labels(name))


_refusals = RefusalCounter()


def _event_of(script: Script, keys: Sequence[str]) -> str:
    """The event whose keys a script is called with; "" for limits, which belong to no event."""
    if script.name == TAKE_LIMITS or not keys:
        return ""
    return keys[0].partition("}:")[0][1:]


def checked(code: str, answer: list[bytes]) -> list[bytes]:
    """The values after "OK"; any other code is raised as its refusal."""
    if code == OK:
        return answer
    raise REFUSALS[code.upper()](*(item.decode() for item in answer))


def outcome_of(name: str, reply: object) -> Outcome:
    """What a script replied. Raises: Unavailable, Restoring, ScriptDefect."""
    if isinstance(reply, list) and reply and isinstance(reply[0], bytes):
        code = _CODES.get(reply[0])
        if code:
            return code, reply[1:]
        if reply[0] == b"DAMAGED":
            raise ScriptDefect(f"{name}: {reply[1].decode(errors='replace')}")
        raise ScriptDefect(f"{name} returned {reply[0].decode()!r}, which its header does not name")
    if isinstance(reply, ErrorReply) and reply.is_transient:
        raise Unavailable(f"Redis cannot run {name}: {reply}")
    if isinstance(reply, ErrorReply) and reply.prefix == "FORMAT":
        raise OtherFormat(f"{name}: {str(reply).removeprefix('FORMAT ')}")
    if isinstance(reply, ErrorReply) and reply.prefix == "RESTORING":
        raise Restoring(f"{name}: the event is fenced until it is restored")
    raise ScriptDefect(f"{name}: {reply!r}")
