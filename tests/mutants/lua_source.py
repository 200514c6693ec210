"""Lua text with places to change it at, and the scripts as the engine loads them, changed.

Parsed by tree-sitter rather than by patterns: a change is made at a node, so what it makes is Lua
again. The engine has no hook for this: the folder it reads its scripts from is exchanged from
outside, in this process alone.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

import tree_sitter_lua
from tree_sitter import Language, Node, Parser

from engine import scripts

LUA = Path(__file__).parents[2] / "lua"
_PARSER = Parser(Language(tree_sitter_lua.language()))


class Change(NamedTuple):
    """Bytes `start` to `end` of one file become `text`. `what` says it to a reader."""

    file: str
    line: int
    what: str
    start: int
    end: int
    text: str


def files() -> list[str]:
    """Every Lua file below lua/, such as `lib/seats.lua`."""
    return sorted(str(path.relative_to(LUA)) for path in LUA.rglob("*.lua"))


def text_of(file: str) -> bytes:
    """The file as it is."""
    return (LUA / file).read_bytes()


def digest_of(file: str) -> str:
    """A digest of the code and its includes: other comments, and the layout, do not change it."""
    digest, comment_end = blake2b(digest_size=8), 0
    for node in nodes_of(text_of(file)):
        said = node.text or b""
        if node.type == "comment":
            comment_end = node.end_byte
            if said.startswith(b"-- @include"):
                digest.update(said + b"\n")
        elif not node.children and node.start_byte >= comment_end:
            digest.update(said + b"\n")
    return digest.hexdigest()


def nodes_of(text: bytes) -> Iterator[Node]:
    """Every node of a file, the outer before the inner."""
    waiting = [_PARSER.parse(text).root_node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def changed(change: Change) -> str:
    """The whole file with the change in it."""
    text = text_of(change.file)
    return (text[: change.start] + change.text.encode() + text[change.end :]).decode()


@contextmanager
def scripts_with(texts: Mapping[str, str]) -> Iterator[Path]:
    """While this lasts, the engine loads its scripts with these files in place of its own."""
    with TemporaryDirectory(prefix="lua-") as folder:
        copytree(LUA, folder, dirs_exist_ok=True)
        for file, text in texts.items():
            (Path(folder) / file).write_text(text, encoding="utf-8")
        with scripts_in(Path(folder)):
            yield Path(folder)


@contextmanager
def scripts_in(folder: Path) -> Iterator[None]:
    """While this lasts, the engine loads its scripts from here."""
    elsewhere = SimpleNamespace(files=lambda package: folder)
    scripts.read_files.cache_clear()
    scripts.load.cache_clear()
    try:
        with mock.patch.object(scripts, "resources", elsewhere):
            yield
    finally:
        scripts.read_files.cache_clear()
        scripts.load.cache_clear()
