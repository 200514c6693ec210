"""Which branches of the scripts the tests take: counted by the scripts themselves, in Redis.

Every way through is marked: a branch of an `if`, the one that is not written too, the body of a
loop and of a function, the second half of an `and` or `or`. A mark tells the server's log and
returns true; nothing else may be written, or the tests that compare everything would see it. The
log of every server the tests started is then read.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tree_sitter import Node

from tests.mutants.lua_source import files, nodes_of, text_of

_MARK = """\
local __seen = {}
local function __hit(n)
  if not __seen[n] then redis.log(redis.LOG_WARNING, "lua-branch FILE " .. n) end
  __seen[n] = true
  return true
end
"""
_TOLD = re.compile(r"lua-branch (\S+) (\d+)")


class Branch(NamedTuple):
    """A branch of a file: where it starts, and what it is."""

    file: str
    number: int
    line: int
    what: str


class _Insert(NamedTuple):
    at: int
    before: str
    line: int
    what: str
    behind: str = ""
    end: int = -1


def branches_of(file: str) -> list[Branch]:
    """Every way there is, numbered from 0."""
    return [Branch(file, n, i.line, i.what) for n, i in enumerate(_inserts(text_of(file)))]


def instrumented(file: str) -> str:
    """The file with every way marked."""
    text = text_of(file)
    pieces: list[tuple[int, int, str]] = []
    for number, insert in enumerate(_inserts(text)):
        pieces.append((insert.at, number, insert.before.replace("N", str(number))))
        if insert.behind:
            pieces.append((insert.end, -number, insert.behind))
    for at, _, new in sorted(pieces, reverse=True):
        text = text[:at] + new.encode() + text[at:]
    return _MARK.replace("FILE", file) + text.decode()


def all_instrumented() -> dict[str, str]:
    """Every file of lua/."""
    return {file: instrumented(file) for file in files()}


def taken(folder: Path) -> dict[tuple[str, int], int]:
    """How often each branch was logged below a folder, by file and number."""
    found: dict[tuple[str, int], int] = {}
    for path in folder.rglob("log"):
        for file, number in _TOLD.findall(path.read_text(encoding="utf-8", errors="replace")):
            found[file, int(number)] = found.get((file, int(number)), 0) + 1
    return found


def _inserts(text: bytes) -> list[_Insert]:
    return [insert for node in nodes_of(text) for insert in _marks(node)]


def _marks(node: Node) -> Iterator[_Insert]:
    line = node.start_point[0] + 1
    said = (node.text or b"").decode().split("\n")[0].strip()
    if node.type in ("if_statement", "elseif_statement"):
        yield _after(node, "then", said)
    if node.type == "if_statement" and not any(c.type == "else_statement" for c in node.children):
        end = node.children[-1]
        yield _Insert(end.start_byte, "else __hit(N) ", line, f"not: {said}")
    if node.type == "else_statement":
        yield _after(node, "else", f"else (line {line})")
    if node.type == "for_statement":
        yield _after(node, "do", said)
    if node.type in ("function_declaration", "function_definition"):
        parameters = node.child_by_field_name("parameters")
        assert parameters
        yield _Insert(parameters.end_byte, " __hit(N) ", line, said)
    if node.type == "binary_expression" and any(c.type in ("and", "or") for c in node.children):
        right = node.child_by_field_name("right")
        assert right
        what = f"second half: {(right.text or b'').decode()}".split("\n")[0]
        yield _Insert(right.start_byte, "(__hit(N) and ", line, what, ")", right.end_byte)


def _after(node: Node, word: str, what: str) -> _Insert:
    (token,) = [child for child in node.children if child.type == word]
    return _Insert(token.end_byte, " __hit(N) ", node.start_point[0] + 1, what)
