"""The problems of a plan, all reported at once, each with its place in the file.

A plan is a file that a person edits: the complete list after one attempt saves many attempts. So
readers collect problems and raise them together. Only a problem that prevents further reading (not
UTF-8, not JSON, a wrong type) is raised at once.
"""

import codecs
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from engine.errors import EngineError

T = TypeVar("T")

LISTED_MAX = 100
"""An error lists this many problems and counts the rest."""


class PlanError(EngineError):
    """The plan, or an option given with it, is not valid. Nothing was loaded.

    `problems` names what and where, `sections[2].rows[0].seats[5].number: …` or `line 17: …`;
    beyond the first 100 its last item is a count of the others.
    """

    code = "plan_invalid"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems[:LISTED_MAX])
        if len(problems) > LISTED_MAX:
            self.problems += (f"and {len(problems) - LISTED_MAX} more problems",)
        if len(problems) == 1:
            super().__init__(f"the plan is not valid: {problems[0]}")
        else:
            listed = "\n".join(f"  {problem}" for problem in self.problems)
            super().__init__(f"the plan is not valid:\n{listed}")


def decode_text(body: bytes, hint: str = "") -> str:
    """Decode UTF-8, without the byte order mark that some editors write.

    Raises PlanError with the first wrong byte, and `hint` after it.
    """
    try:
        return body.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise PlanError([f"not UTF-8: byte {error.start}{hint}"]) from error


def decode_json(body: bytes, kind: type[T]) -> T:
    """Decode and check JSON. Raises PlanError with the place of the first problem."""
    text = decode_text(body)
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise PlanError([place_first(str(error))]) from error
    except msgspec.DecodeError as error:
        raise PlanError([f"not JSON: {error}"]) from error
    except RecursionError as error:
        raise PlanError(["nested too deeply"]) from error


def place_first(message: str) -> str:
    """Turn msgspec's "what - at `$.where`" into "where: what"."""
    what, _, where = message.partition(" - at `$")
    path = where.removesuffix("`").removeprefix(".")
    return f"{path}: {what}" if path else what
