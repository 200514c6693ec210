"""The commands that a page shows, read from its Markdown and held against the `engine` command.

A page is read as it stands, fences, indented code and code in a sentence, so that a test needs no
second list of what it says. Parsing is click's own, without running anything: an option that was
renamed, a word that is no command, a number that is none are found where they are written.
"""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

import click

from cli.commands import main

_OPENING = re.compile(r"^(?P<indent> *)(?P<mark>`{3,}|~{3,}) *(?P<info>[^`\n]*)$")
_INLINE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_INNER = re.compile(r"\$\(([^()]*)\)")
_ENDS = frozenset(";|&()<>")
_ASSIGNMENT = re.compile(r"[A-Z_]+=")
_RUNNERS = ("docker", "kubectl", "sudo", "exec", "env", "nohup", "time", "watch")
SHELL = ("sh", "bash", "shell", "console")


class Fence(NamedTuple):
    """A fenced block: its language, what else its head says, its text, and its lines."""

    language: str
    info: str
    text: str
    first: int
    last: int


def fences(markdown: str) -> list[Fence]:
    """Every fenced block of a page, in its order; the indent of the fence is taken off."""
    found, opened, body, at = [], None, list[str](), 0
    for number, line in enumerate(markdown.splitlines(), 1):
        match = _OPENING.match(line)
        if opened is None:
            if match:
                opened, body, at = match, [], number
        elif match and match["mark"].startswith(opened["mark"]) and not match["info"].strip():
            language, _, info = opened["info"].strip().partition(" ")
            found.append(Fence(language, info, "\n".join(body), at, number))
            opened = None
        else:
            body.append(line.removeprefix(opened["indent"]))
    if opened is not None:
        raise ValueError(f"the fence of line {at} is not closed")
    return found


def commands_of(markdown: str) -> list[str]:
    """Every `engine …` command line in a page's blocks of code, alone or within another command.

    `TOKEN=$(engine token --sub ann)`, `docker compose exec app engine status` and both sides of
    `engine migrate && engine serve` are found; comments are passed over.
    """
    blocks = [fence.text for fence in fences(markdown) if fence.language in SHELL]
    return [found for text in [*blocks, _indented(markdown)] for found in _engine_lines(text)]


def mentions_of(markdown: str) -> list[str]:
    """Every `engine …` in code within a sentence, such as `engine load`: it may be incomplete.

    `engine write | deliver --metrics-port N` are two.
    """
    prose = "\n\n".join(_prose(markdown))
    inline = [" ".join(match[2].split()) for match in _INLINE.finditer(prose)]
    return [one for text in inline if re.match(r"engine [a-z-]", text) for one in _each(text)]


def _each(text: str) -> list[str]:
    """The commands of one that names several: `engine a | b --option`."""
    match = re.match(r"engine ((?:[a-z-]+ \| )+[a-z-]+)(.*)", text)
    return [f"engine {name}{match[2]}" for name in match[1].split(" | ")] if match else [text]


def parse(command: str, *, complete: bool = True) -> None:
    """Hold a command line against the click commands; nothing is run.

    With `complete=False`, what is left out (`engine load`) is no fault, nor is a value that is only
    named (`--port N`); what is wrong is.
    Raises click.UsageError, whose message says what is wrong.
    """
    try:
        _parse(shlex.split(command), complete=complete)
    except click.BadParameter:
        if complete or not re.search(r" [A-Z]+\b", command):
            raise
        _parse([re.sub(r"^[A-Z]+$", "1", word) for word in shlex.split(command)], complete=False)


def _parse(words: list[str], *, complete: bool) -> None:
    if not words or words[0] != "engine":
        raise click.UsageError(f"no engine command: {words}")
    found: click.Command = main
    name, rest = "engine", words[1:]
    while isinstance(found, click.Group) and rest and not rest[0].startswith("-"):
        name, rest = rest[0], rest[1:]
        if name not in found.commands:
            raise click.UsageError(f"no such command: {name}")
        found = found.commands[name]
    if isinstance(found, click.Group):
        if rest not in ([], ["--help"], ["-h"], ["--version"]):
            raise click.UsageError(f"{name} has no {rest[0]}")
        return
    if "--help" in rest:
        return
    try:
        found.make_context(name, rest)
    except click.MissingParameter:
        if complete:
            raise
    except click.BadOptionUsage as error:
        if complete or "requires an argument" not in str(error):
            raise


def _indented(markdown: str) -> str:
    """What is indented by four spaces, outside fences and lists: code of the old form."""
    lines, before = [], ""
    for paragraph in _prose(markdown):
        if re.match(r" {4}\S", paragraph) and not re.match(r"\s*([-*+]|\d+\.) ", before):
            lines.append(paragraph)
        else:
            before = paragraph
    return "\n".join(lines)


def _prose(markdown: str) -> list[str]:
    """The paragraphs of a page, without its fences."""
    lines = markdown.splitlines()
    for fence in fences(markdown):
        lines[fence.first - 1 : fence.last] = [""] * (fence.last - fence.first + 1)
    return re.split(r"\n\s*\n", "\n".join(lines))


def _engine_lines(text: str) -> Iterator[str]:
    for line in re.sub(r"\\\n", " ", text).splitlines():
        yield from _engine_parts(line.strip().removeprefix("$ "))


def _engine_parts(line: str) -> Iterator[str]:
    """The engine commands of one shell line; those within `$( )` first."""
    for inner in _INNER.findall(line):
        yield from _engine_parts(inner)
    lexer = shlex.shlex(_INNER.sub("INNER", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    for word in [*_until_comment(lexer), ";"]:
        if word and not set(word) - _ENDS:
            if words and words[-1].isdigit() and word[0] in "<>":
                words.pop()  # `2>log`: the number of a stream
            if words and (words[0] == "engine" or (words[0] in _RUNNERS and "engine" in words)):
                yield shlex.join(words[words.index("engine") :])
            words = []
        elif words or not _ASSIGNMENT.match(word):
            words.append(word)


def _until_comment(lexer: shlex.shlex) -> Iterator[str]:
    try:
        for word in lexer:
            if word.startswith("#"):
                return
            yield word
    except ValueError:  # a quote over several lines: no command of ours is written so
        return
