"""The digest of a script: what it must notice, and what it must not."""

from pathlib import Path

import pytest

from tests.mutants import lua_source

SCRIPT = '-- @include lib/seats\nlocal a = "b c" -- why\nreturn a + 1\n'


def _digest(folder: Path, text: str) -> str:
    (folder / "x.lua").write_text(text, encoding="utf-8")
    return lua_source.digest_of("x.lua")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lua_source, "LUA", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new"),
    [("-- why", "-- because"), (" -- why", ""), ("return", "--[[ a\nheader ]]\n\n  return")],
)
def test_digest_of_changed_comments_stays(folder: Path, old: str, new: str) -> None:
    assert _digest(folder, SCRIPT.replace(old, new)) == _digest(folder, SCRIPT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        *[("lib/seats", "lib/areas"), ("b c", "b  c"), ("a + 1", "a - 1"), ("+ 1", "+ 2")],
        ('"b c"', '"-- why"'),
    ],
)
def test_digest_of_changed_code_changes(folder: Path, old: str, new: str) -> None:
    assert _digest(folder, SCRIPT.replace(old, new)) != _digest(folder, SCRIPT)
