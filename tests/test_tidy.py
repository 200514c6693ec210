"""Rules that a reader relies on: sizes, words, headers, and documents that are complete."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from engine import errors, keys, scripts
from engine.metrics import metrics
from engine.settings.settings import Settings
from manual import modules

ROOT = Path(__file__).parent.parent
PACKAGES = ("engine", "api", "persistence", "embedded", "cli", "bench", "manual", "tests")
MODULES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
LUA = sorted((ROOT / "lua").rglob("*.lua"))
# Limits that only a god file trips: a smoke alarm, not a target. Cut by noun, not by number.
MODULE_LINES_MAX, FUNCTION_LINES_MAX, PARAMETERS_MAX = 600, 80, 8
BANNED = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc)(_|$)")
# A name at every layer: the field's other words for the same things.
SYNONYMS = re.compile(r"reservation|\bcart\b|\border\b|_order\b|unlock|timeslot", re.IGNORECASE)


def _modules(*, tests: bool = True) -> list[Path]:
    return [path for path in MODULES if tests or "tests" not in path.relative_to(ROOT).parts]


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_small_and_opens_with_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MODULE_LINES_MAX
    tree = ast.parse(text)
    if tree.body:
        opening = ast.get_docstring(tree)
        assert opening, "a module opens with what it is for"
        assert len(opening.splitlines()) <= (40 if path.stem == "__init__" else 20)
    assert not BANNED.search(path.stem)
    for function in _functions(tree):
        lines = (function.end_lineno or 0) - function.lineno + 1
        start = function.body[0]
        if ast.get_docstring(function):
            lines -= (start.end_lineno or 0) - start.lineno + 1
        assert lines <= FUNCTION_LINES_MAX, f"{function.name} has {lines} lines"


@pytest.mark.parametrize("path", _modules(tests=False), ids=lambda p: str(p.relative_to(ROOT)))
def test_classes_and_signatures_are_small(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and "Protocol" not in map(ast.unparse, node.bases):
            public = [n for n in _functions(node) if not n.name.startswith("_")]
            assert len(public) <= 12, f"{node.name} has {len(public)} public methods"
    if "cli" in path.parts:
        return  # a command has as many parameters as options
    for function in _functions(tree):
        named = [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]
        count = len([name for name in named if name not in ("self", "cls")])
        assert count <= PARAMETERS_MAX, f"{function.name} has {count} parameters"


@pytest.mark.parametrize("path", _modules(tests=False), ids=lambda p: str(p.relative_to(ROOT)))
def test_public_things_are_documented_and_named_by_the_one_word(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            assert not SYNONYMS.search(node.name), node.name
            plain = isinstance(node, ast.ClassDef) and (len(node.body) == 1 or node.bases)
            if not node.name.startswith("_") and not plain:
                assert ast.get_docstring(node), f"{node.name} says nothing of itself"


# One noun at several layers: engine, API, Postgres, command, bench.
LAYERED = {
    *(
        "accounts",
        "app",
        "availability",
        "best",
        "bookings",
        "client",
        "connection",
        "engine",
        "events",
    ),
    *("idempotency", "limits", "log_level", "metrics", "page", "payloads", "payments"),
    *("problems", "report", "roles", "sale", "sales", "sessions", "settings", "sources", "stores"),
    *("tables", "war", "webhooks", "workers", "writer"),
}


def test_no_name_of_a_class_or_a_module_has_two_meanings() -> None:
    classes: dict[str, list[str]] = {}
    places: dict[str, list[str]] = {}
    packages = ("engine", "api", "persistence", "embedded", "cli", "bench")
    for path in (p for p in MODULES if p.relative_to(ROOT).parts[0] in packages):
        place = str(path.relative_to(ROOT))
        if path.stem not in ("__init__", "__main__"):
            places.setdefault(path.stem, []).append(place)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, []).append(place)
    assert {name: found for name, found in classes.items() if len(found) > 1} == {}
    shared = {name for name, found in places.items() if len(found) > 1}
    assert shared == LAYERED, "a shared name is one noun at several layers, or wants another name"


def _header(path: Path) -> str:
    found = re.match(r"--\[\[\n(.*?)\n\]\]\n", path.read_text(encoding="utf-8"), re.DOTALL)
    assert found, "a script opens with its contract"
    return found[1]


def _codes(text: str) -> set[str]:
    """Codes of ours in a text: quoted words in capitals that are refusals."""
    return set(re.findall(r'"([A-Z][A-Z_]+)"', text)) & set(errors.REFUSALS)


SCRIPTS = [path for path in LUA if path.parent.name == "lua"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_answers_what_its_header_names(path: Path) -> None:
    header = _header(path)
    if path.stem != "take_limits":  # it belongs to no event
        assert list(keys.EventKeys._fields) == header.split("KEYS[1-9]")[1].split("\n")[0].split()
    named = set(re.findall(r"\{\"([A-Z_]+)\"", header)) - {"OK"}
    own = _codes(path.read_text(encoding="utf-8").replace(header, ""))
    assembled = _codes(scripts.load(path.stem).text.replace(header, ""))
    assert own <= named <= assembled
    assert named <= set(errors.REFUSALS)


def test_every_refusal_has_a_script_that_answers_it() -> None:
    named = {code for path in SCRIPTS for code in re.findall(r"\{\"([A-Z_]+)\"", _header(path))}
    assert named - {"OK"} == set(errors.REFUSALS)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_is_small_and_says_where_it_writes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    body = text[text.index("]]\n") + 3 :]
    code = [line for line in body.splitlines() if line and not line.startswith("-- @")]
    assert len(code) <= 65
    if path.stem not in ("read_head", "read_map", "take_limits"):
        assert body.count("-- Writes.\n") == 1
        before = body[: body.index("-- Writes.\n")]
        written = re.findall(r'call\("(HSET|ZADD|ZREM|SET|DEL|XADD|HDEL|SETRANGE)"', before)
        assert written == [], "check everything, then write"


@pytest.mark.parametrize("path", LUA, ids=lambda path: path.stem)
def test_script_asks_nothing_unbounded(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'call\("(KEYS|SCAN|SORT|SMEMBERS)"', text)
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("path", LUA, ids=lambda path: path.stem)
def test_lib_defines_one_table_of_its_own_name(path: Path) -> None:
    if path.parent.name == "lib":
        defined = re.findall(r"^local (\w+) =", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert defined == [path.stem]


def test_lua_readme_names_every_script_key_and_code() -> None:
    text = (ROOT / "lua" / "README.md").read_text(encoding="utf-8")
    wanted = {*scripts.names(), *(code.lower() for code in errors.REFUSALS)}
    wanted |= {*keys.EventKeys._fields, "hold", "request", "layout", "loading", "dead", "answered"}
    assert [name for name in sorted(wanted) if f"`{name}`" not in text] == []


def test_settings_page_names_every_setting() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    names = [field.name.upper() for field in structs.fields(Settings)]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_metrics_page_names_every_metric() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    made = [item for item in vars(metrics).values() if hasattr(item, "_name")]
    names = [f"{item._name}_total" if item._type == "counter" else item._name for item in made]
    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in text] == []


def test_architecture_has_every_module_as_it_describes_itself() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert modules.page(text) == text, "run `make modules`"


def test_nothing_names_the_machine_it_was_made_on() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *MODULES, *LUA]
    words = re.compile("/" + "root/|/" + "work/|/" + "tmp/dev")
    found = [p for p in documents if words.search(p.read_text(encoding="utf-8"))]
    assert found == []
