"""The only EVALSHA caller: a script by name, an answer or a refusal.

Includes are put in front of a script when it is loaded, each once, the included before what
includes it. A script is found by the hash of its text, so two releases run side by side, and a
flushed script cache heals: NOSCRIPT says that nothing ran, so the text itself is sent.
"""

import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha1
from importlib import resources
from time import perf_counter
from typing import NamedTuple

from redis.exceptions import (
    BusyLoadingError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from engine import metrics
from engine.batcher import Argument, Batcher
from engine.errors import REFUSALS, ScriptDefect, Unavailable

_INCLUDE = re.compile(r"^-- @include (\S+)\n", re.MULTILINE)
_UNABLE = (BusyLoadingError, OutOfMemoryError, ReadOnlyError)
_GUARDED = "return limits.guard(script, KEYS, ARGV)\n"
_UNABLE_WORDS = ("BUSY ", "MISCONF ", "NOREPLICAS ", "MASTERDOWN ", "CLUSTERDOWN ", "OOM ")


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

    def __init__(self, batcher: Batcher) -> None:
        self.batcher = batcher

    async def run(
        self, name: str, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> list[bytes]:
        """What the script answered behind "OK".

        Raises: Refused by its code, OutcomeUnknown, Unavailable, Overloaded, ScriptDefect.
        """
        return checked(*await self.call(load(name), keys, arguments))

    async def call(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> tuple[str, list[bytes]]:
        """The code a script answered, in lower case, and what stands behind it.

        Raises: OutcomeUnknown, Unavailable, Overloaded, ScriptDefect.
        """
        started = perf_counter()
        code, answer = "unanswered", list[bytes]()
        try:
            call = (len(keys), *keys, *arguments)
            reply = await self.batcher.call(("EVALSHA", script.sha, *call))
            if isinstance(reply, NoScriptError):
                reply = await self.batcher.call(("EVAL", script.text, *call))
            code, answer = _understood(script.name, reply)
        finally:
            metrics.call_duration.labels(script.name).observe(perf_counter() - started)
            metrics.calls.labels(script.name, code).inc()
        return code, answer


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
    if isinstance(reply, _UNABLE) or (
        isinstance(reply, ResponseError) and str(reply).startswith(_UNABLE_WORDS)
    ):
        raise Unavailable(f"Redis cannot run {name}: {reply}")
    raise ScriptDefect(f"{name}: {reply!r}")
