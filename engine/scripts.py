"""The only EVALSHA caller: a script by name, an answer or a refusal.

Includes are put in front of a script when it is loaded, each once, the included before what
includes it. A script is found by the hash of its text, so two releases run side by side, and a
flushed script cache heals: NOSCRIPT says that nothing ran, so the text itself is sent.
"""

import asyncio
import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha1
from importlib import resources
from time import perf_counter
from typing import NamedTuple

from engine import metrics
from engine.batcher import Batcher
from engine.errors import REFUSALS, Restoring, ScriptDefect, Unavailable
from engine.timed import Timed
from engine.wire import Answer, Argument, ErrorReply

_INCLUDE = re.compile(r"^-- @include (\S+)\n", re.MULTILINE)
_UNABLE = frozenset(
    ("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY")
)
"""Error codes that say: not now, and nothing was done."""
_GUARDED = "return limits.guard(script, KEYS, ARGV)\n"


class Script(NamedTuple):
    """The assembled text of a script and its hash."""

    name: str
    text: str
    sha: str


@cache
def load(name: str, *, limited: bool = False) -> Script:
    """The script `lua/<name>.lua` with its includes. Raises FileNotFoundError.

    `limited` puts `limits.guard` around it: see `lua/lib/limits.lua`.
    """
    text = _assemble(name, [])
    if limited:
        guard = _assemble("lib/limits", [])
        text = f"{guard}local function script()\n{text}end\n{_GUARDED}"
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def names() -> list[str]:
    """Every script there is, in order."""
    files = resources.files("lua").iterdir()
    return sorted(file.name[:-4] for file in files if file.name.endswith(".lua"))


def _assemble(name: str, included: list[str]) -> str:
    text = resources.files("lua").joinpath(f"{name}.lua").read_text(encoding="utf-8")
    parts = []
    for wanted in _INCLUDE.findall(text):
        if wanted not in included:
            included.append(wanted)
            parts.append(_assemble(wanted, included))
    return "".join(parts) + _INCLUDE.sub("", text)


class Scripts:
    """Runs scripts through the batcher."""

    def __init__(self, batcher: Batcher, sent: dict[str, Answer] | None = None) -> None:
        self.batcher = batcher
        self._sent = {} if sent is None else sent  # by hash: a text on its way

    async def run(
        self, name: str, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> list[bytes]:
        """What the script answered behind "OK".

        Raises: Refused by its code, OutcomeUnknown, Unavailable, Overloaded, Restoring,
        ScriptDefect.
        """
        return checked(*await self.outcome(name, keys, arguments))

    async def outcome(
        self, name: str, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> tuple[str, list[bytes]]:
        """As `run`, a refusal not raised: its code in lower case, and what it names."""
        return await self.call(load(name), keys, arguments)

    async def call(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> tuple[str, list[bytes]]:
        """The code a script answered, in lower case, and what stands behind it.

        Raises: OutcomeUnknown, Unavailable, Overloaded, Restoring, ScriptDefect.
        """
        started = perf_counter()
        code, answer = "unanswered", list[bytes]()
        try:
            call = (len(keys), *keys, *arguments)
            reply = await self.batcher.call(("EVALSHA", script.sha, *call))
            if isinstance(reply, ErrorReply) and reply.code == "NOSCRIPT":
                reply = await self._run_forgotten(script, call)
            code, answer = _understood(script.name, reply)
        finally:
            _timed(script.name, code).add(perf_counter() - started)
        return code, answer

    async def _run_forgotten(self, script: Script, call: tuple[Argument, ...]) -> object:
        """Send the text, once for all the calls of a moment: in a rush they are thousands."""
        sent = self._sent.get(script.sha)
        if sent is not None:
            await asyncio.wait((sent,))
            reply = await self.batcher.call(("EVALSHA", script.sha, *call))
            if not (isinstance(reply, ErrorReply) and reply.code == "NOSCRIPT"):
                return reply
            return await self.batcher.call(("EVAL", script.text, *call))
        sent = self._sent[script.sha] = self.batcher.call(("EVAL", script.text, *call))
        try:
            return await sent
        finally:
            del self._sent[script.sha]


@cache
def _timed(name: str, code: str) -> Timed:
    """The metrics of one script and outcome: finding them costs more than adding to them."""
    return Timed(metrics.calls.labels(name, code), metrics.call_duration.labels(name))


def checked(code: str, answer: list[bytes]) -> list[bytes]:
    """The answer behind "OK"; any other code is raised as its refusal."""
    if code == "ok":
        return answer
    raise REFUSALS[code.upper()](*(item.decode() for item in answer))


def _understood(name: str, reply: object) -> tuple[str, list[bytes]]:
    if isinstance(reply, list) and reply and isinstance(reply[0], bytes):
        code = reply[0].decode()
        if code == "OK" or code in REFUSALS:
            return code.lower(), reply[1:]
        raise ScriptDefect(f"{name} answered {code!r}, which its header does not name")
    if isinstance(reply, ErrorReply) and reply.code in _UNABLE:
        raise Unavailable(f"Redis cannot run {name}: {reply}")
    if isinstance(reply, ErrorReply) and reply.code == "RESTORING":
        raise Restoring(f"{name}: the event is fenced until it is restored")
    raise ScriptDefect(f"{name}: {reply!r}")
