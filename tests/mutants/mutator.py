"""Bugs made by rule: a comparison that flips, a call that is dropped, a branch never taken.

Each rule makes what a tired programmer makes. What cannot change anything is not made: strings,
what stands in comments, the calls of `require`-like includes.
"""

from collections.abc import Iterator

from tree_sitter import Node

from tests.mutants.lua_source import Change, nodes_of, text_of

_FLIPPED = {
    "==": ("~=",),
    "~=": ("==",),
    "<": ("<=", ">"),
    "<=": ("<", ">"),
    ">": (">=", "<"),
    ">=": (">", "<"),
    "and": ("or",),
    "or": ("and",),
    "+": ("-",),
    "-": ("+",),
}
_STATEMENTS = ("block", "chunk")


def mutants_of(file: str) -> list[Change]:
    """Every bug the rules make in one file, in its order."""
    text = text_of(file)
    return [
        Change(file, line, what, start, end, new)
        for node in nodes_of(text)
        for line, what, start, end, new in _bugs(node)
    ]


def _bugs(node: Node) -> Iterator[tuple[int, str, int, int, str]]:
    line = node.start_point[0] + 1
    if node.type == "binary_expression":
        for sign in node.children:
            for other in _FLIPPED.get(sign.type, ()):
                yield line, f"{sign.type} becomes {other}", sign.start_byte, sign.end_byte, other
    elif node.type == "number" and node.text:
        new = str(int(node.text) + 1)
        yield line, f"{node.text.decode()} becomes {new}", node.start_byte, node.end_byte, new
    elif node.type in ("function_call", "assignment_statement") and _is_statement(node):
        what = (node.text or b"").decode().split("\n")[0]
        yield line, f"dropped: {what}", node.start_byte, node.end_byte, ""
    elif node.type in ("if_statement", "elseif_statement"):
        condition = node.child_by_field_name("condition")
        assert condition
        said = (condition.text or b"").decode().split("\n")[0]
        for new in ("true", "false"):
            what = f"if {said} becomes {new}"
            yield line, what, condition.start_byte, condition.end_byte, new


def _is_statement(node: Node) -> bool:
    return node.parent is not None and node.parent.type in _STATEMENTS
